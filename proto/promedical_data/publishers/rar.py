"""Rubrics as Rewards: RaR-Medicine and RaR-Science (arXiv 2507.17746), rubrics written by a model for each question.

    {"question", "reference_answer", "question_source", "rubric": [{"title", "description", "weight"}], ...}

A description begins with its category: "Essential Criteria: ". Pitfalls have negative weights in both sets, whether
they state the fault or its avoidance, so that their polarity goes by their wording.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NotRequired

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Dimension, Polarity
from promedical.visible import is_blank
from promedical_data.formats import fields as parts
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.publishers.wording import polarity_of_pitfall
from promedical_data.skips import Place, Refusal
from promedical_data.texts import text_id

_CATEGORY: Final = re.compile(r"\s*(essential|important|optional|pitfall)s?\s+criteri(?:a|on)\s*:\s*", re.IGNORECASE)
_PITFALL: Final = "pitfall"
_DIMENSIONS: Final = {
    "essential": Dimension.PROFICIENCY,
    "important": Dimension.PROFICIENCY,
    "optional": Dimension.EXCELLENCE,
    _PITFALL: Dimension.PROFICIENCY,
}
UNCLEAR: Final = "is a pitfall whose wording does not say whether meeting it is good or bad"
"""Why a pitfall is left out."""


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    question: parts.Filled
    reference_answer: NotRequired[str]
    rubric: parts.RawParts


class _Entry(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    description: parts.Filled
    weight: FiniteFloat


_ROW: Final = TypeAdapter(_Row)
_ENTRY: Final = TypeAdapter(_Entry)


def _shape(raw: Row, place: Place, _: Surroundings) -> Shaped:
    row = parts.checked(_ROW, raw)
    reference = row.get("reference_answer", "")
    return Shaped(
        file_format="criteria",
        row={
            "id": f"rar:{id_of(row['question'])}",
            "prompt": [{"role": "user", "content": row["question"]}],
            "criteria": rar_criteria(row["rubric"], place),
            "responses": [] if is_blank(reference) else [{"id": "reference", "text": reference}],
        },
    )


def rar_criteria(rubric: Sequence[object], place: Place) -> list[dict[str, Any]]:
    """The criteria of a rubric as a row holds them; what cannot be used is noted."""
    return [each for each in parts.kept(rubric, _criterion, "criterion", place) if each]


def _criterion(entry: object, _: Place) -> dict[str, Any]:
    raw = parts.checked(_ENTRY, entry)
    found = _CATEGORY.match(raw["description"])
    category = found[1].lower() if found else _PITFALL if raw["weight"] < 0 else "important"
    text = raw["description"][found.end() :] if found else raw["description"]
    if (raw["weight"] < 0) is not (category == _PITFALL):
        raise Refusal("weight: has another sign than the category of the description")
    dimension = _DIMENSIONS[category]
    row = {"id": text_id(text), "text": text, "dimension": dimension, "polarity": _polarity(category, text)}
    return row if dimension is not Dimension.PROFICIENCY else {**row, "weight": abs(raw["weight"])}


def _polarity(category: str, text: str) -> Polarity:
    polarity = polarity_of_pitfall(text) if category == _PITFALL else Polarity.POSITIVE
    if polarity is None:
        raise Refusal(UNCLEAR)
    return polarity


RAR: Final = Publisher(
    name="rar",
    title="Rubrics as Rewards: RaR-Medicine, RaR-Science (arXiv 2507.17746)",
    licence="not stated by the publisher",
    reads="question; rubric: essential and important criteria as proficiency with their weights, optional ones as "
    "excellence, pitfalls as proficiency with the polarity of their wording; reference answer as a response",
    drops="titles, question_source; pitfalls whose wording does not decide their polarity",
    needs=("question", "rubric"),
    shape=_shape,
    fits=lambda row: isinstance(row["rubric"], list),
)
