"""The parts that every file format shares: texts, prompts, answers, verdicts, and how bad ones are left out."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, NotRequired, Protocol, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from promedical.conversation import parse_prompt
from promedical.messages import Message, Role
from promedical.rubric import Criterion, InvalidField, Rubric
from promedical_data.labelled import LabelledPrompt, LabelledResponse, Preference
from promedical_data.skips import Part, Place, Refusal
from promedical_data.texts import is_blank

STRICT: Final = ConfigDict(strict=True)
"""No value is bent to fit its type; keys that nobody asks for are ignored."""

_ALIKE: Final = 0.8
"""Similarity from which a key that nobody knows is a known one misspelt."""


def _filled(text: str) -> str:
    if is_blank(text):
        raise PydanticCustomError("blank", "is empty")
    return text


def _identifier(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _word(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _role(value: object) -> object:
    word = _word(value)
    return "system" if word == "developer" else word


def _joined(value: object) -> object:
    """A content, or one that is given in parts, as one text."""
    if not isinstance(value, list):
        return value
    texts = [_part(part) for part in value]
    return "\n".join(texts)


def _part(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    raise PydanticCustomError("part", "has a part that is not text")


def _messages(value: object) -> object:
    """One message as a list of one; parts of a text as one text."""
    if isinstance(value, dict):
        return [value]
    are_parts = isinstance(value, list) and all(isinstance(part, dict) and "role" not in part for part in value)
    return _joined(value) if are_parts and value else value


def _shape(value: object) -> str:
    return "transcript" if isinstance(value, str) else "messages"


Filled = Annotated[str, AfterValidator(_filled)]
"""Text of which there is something to see."""
Identifier = Annotated[Filled, BeforeValidator(_identifier)]
"""A name, or a whole number as one."""
Verdict = Literal[0, 1]
"""Whether a criterion holds as worded: 0, 1, false or true."""
RawParts = list[Any]
"""Parts of a row before each is checked on its own, so that a bad one does not take the row with it."""
Word = BeforeValidator(_word)
"""Makes one word of a list also of how others write it: in other case, with white space around it."""


class Turn(TypedDict):
    """One message. A content in parts is their text; a developer's turn is the system's."""

    role: Annotated[Role, BeforeValidator(_role)]
    content: Annotated[str, BeforeValidator(_joined)]


RawPrompt = Annotated[
    Annotated[str, Tag("transcript")] | Annotated[list[Turn], Tag("messages")],
    Discriminator(_shape),
    BeforeValidator(_messages),
]
"""A transcript or messages, as `parse_prompt` takes them; or the parts of a text."""
RawAnswer = RawPrompt
"""A text, or messages of which the last is the answer; or the parts of a text."""


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Checked = TypeVar("Checked")
Identified = TypeVar("Identified", bound=_Identified)


class _Answer(TypedDict):
    text: RawAnswer


class _Answers(TypedDict):
    __pydantic_config__ = STRICT  # type: ignore[misc]

    responses: NotRequired[list[_Answer]]


_ANSWERS: Final = TypeAdapter(_Answers)


def checked(adapter: TypeAdapter[Checked], raw: object, known: AbstractSet[str] = frozenset()) -> Checked:
    """The value, if it has the right types. A key whose value is null is one that is not there.

    Args:
        adapter: Of the right types.
        raw: As JSON holds it.
        known: Keys of which none may be misspelt, as a key that nobody knows is ignored.

    Raises:
        Refusal: It has not; names the first field that is wrong and never a value.
    """
    if isinstance(raw, dict):
        raw = {key: value for key, value in raw.items() if value is not None}
        _check_spelling(raw.keys(), known)
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(word for word in first["loc"] if isinstance(word, str))
    raise Refusal(f"{field}: {first['msg']}" if field else first["msg"])


def _check_spelling(keys: AbstractSet[str], known: AbstractSet[str]) -> None:
    for key in keys - known:
        meant = get_close_matches(key, known - keys, n=1, cutoff=_ALIKE)
        if meant:
            raise Refusal(f"{key}: is unknown; did you mean {meant[0]}?")


def turns_of(prompt: str | list[Turn]) -> tuple[Message, ...]:
    """The turns of a prompt.

    Raises:
        InvalidField: It is not a conversation that ends with a user turn.
    """
    return parse_prompt(prompt if isinstance(prompt, str) else [Message(**turn) for turn in prompt])


def answer_of(answer: str | list[Turn], turns: tuple[Message, ...], field: str) -> str:
    """The text of an answer, which may be empty.

    Args:
        answer: A text, or messages that end with the assistant's; those before it may repeat the prompt's last.
        turns: Of the prompt.
        field: Its key, for the error.

    Raises:
        Refusal: It holds no answer, or answers another prompt.
    """
    if isinstance(answer, str):
        return answer
    messages = tuple(Message(**turn) for turn in answer)
    if not messages or messages[-1].role != "assistant":
        raise Refusal(f"{field}: does not end with a message of the assistant")
    before = messages[:-1]
    if before != turns[len(turns) - len(before) :]:
        raise Refusal(f"{field}: has other messages before the answer than the prompt")
    return messages[-1].content


def filled(text: str, field: str) -> str:
    """The text.

    Raises:
        Refusal: Nobody sees anything of it.
    """
    if is_blank(text):
        raise Refusal(f"{field}: is empty")
    return text


def named(responses: Sequence[object]) -> list[object]:
    """Responses with ids, by their position where the file has none."""
    return [
        {**entry, "id": f"r{position}"} if isinstance(entry, dict) and entry.get("id") is None else entry
        for position, entry in enumerate(responses, start=1)
    ]


def answers_of(raw: dict[str, Any], turns: tuple[Message, ...]) -> tuple[str, ...]:
    """The texts of all `responses` of a row, in their order, graded or not, empty ones too.

    Raises:
        Refusal: One of them has no text.
    """
    responses = checked(_ANSWERS, raw).get("responses", [])
    return tuple(answer_of(response["text"], turns, "responses.text") for response in responses)


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
