"""The parts that every file format shares: prompts, criteria, verdicts, and how bad ones are left out."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, Protocol, TypeVar

from pydantic import ConfigDict, Discriminator, Field, FiniteFloat, StringConstraints, Tag, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from promedical.conversation import parse_prompt
from promedical.messages import Message, Role
from promedical.rubric import Criterion, Dimension, InvalidField, Polarity, Rubric
from promedical_data.labelled import LabelledPrompt, LabelledResponse, Preference
from promedical_data.skips import Part, Place, Refusal

STRICT: Final = ConfigDict(strict=True)
"""No value is bent to fit its type; keys that nobody asks for are ignored."""

Filled = Annotated[str, StringConstraints(pattern=r"\S")]
"""Text that is not blank."""
Verdict = Literal[0, 1]
"""Whether a criterion holds as worded: 0, 1, false or true."""
RawParts = list[Any]
"""Parts of a row before each is checked on its own, so that a bad one does not take the row with it."""


class Turn(TypedDict):
    """One message of a prompt."""

    role: Role
    content: str


def _shape(prompt: object) -> str:
    return "transcript" if isinstance(prompt, str) else "messages"


RawPrompt = Annotated[
    Annotated[str, Tag("transcript")] | Annotated[list[Turn], Tag("messages")],
    Discriminator(_shape),
]
"""A transcript or a list of messages, as `parse_prompt` takes them."""


class RawCriterion(TypedDict):
    """A criterion of the formats "criteria" and "pairs"."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    id: Filled
    text: str
    dimension: Annotated[Dimension, Field(strict=False)]
    polarity: NotRequired[Annotated[Polarity, Field(strict=False)] | None]
    points: NotRequired[FiniteFloat | None]


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Checked = TypeVar("Checked")
Identified = TypeVar("Identified", bound=_Identified)

_CRITERION: Final = TypeAdapter(RawCriterion)


def checked(adapter: TypeAdapter[Checked], raw: object) -> Checked:
    """The value, if it has the right types.

    Raises:
        Refusal: It has not; names the first field that is wrong and never a value.
    """
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(word for word in first["loc"] if isinstance(word, str))
    fault = "is empty" if first["type"] == "string_pattern_mismatch" else first["msg"]
    raise Refusal(f"{field}: {fault}" if field else fault)


def turns_of(prompt: str | list[Turn]) -> tuple[Message, ...]:
    """The turns of a prompt.

    Raises:
        InvalidField: It is not a conversation that ends with a user turn.
    """
    return parse_prompt(prompt if isinstance(prompt, str) else [Message(**turn) for turn in prompt])


def messages_of(turns: Sequence[Message]) -> list[dict[str, str]]:
    """Turns as a row holds them."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def kept(
    entries: Iterable[object], parse: Callable[[object, Place], Checked], part: Part, place: Place
) -> list[Checked | None]:
    """What each entry says; None where it cannot be used, which the log then knows."""
    places = (place.at(part, _id_of(entry), position) for position, entry in enumerate(entries, start=1))
    return [_parsed(entry, parse, part, here) for entry, here in zip(entries, places, strict=True)]


def _id_of(entry: object) -> object:
    return entry.get("id") if isinstance(entry, dict) else None


def _parsed(entry: object, parse: Callable[[object, Place], Checked], part: Part, place: Place) -> Checked | None:
    try:
        return parse(entry, place)
    except (Refusal, InvalidField) as error:
        place.skip(part, str(error))
        return None


def distinct(entries: Iterable[Identified | None], part: Part, place: Place) -> tuple[Identified, ...]:
    """The usable entries, the first of each id."""
    by_id: dict[str, Identified] = {}
    for position, entry in enumerate(entries, start=1):
        if entry is not None and by_id.setdefault(entry.id, entry) is not entry:
            place.at(part, entry.id, position).skip(part, "id: is the same as that of an earlier one")
    return tuple(by_id.values())


def criteria_of(entries: Sequence[object], place: Place) -> tuple[Criterion, ...]:
    """The usable criteria of a row in the formats "criteria" and "pairs"."""
    return unambiguous(kept(entries, _criterion, "criterion", place), place)


def _criterion(entry: object, _: Place) -> Criterion:
    raw = checked(_CRITERION, entry)
    return criterion_of(
        raw["id"], raw["text"], raw["dimension"], polarity=raw.get("polarity"), points=raw.get("points")
    )


def criterion_of(
    criterion_id: str, text: str, dimension: Dimension, *, polarity: Polarity | None, points: float | None
) -> Criterion:
    """A criterion whose weight is the size of its points, which count for proficiency only.

    Raises:
        InvalidField: It is not sound, for example a safety criterion that is positive.
    """
    weight = abs(points) if points is not None and dimension is Dimension.PROFICIENCY else None
    return Criterion(id=criterion_id, text=text, dimension=dimension, polarity=polarity, weight=weight)


def criterion_row(criterion: Criterion) -> dict[str, Any]:
    """A criterion as a row of the formats "criteria" and "pairs" holds it."""
    row = {
        "id": criterion.id,
        "text": criterion.text,
        "dimension": str(criterion.dimension),
        "polarity": str(criterion.polarity),
    }
    if criterion.weight is None:
        return row
    sign = -1 if criterion.polarity is Polarity.NEGATIVE else 1
    return {**row, "points": sign * criterion.weight}


def unambiguous(criteria: Sequence[Criterion | None], place: Place) -> tuple[Criterion, ...]:
    """The usable criteria, without any id that stands for several: nobody could tell what its labels mean."""
    meanings = Counter(criterion.id for criterion in {criterion for criterion in criteria if criterion})
    several = [criterion for criterion in criteria if criterion and meanings[criterion.id] > 1]
    for position, criterion in enumerate(several, start=1):
        place.at("criterion", criterion.id, position).skip("criterion", "id: stands for several different criteria")
    return distinct((None if criterion in several else criterion for criterion in criteria), "criterion", place)


def assembled(
    *,
    prompt_id: str,
    source: str,
    turns: tuple[Message, ...],
    criteria: tuple[Criterion, ...],
    responses: tuple[LabelledResponse, ...],
    responses_needed: bool,
    preferences: tuple[Preference, ...] = (),
) -> LabelledPrompt:
    """A row as one prompt.

    Raises:
        Refusal: No usable criterion is left, or no response where one is needed.
        InvalidField: The criteria do not make a rubric: all proficiency weights are 0.
    """
    if not criteria:
        raise Refusal("criteria: none is left that can be used")
    Rubric(criteria=criteria)
    if responses_needed and not responses:
        raise Refusal("responses: none is left that can be used")
    return LabelledPrompt(
        id=prompt_id,
        source=source,
        turns=turns,
        criteria=criteria,
        responses=responses,
        preferences=preferences,
    )


def by_id(criteria: Iterable[Criterion]) -> Mapping[str, Criterion]:
    """Criteria by their ids."""
    return {criterion.id: criterion for criterion in criteria}
