"""UltraMedical-Preference (arXiv 2406.03949): medical prompts with a better and a worse answer.

    {"prompt_id", "label_type": easy | hard | human | length, "prompt": text, "chosen": messages, "rejected": messages}

The bench's task of the same name reads its rows with this module.
"""

from typing import Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import criterion_row
from promedical_data.publishers.alike import messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal
from promedical_data.variants import SCALAR


class PreferenceRow(TypedDict):
    """One row. `criteria` are ours: rows that the bench exports have them."""

    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    prompt_id: NotRequired[str | int | None]
    label_type: parts.Filled
    prompt: conversations.RawPrompt
    chosen: parts.Filled | list[conversations.Turn]
    rejected: parts.Filled | list[conversations.Turn]
    criteria: NotRequired[parts.RawParts]


_ROW: Final = TypeAdapter(PreferenceRow)


def preference_row(raw: Row) -> PreferenceRow:
    """A row, if it is one.

    Raises:
        Refusal: It is not.
    """
    return parts.checked(_ROW, raw)


def last_answer(value: str | list[conversations.Turn], field: str) -> str:
    """The answer: the last message, which must be the assistant's."""
    if isinstance(value, str):
        return value
    if not value or value[-1]["role"] != "assistant" or not value[-1]["content"].strip():
        raise Refusal(f"{field}: does not end with a message of the assistant")
    return value[-1]["content"]


def _shape(raw: Row, _: Place, __: Surroundings) -> Shaped:
    row = preference_row(raw)
    chosen, rejected = last_answer(row["chosen"], "chosen"), last_answer(row["rejected"], "rejected")
    prompt = messages(row["prompt"], "prompt")
    name = id_of(*(turn["content"] for turn in prompt), chosen, rejected)
    return Shaped(
        file_format="pairs",
        row={
            "id": f"ultramedical:{row.get('prompt_id') or 'row'}:{name}",
            "prompt": prompt,
            "chosen": chosen,
            "rejected": rejected,
            "criteria": [criterion_row(SCALAR)],
        },
    )


ULTRAMEDICAL: Final = Publisher(
    name="ultramedical",
    title="UltraMedical-Preference (arXiv 2406.03949)",
    licence="MIT",
    reads="prompt; chosen and rejected, as a pair on a criterion for the whole response",
    drops="label_type; metadata with models and their scores",
    needs=("prompt", "chosen", "rejected", "label_type"),
    shape=_shape,
)
