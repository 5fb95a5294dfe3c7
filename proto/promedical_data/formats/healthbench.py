"""The "healthbench" format: HealthBench items as OpenAI publishes them, with graded responses where there are any.

    {"prompt_id"?, "source"?, "prompt": messages, "rubrics": [{"criterion", "points", "tags"?}],
     "responses"?: [{"id"?, "text", "kind"?, "grades": [{"criteria_met": true | false}]}]}

Grades stand in the order of the rubrics. `kind` says who graded: "llm" unless it is named. Criteria have no ids here,
and some items have none either: they are made of the text. Negative points mean negative polarity. HealthBench knows
axes and points, not our three dimensions, so these are derived (`dimension_of`): no physician said them.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NotRequired

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.formats import fields as parts
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.skips import Place, Refusal

VETO_POINTS: Final = -8
"""Points from which on a criterion can be a veto."""
PROFICIENCY_POINTS: Final = 5
"""Size of points from which on a criterion without an axis is proficiency."""

_AXIS: Final = "axis:"
_AXES_WITHOUT_VETO: Final = {"communication_quality", "completeness"}
_OMISSION: Final = re.compile(
    r"""\A (?:\w+\ (?:or\ )?)? (?: (?:do|does|did)\ not | (?:do|does|did)n['\u2019]t | neglects | omits | lacks | misses
                                 | forgets | never ) \b
      | \A .{0,90}? \b fails?\ to \b
      | \A .{0,90}? \b but\ (?:does\ not|doesn['\u2019]t) \b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""What the response leaves undone, said at the start: further on, "does not" mostly speaks of the patient."""


class _Item(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    prompt_id: NotRequired[parts.Filled | None]
    source: NotRequired[parts.Filled]
    prompt: parts.RawPrompt
    rubrics: parts.RawParts
    responses: NotRequired[parts.RawParts]


class _RubricEntry(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    criterion: str
    points: FiniteFloat
    tags: NotRequired[list[str] | None]


class _Response(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: NotRequired[parts.Filled]
    text: parts.Filled
    kind: NotRequired[parts.Filled]
    grades: parts.RawParts


class _Grade(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    criteria_met: parts.Verdict


_ITEM: Final = TypeAdapter(_Item)
_RUBRIC_ENTRY: Final = TypeAdapter(_RubricEntry)
_RESPONSE: Final = TypeAdapter(_Response)
_GRADE: Final = TypeAdapter(_Grade)


def parse_row(raw: object, place: Place, *, source: str, responses_needed: bool) -> LabelledPrompt:
    """One item as a prompt; bad parts of it go to the log.

    Args:
        raw: The item as JSON holds it.
        place: Where it stands.
        source: Of items that name none.
        responses_needed: Whether an item without responses is bad.

    Raises:
        Refusal: The item as a whole cannot be used.
        InvalidField: The same, for its prompt or its rubric.
    """
    item = parts.checked(_ITEM, raw)
    turns = parts.turns_of(item["prompt"])
    graded = parts.kept(item["rubrics"], _criterion, "criterion", place)
    criteria = parts.unambiguous(graded, place)
    columns = _columns(graded, {criterion.id for criterion in criteria})
    responses = parts.kept(_named(item.get("responses", [])), partial(_response, columns=columns), "response", place)
    return parts.assembled(
        prompt_id=item.get("prompt_id") or criterion_id("\n\n".join(turn.content for turn in turns)),
        source=item.get("source", source),
        turns=turns,
        criteria=criteria,
        responses=parts.distinct(responses, "response", place),
        responses_needed=responses_needed,
    )


def dimension_of(text: str, points: float, axis: str | None) -> Dimension:
    """Where a HealthBench criterion counts.

    Safety: worth -8 points or worse, on no axis or one of accuracy, context awareness and instruction following, and
    worded as something that the response does: what it leaves out is no veto. Else excellence is the axis
    communication quality, or without an axis fewer than 5 points either way; the rest is proficiency.
    """
    if points <= VETO_POINTS and axis not in _AXES_WITHOUT_VETO and not _OMISSION.search(text):
        return Dimension.SAFETY
    excellent = axis == "communication_quality" if axis else abs(points) < PROFICIENCY_POINTS
    return Dimension.EXCELLENCE if excellent else Dimension.PROFICIENCY


def _criterion(entry: object, _: Place) -> Criterion:
    raw = parts.checked(_RUBRIC_ENTRY, entry)
    text, points = raw["criterion"].strip(), raw["points"]
    axis = next((tag.removeprefix(_AXIS) for tag in raw.get("tags") or [] if tag.startswith(_AXIS)), None)
    polarity = Polarity.NEGATIVE if points < 0 else Polarity.POSITIVE
    return parts.criterion_of(
        criterion_id(raw["criterion"]), text, dimension_of(text, points, axis), polarity=polarity, points=points
    )


def criterion_id(text: str) -> str:
    """The id of a criterion, or of an item, that has none: of its text."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:10]


def _columns(graded: Sequence[Criterion | None], usable: set[str]) -> list[str | None]:
    """The criterion id that each grade is for; None where that was left out, so that grades keep their places."""
    ids = [criterion.id if criterion and criterion.id in usable else None for criterion in graded]
    return [None if column in ids[:position] else column for position, column in enumerate(ids)]


def _named(responses: Sequence[object]) -> list[object]:
    """Responses with ids, by their position where the file has none."""
    return [
        {"id": f"r{position}"} | entry if isinstance(entry, dict) else entry
        for position, entry in enumerate(responses, start=1)
    ]


def _response(entry: object, place: Place, *, columns: Sequence[str | None]) -> LabelledResponse:
    raw = parts.checked(_RESPONSE, entry)
    if len(raw["grades"]) != len(columns):
        raise Refusal("grades: are not one per entry of rubrics")
    labels = dict(_labels(raw["grades"], columns, raw.get("kind", "llm"), place))
    return LabelledResponse(id=raw["id"], text=raw["text"], labels=labels)


def _labels(
    grades: Sequence[object], columns: Sequence[str | None], kind: str, place: Place
) -> Iterator[tuple[str, Label]]:
    for position, (grade, column) in enumerate(zip(grades, columns, strict=True), start=1):
        try:
            yield _label(grade, column, kind)
        except Refusal as error:
            place.at("criterion", column, position).skip("label", str(error))


def _label(grade: object, column: str | None, kind: str) -> tuple[str, Label]:
    if column is None:
        raise Refusal("is for a criterion that was left out")
    met = bool(parts.checked(_GRADE, grade)["criteria_met"])
    return column, Label(met=met, kind=kind, votes=(met,))
