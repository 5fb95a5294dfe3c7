"""What every file format shares: kinds of values, how a row is checked, and how bad parts of it are left out."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from promedical.messages import Message
from promedical.rubric import Criterion, InvalidField, Rubric
from promedical.visible import is_blank
from promedical_data.labelled import LabelledPrompt, LabelledResponse, Preference
from promedical_data.skips import Part, Place, Refusal

STRICT: Final = ConfigDict(strict=True)
"""The configuration of rows: values are not converted to fit a type, and unknown keys are ignored."""

_ALIKE: Final = 0.8
"""The similarity from which an unknown key counts as a misspelt known one."""


def _filled(text: str) -> str:
    if is_blank(text):
        raise PydanticCustomError("blank", "is empty")
    return text


def _identifier(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def plain_word(value: object) -> object:
    """A word without differences that mean nothing: case, and white space around it."""
    return value.strip().lower() if isinstance(value, str) else value


Filled = Annotated[str, AfterValidator(_filled)]
"""Text with something visible in it."""
Identifier = Annotated[Filled, BeforeValidator(_identifier)]
"""A name, or a whole number that serves as one."""
Verdict = Literal[0, 1]
"""Whether a criterion holds as worded: 0, 1, false or true."""
RawParts = list[Any]
"""Parts of a row before each is checked on its own, so that a bad part does not spoil the row."""
Word = BeforeValidator(plain_word)
"""Reads a word of a list even if it is written in another case or with white space around it."""


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Checked = TypeVar("Checked")
Identified = TypeVar("Identified", bound=_Identified)


def checked(adapter: TypeAdapter[Checked], raw: object, optional: AbstractSet[str] = frozenset()) -> Checked:
    """The value, if it has the right types. A key with the value null counts as absent.

    Args:
        adapter: The adapter of the right types.
        raw: The value as JSON holds it.
        optional: Keys whose loss would change the meaning: misspelt ones must not be ignored as unknown keys are.

    Raises:
        Refusal: It has wrong types; the message names the first field that is wrong and never a value.
    """
    if isinstance(raw, dict):
        raw = {key: value for key, value in raw.items() if value is not None}
        _check_spelling(raw.keys(), optional)
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(word for word in first["loc"] if isinstance(word, str))
    raise Refusal(f"{field}: {first['msg']}" if field else first["msg"])


def _check_spelling(keys: AbstractSet[str], optional: AbstractSet[str]) -> None:
    for key in keys - optional:
        meant = _alike(key, frozenset(optional - keys))
        if meant:
            raise Refusal(f"{key}: is unknown; did you mean {meant}?")


@lru_cache
def _alike(key: str, words: frozenset[str]) -> str | None:
    """The word that a key is much like; files have the same few keys in every row."""
    return next(iter(get_close_matches(key.lower(), sorted(words), n=1, cutoff=_ALIKE)), None)


def filled(text: str, field: str) -> str:
    """The text.

    Raises:
        Refusal: Nothing of it is visible.
    """
    if is_blank(text):
        raise Refusal(f"{field}: is empty")
    return text


def named(responses: Sequence[object]) -> list[object]:
    """Responses with ids, which are their positions if the file has none."""
    return [
        {**entry, "id": f"r{position}"} if isinstance(entry, dict) and entry.get("id") is None else entry
        for position, entry in enumerate(responses, start=1)
    ]


def kept(
    entries: Iterable[object], parse: Callable[[object, Place], Checked], part: Part, place: Place
) -> list[Checked | None]:
    """What each entry says; None if it cannot be used, which is then noted in the log."""
    places = (place.at(part, _id_of(entry), position) for position, entry in enumerate(entries, start=1))
    return [_parsed(entry, parse, part, here) for entry, here in zip(entries, places, strict=True)]


def _id_of(entry: object) -> object:
    return _identifier(entry.get("id")) if isinstance(entry, dict) else None


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
        Refusal: No usable criterion is left, or no response although one is needed.
        InvalidField: The criteria do not make a rubric, since all proficiency weights are 0.
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
