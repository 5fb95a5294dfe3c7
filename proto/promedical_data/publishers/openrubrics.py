"""OpenRubrics (arXiv 2510.07743): a rubric for each instruction, and from version 2 on two responses with a winner.

    {"instruction", "rubric": numbered lines, "source"?, "response_a"?, "response_b"?, "winner"?, ...}

Every line of a rubric ends with its kind: [Hard Rule] or [Principle]. The winner is that of the whole comparison:
nobody said which criteria decided it, so that all of them are ties, beside a criterion for the whole response.
"""

import re
from typing import Any, Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Dimension
from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import criterion_row
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal
from promedical_data.texts import text_id
from promedical_data.variants import SCALAR

_ITEM: Final = re.compile(r"^[ \t]*\d+[.)][ \t]+", re.MULTILINE)
_KIND: Final = re.compile(r"\s*\[\s*(hard rule|principle)\s*\][.\s]*\Z", re.IGNORECASE)
_DIMENSIONS: Final = {"hard rule": Dimension.PROFICIENCY, "principle": Dimension.EXCELLENCE}
_WINNERS: Final = {"a": 0, "b": 1}


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    instruction: parts.Filled
    rubric: parts.Filled
    response_a: NotRequired[parts.Filled]
    response_b: NotRequired[parts.Filled]
    winner: NotRequired[str]


_ROW: Final = TypeAdapter(_Row)


def _prompts(raw: Row, place: Place, _: Surroundings) -> Shaped:
    row = parts.checked(_ROW, raw)
    return Shaped(file_format="criteria", row=_prompt(row, place, row["instruction"]))


def _pairs(raw: Row, place: Place, _: Surroundings) -> Shaped:
    row = parts.checked(_ROW, raw)
    responses = row["response_a"], row["response_b"]
    winner = _winner(row["winner"])
    prompt = _prompt(row, place, row["instruction"], *responses)
    winners = {each["id"]: "tie" for each in prompt["criteria"]}
    return Shaped(
        file_format="pairs",
        row={
            **prompt,
            "criteria": [*prompt["criteria"], criterion_row(SCALAR)],
            "chosen": responses[winner],
            "rejected": responses[1 - winner],
            "winners": {**winners, SCALAR.id: "chosen"},
        },
    )


def _prompt(row: _Row, place: Place, *named_by: str) -> dict[str, Any]:
    items = [item.strip() for item in _ITEM.split(row["rubric"])[1:]]
    criteria = parts.kept(items, _criterion, "criterion", place)
    return {
        "id": f"openrubrics:{id_of(*named_by)}",
        "prompt": [{"role": "user", "content": row["instruction"]}],
        "criteria": [each for each in criteria if each],
    }


def _criterion(item: object, _: Place) -> dict[str, Any]:
    found = _KIND.search(str(item))
    if not found:
        raise Refusal("does not end with [Hard Rule] or [Principle]")
    text = " ".join(str(item)[: found.start()].split())
    return {"id": text_id(text), "text": text, "dimension": _DIMENSIONS[" ".join(found[1].lower().split())]}


def _winner(word: str) -> int:
    found = re.sub(r"^(response|answer|assistant)[\s_]*", "", word.strip().lower())
    if found not in _WINNERS:
        raise Refusal("winner: is neither A nor B")
    return _WINNERS[found]


_DROPS: Final = "source, the judge's text; lines of a rubric without a kind"

OPENRUBRICS: Final = Publisher(
    name="openrubrics",
    title="OpenRubrics: OpenRubric-v2 (arXiv 2510.07743), pairs",
    licence="not stated by the publisher",
    reads="instruction; rubric: hard rules as proficiency, principles as excellence, all of them ties; the winner, as "
    "a pair on a criterion for the whole response",
    drops=_DROPS,
    needs=("instruction", "rubric", "response_a", "response_b", "winner"),
    shape=_pairs,
)

OPENRUBRICS_PROMPTS: Final = Publisher(
    name="openrubrics-prompts",
    title="OpenRubrics, version 1 (arXiv 2510.07743), prompts with rubrics",
    licence="not stated by the publisher",
    reads="instruction; rubric: hard rules as proficiency, principles as excellence",
    drops=_DROPS,
    needs=("instruction", "rubric"),
    shape=_prompts,
    fits=lambda row: "winner" not in row,
)
