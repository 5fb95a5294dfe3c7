"""The "healthbench" format: HealthBench items as OpenAI publishes them, with graded responses where there are any.

    {"prompt_id"?, "source"?, "prompt": messages, "rubrics": [{"criterion", "points", "tags"?, "dimension"?}],
     "responses"?: [{"id"?, "text", "kind"?, "grades": [{"criteria_met": true | false} | null]}]}

Grades are in the order of the rubrics; null means that there is none. `kind` says who graded; the default is "llm".
Criteria have no ids here, and some items have none either, so ids are made from the text. A criterion that occurs
twice counts twice, as in HealthBench. Negative points mean negative polarity.
HealthBench has axes and points, not our three dimensions, so these are derived (`dimension_of`): no physician chose
them. If another dimension is known, `dimension` says it; only our own files have it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import criterion_of
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.skips import Place, Refusal
from promedical_data.texts import text_id

HOLDS: Final = (
    "criteria whose ids are made of their texts, with a weight if they are proficiency, and responses that one kind of "
    "rater graded once; no preferences"
)
"""What an item can say."""

VETO_POINTS: Final = -8
"""A criterion can be a veto if its points are this low or lower."""
PROFICIENCY_POINTS: Final = 5
"""A criterion without an axis is proficiency if its points are of this size or larger."""

_AXIS: Final = "axis:"
_AXES_WITHOUT_VETO: Final = {"communication_quality", "completeness"}
_AXES: Final = {*_AXES_WITHOUT_VETO, "accuracy", "context_awareness", "instruction_following"}
_OMISSION: Final = re.compile(
    r"""\A (?:\w+\ (?:or\ )?)? (?: (?:do|does|did)\ not | (?:do|does|did)n['\u2019]t | neglects | omits | lacks | misses
                                 | forgets | never ) \b
      | \A .{0,90}? \b fails?\ to \b
      | \A .{0,90}? \b but\ (?:does\ not|doesn['\u2019]t) \b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""What the response fails to do, said at the start: further on, "does not" is mostly about the patient."""


class _Item(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    prompt_id: NotRequired[parts.Identifier]
    source: NotRequired[parts.Filled]
    prompt: conversations.RawPrompt
    rubrics: parts.RawParts
    responses: NotRequired[parts.RawParts]


class _RubricEntry(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    criterion: str
    points: FiniteFloat
    tags: NotRequired[list[str]]
    dimension: NotRequired[Annotated[Dimension, Field(strict=False), parts.Word]]


class _Response(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    text: conversations.RawAnswer
    kind: NotRequired[parts.Filled]
    grades: parts.RawParts


class _Grade(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    criteria_met: parts.Verdict


_ITEM: Final = TypeAdapter(_Item)
_RUBRIC_ENTRY: Final = TypeAdapter(_RubricEntry)
_RESPONSE: Final = TypeAdapter(_Response)
_GRADE: Final = TypeAdapter(_Grade)


def parse_row(
    raw: object, place: Place, *, source: str, responses_needed: bool, blank_responses: bool = False
) -> LabelledPrompt:
    """One item as a prompt; bad parts of it go to the log.

    Args:
        raw: The item as JSON holds it.
        place: Where the item is in the file.
        source: The source of items that name none.
        blank_responses: Whether a response may be empty, as it may be where a policy is measured.
        responses_needed: Whether an item without responses is bad.

    Raises:
        Refusal: The item as a whole cannot be used.
        InvalidField: The item cannot be used because of its prompt or its rubric.
    """
    item = parts.checked(_ITEM, raw)
    turns = conversations.literal_turns_of(item["prompt"])
    graded = parts.kept(item["rubrics"], _criterion, "criterion", place)
    ids = ids_of(item["rubrics"])
    criteria = [replace(each, id=name) if each else None for each, name in zip(graded, ids, strict=True)]
    columns = [criterion.id if criterion else None for criterion in criteria]
    parse = partial(_response, columns=columns, turns=turns, blank=blank_responses)
    responses = parts.kept(parts.named(item.get("responses", [])), parse, "response", place)
    return parts.assembled(
        prompt_id=item.get("prompt_id") or text_id("\n\n".join(turn.content for turn in turns)),
        source=item.get("source", source),
        turns=turns,
        criteria=tuple(criterion for criterion in criteria if criterion),
        responses=parts.distinct(responses, "response", place),
        responses_needed=responses_needed,
    )


def row_of(prompt: LabelledPrompt) -> dict[str, Any]:
    """The item for this prompt, as far as the format can hold it.

    Points are kept in memory for proficiency only. Here excellence gets one point, and safety as many as make a veto.
    """
    return {
        "prompt_id": prompt.id,
        "source": prompt.source,
        "prompt": conversations.messages_of(prompt.turns),
        "rubrics": [_entry(criterion) for criterion in prompt.criteria],
        "responses": [_response_row(response, prompt.criteria) for response in prompt.responses],
    }


def _entry(criterion: Criterion) -> dict[str, Any]:
    sizes = {Dimension.SAFETY: -VETO_POINTS, Dimension.EXCELLENCE: 1, Dimension.PROFICIENCY: criterion.weight}
    size = sizes[criterion.dimension]
    if size is None:
        raise Refusal("criteria: have no weight")
    points = -size if criterion.polarity is Polarity.NEGATIVE else size
    entry = {"criterion": criterion.text, "points": points}
    derived = dimension_of(criterion.text, points, None)
    return entry if derived is criterion.dimension else {**entry, "dimension": str(criterion.dimension)}


def _response_row(response: LabelledResponse, criteria: Sequence[Criterion]) -> dict[str, Any]:
    labels = [response.labels.get(criterion.id) for criterion in criteria]
    kinds = [label.kind for label in labels if label]
    grades = [{"criteria_met": label.met} if label else None for label in labels]
    return {"id": response.id, "text": response.text, **({"kind": kinds[0]} if kinds else {}), "grades": grades}


def dimension_of(text: str, points: float, axis: str | None) -> Dimension:
    """Where a HealthBench criterion counts.

    A criterion is safety if it is worth -8 points or less, has no axis or one of accuracy, context awareness and
    instruction following, and is worded as something that the response does: an omission is not a veto. Otherwise it
    is excellence if its axis is communication quality, or if it has no axis and fewer than 5 points either way. All
    other criteria are proficiency.
    """
    if points <= VETO_POINTS and axis not in _AXES_WITHOUT_VETO and not _OMISSION.search(text):
        return Dimension.SAFETY
    excellent = axis == "communication_quality" if axis else abs(points) < PROFICIENCY_POINTS
    return Dimension.EXCELLENCE if excellent else Dimension.PROFICIENCY


def _criterion(entry: object, _: Place) -> Criterion:
    raw = parts.checked(_RUBRIC_ENTRY, entry)
    text, points = raw["criterion"].strip(), raw["points"]
    axis = _axis(raw.get("tags", []))
    polarity = Polarity.NEGATIVE if points < 0 else Polarity.POSITIVE
    dimension = raw.get("dimension") or dimension_of(text, points, axis)
    return criterion_of(text_id(text), text, dimension, polarity=polarity, points=points)


def _axis(tags: Sequence[str]) -> str | None:
    axis = next((tag.removeprefix(_AXIS) for tag in tags if tag.startswith(_AXIS)), None)
    word = axis and axis.strip().lower().replace(" ", "_")
    if word and word not in _AXES:
        raise Refusal(f"tags: name an axis that is not one of {', '.join(sorted(_AXES))}")
    return word


def ids_of(rubrics: Iterable[object]) -> list[str]:
    """An id for every entry of an item's rubrics. A repeated criterion counts in every place, each with its own id.

    Entries that cannot be used have an id too, so that ids keep their places.
    """
    return criterion_ids(str(entry.get("criterion")).strip() if isinstance(entry, dict) else "" for entry in rubrics)


def criterion_ids(texts: Iterable[str]) -> list[str]:
    """The ids of the criteria with these texts; repetitions of a text are numbered from 2."""
    found: list[str] = []
    count: Counter[str] = Counter()
    for text in texts:
        name = text_id(text)
        count[name] += 1
        found.append(name if count[name] == 1 else f"{name}-{count[name]}")
    return found


def _response(
    entry: object, place: Place, *, columns: Sequence[str | None], turns: tuple[Message, ...], blank: bool
) -> LabelledResponse:
    raw = parts.checked(_RESPONSE, entry)
    text = conversations.answer_of(raw["text"], turns, "text")
    if not blank:
        parts.filled(text, "text")
    if len(raw["grades"]) != len(columns):
        raise Refusal("grades: are not one per entry of rubrics")
    labels = dict(_labels(raw["grades"], columns, raw.get("kind", "llm"), place))
    return LabelledResponse(id=raw["id"], text=text, labels=labels)


def _labels(
    grades: Sequence[object], columns: Sequence[str | None], kind: str, place: Place
) -> Iterator[tuple[str, Label]]:
    for position, (grade, column) in enumerate(zip(grades, columns, strict=True), start=1):
        if grade is None:
            continue
        try:
            yield _label(grade, column, kind)
        except Refusal as error:
            place.at("criterion", column, position).skip("label", str(error))


def _label(grade: object, column: str | None, kind: str) -> tuple[str, Label]:
    if column is None:
        raise Refusal("is for a criterion that was left out")
    met = bool(parts.checked(_GRADE, grade)["criteria_met"])
    return column, Label(met=met, kind=kind, votes=(met,))
