"""Result files of OpenAI's simple-evals for HealthBench: every answer of a model with the grade of every criterion.

    *_allresults.json: {"score", "metrics", "htmls", "convos", "metadata": {"example_level_metadata": [{"prompt",
        "completion": [message], "prompt_id", "completion_id", "rubric_items": [{"criterion", "points", "tags",
        "criteria_met", "explanation"}], ...}]}}

Results of several models, and several results of one, become one row per prompt. A system message before the
conversation is the sampler's own, and differs between runs, so it is left out.
"""

from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.publishers.alike import messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, listed
from promedical_data.skips import Place

_LIST: Final = ("metadata", "example_level_metadata")


class _Result(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    prompt_id: parts.Identifier
    completion_id: parts.Identifier
    prompt: conversations.RawPrompt
    completion: conversations.RawPrompt
    rubric_items: parts.RawParts


_RESULT: Final = TypeAdapter(_Result)


def _shape(raw: Row, _: Place, __: Surroundings) -> Shaped:
    result = parts.checked(_RESULT, raw)
    turns = messages(result["prompt"], "prompt")
    while turns and turns[0]["role"] == "system":
        del turns[0]
    items = result["rubric_items"]
    return Shaped(
        file_format="healthbench",
        row={
            "prompt_id": result["prompt_id"],
            "prompt": turns,
            "rubrics": items,
            "responses": [
                {
                    "id": result["completion_id"],
                    "text": result["completion"],
                    "grades": [_grade(item) for item in items],
                }
            ],
        },
    )


def _grade(item: Any) -> dict[str, Any] | None:
    met = item.get("criteria_met") if isinstance(item, dict) else None
    return None if met is None else {"criteria_met": met}


SIMPLE_EVALS: Final = Publisher(
    name="simple-evals",
    title="Results of OpenAI's simple-evals for HealthBench: *_allresults.json",
    licence="HealthBench is MIT; the answers' terms are those of the model",
    reads="prompt without the sampler's system message; rubric_items with points and axis, dimensions derived from "
    "them; completion as a response, criteria_met as its labels, kind llm",
    drops="scores, usage, explanations, htmls",
    needs=("rubric_items", "prompt_id", "completion", "completion_id"),
    shape=_shape,
    merges=True,
    rows=lambda document: listed(document, *_LIST),
    streams=".".join((*_LIST, "item")),
)
