"""Criteria in the notes of a row: as drafters answer them, and as they stand there afterwards. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promedical.rubric import Criterion, Dimension, InvalidField, Polarity
from promedical_curation.rubrics.drafts import Draft


def schema(most_criteria: int, most_characters: int, dimensions: Sequence[str] = tuple(Dimension)) -> dict[str, Any]:
    """The schema of a draft. Every array and every text is bounded, so that no model can write for ever.

    Args:
        most_criteria: The most criteria of one draft.
        most_characters: The most characters of a criterion, and of its citation.
        dimensions: The dimensions that a criterion may have.
    """
    entry = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 8, "maxLength": most_characters},
            "dimension": {"type": "string", "enum": [str(each) for each in dimensions]},
            "polarity": {"type": "string", "enum": [str(each) for each in Polarity]},
            "weight": {"type": "integer", "minimum": 1, "maximum": 10},
            "factual": {"type": "boolean"},
            "citation": {"type": "string", "maxLength": most_characters},
        },
        "required": ["text", "dimension", "polarity", "weight", "factual", "citation"],
        "additionalProperties": False,
    }
    criteria = {"type": "array", "minItems": 1, "maxItems": most_criteria, "items": entry}
    return {
        "type": "object",
        "properties": {"criteria": criteria},
        "required": ["criteria"],
        "additionalProperties": False,
    }


def drafted(answer: Mapping[str, Any], drafter: str) -> tuple[list[Draft], list[str]]:
    """The criteria of one drafter's answer, and why others cannot be used.

    A weight counts only for proficiency. A veto that is called positive is refused: turning it would change its sense.
    """
    drafts: list[Draft] = []
    refused: list[str] = []
    for number, entry in enumerate(answer["criteria"], start=1):
        proficient = entry["dimension"] == Dimension.PROFICIENCY
        try:
            criterion = Criterion(
                id=f"c{number}",
                text=" ".join(entry["text"].split()),
                dimension=entry["dimension"],
                polarity=entry["polarity"],
                weight=float(entry["weight"]) if proficient else None,
            )
        except InvalidField as error:
            refused.append(f"{error.field}: {error.reason}")
            continue
        citation = entry["citation"].strip() or None
        drafts.append(Draft(criterion=criterion, drafters=(drafter,), citation=citation, factual=entry["factual"]))
    return drafts, refused


def as_note(drafts: Iterable[Draft]) -> list[dict[str, Any]]:
    """Drafts as plain JSON."""
    return [
        {
            "id": each.criterion.id,
            "text": each.criterion.text,
            "dimension": str(each.criterion.dimension),
            "polarity": str(each.criterion.polarity),
            "weight": each.criterion.weight,
            "citation": each.citation,
            "factual": each.factual,
            "drafters": list(each.drafters),
        }
        for each in drafts
    ]


def from_note(entries: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """Drafts from plain JSON."""
    return [
        Draft(
            criterion=Criterion(
                id=each["id"],
                text=each["text"],
                dimension=each["dimension"],
                polarity=each["polarity"],
                weight=each["weight"],
            ),
            drafters=tuple(each["drafters"]),
            citation=each["citation"],
            factual=each["factual"],
        )
        for each in entries
    ]
