"""Exchanges: one response to one prompt, the unit of RL frameworks; and how a group of them becomes one item.

The responses to one prompt share its tree, so exchanges with the same prompt and the same rubric are put into
one item, wherever they are in a batch. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from promedical.interop.labels import RubricChoice
from promedical.interop.markup import Opened, plain_answer, split_exchange, split_prompt, split_query
from promedical.interop.thoughts import Thoughts, judged_part
from promedical.messages import ItemOutcome, Message, ResponseOutcome, Role, RubricSpec, ScoreItem
from promedical.rubric import InvalidField

_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One response and what it answers.

    Attributes:
        turns: The prompt.
        response: The response.
        rubric: What to judge it by; None for the caller's default.
        place: Where it is in the input, for errors.
    """

    turns: tuple[Message, ...]
    response: str
    rubric: RubricChoice | None = None
    place: str = field(default="", compare=False)

    @property
    def size(self) -> int:
        """The bytes of all texts."""
        return sum(len(turn.content.encode()) for turn in self.turns) + len(self.response.encode())

    @classmethod
    def of(cls, asked: Opened, response: str, *, rubric: RubricChoice | None = None, place: str = "") -> "Exchange":
        """An exchange from a prompt that was read, and a response as the policy wrote it.

        Raises:
            InvalidField: The response has chat markup that is not understood.
        """
        try:
            answer = plain_answer(asked.prefill + response, padded=asked.padded)
        except InvalidField as error:
            raise error.under(place or "response") from None
        return cls(turns=asked.turns, response=answer, rubric=rubric, place=place)

    @classmethod
    def read(
        cls,
        prompt: Any,
        response: str,
        *,
        rubric: RubricChoice | None = None,
        place: str = "",
        path: str = "prompt",
        max_turns: int | None = None,
    ) -> "Exchange":
        """An exchange from a prompt (text with or without chat markup, or messages) and a response.

        `path` is what errors call the prompt.

        Raises:
            InvalidField: The prompt cannot be read, or the response has chat markup that is not understood.
            FieldTooLarge: The prompt is text that holds more than `max_turns` turns.
        """
        return cls.of(read_prompt(prompt, path, max_turns=max_turns), response, rubric=rubric, place=place)

    @classmethod
    def split(
        cls,
        text: str,
        prompt: str | None = None,
        *,
        rubric: RubricChoice | None = None,
        place: str = "",
        max_turns: int | None = None,
    ) -> "Exchange":
        """An exchange from a text that holds both: the response follows the prompt, or is the last turn of the markup.

        Raises:
            InvalidField: The text cannot be split.
            FieldTooLarge: The prompt has more than `max_turns`.
        """
        if not isinstance(text, str) or not isinstance(prompt, str | None):
            raise InvalidField(place, "expected text, and a prompt that is text too")
        try:
            if prompt is None:
                turns, response = split_exchange(text, max_turns=max_turns)
            else:
                turns, response = split_query(text, prompt, max_turns=max_turns)
        except InvalidField as error:
            raise error.under(place) from None
        return cls(turns=turns, response=response, rubric=rubric, place=place)

    def judged(self, thoughts: Thoughts) -> "Exchange":
        """The exchange with the part of the response that is judged, which may be empty.

        Raises:
            InvalidField: It is not clear where a thought begins.
        """
        try:
            return replace(self, response=judged_part(self.response, thoughts))
        except InvalidField as error:
            raise error.under(self.place or "response") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Exchanges as items, and for each exchange its item and its place among that item's responses."""

    items: tuple[ScoreItem, ...]
    places: tuple[tuple[int, int], ...]

    def outcomes(self, answered: Sequence[ItemOutcome]) -> list[ResponseOutcome]:
        """The outcome of each exchange, in order; an item's error is that of all its responses."""
        return [_outcome(answered[item], place) for item, place in self.places]


def group(
    exchanges: Sequence[Exchange], *, base_rubric_id: str | None = None, max_responses: int | None = None
) -> Grouping:
    """Put exchanges that share prompt and rubric into one item, of at most `max_responses` each."""
    items: list[list[int]] = []
    open_item: dict[tuple[tuple[Message, ...], RubricChoice | None], int] = {}
    places = []
    for index, exchange in enumerate(exchanges):
        question = (exchange.turns, exchange.rubric)
        if question not in open_item or len(items[open_item[question]]) == max_responses:
            open_item[question] = len(items)
            items.append([])
        item = open_item[question]
        places.append((item, len(items[item])))
        items[item].append(index)
    return Grouping(
        items=tuple(
            _item(str(number), [exchanges[index] for index in members], base_rubric_id)
            for number, members in enumerate(items)
        ),
        places=tuple(places),
    )


def read_prompt(prompt: Any, path: str = "prompt", *, max_turns: int | None = None) -> Opened:
    """A prompt: text with or without chat markup, or messages.

    Raises:
        InvalidField: It cannot be read.
        FieldTooLarge: It is text that holds more than `max_turns` turns.
    """
    if not isinstance(prompt, str):
        return Opened(turns=read_turns(prompt, path))
    try:
        return split_prompt(prompt, max_turns=max_turns)
    except InvalidField as error:
        raise error.under(path) from None


def read_turns(value: Any, path: str = "prompt") -> tuple[Message, ...]:
    """The turns of a conversation as chat APIs write it: objects with `role` and `content` (text or parts of text).

    Raises:
        InvalidField: It is something else, or part of it is not text.
    """
    return tuple(_message(entry, f"{path}[{index}]") for index, entry in _entries(value, path))


def read_answer(value: Any, path: str = "response") -> str:
    """What is judged of the messages that a policy wrote: the text of the last one, empty if it wrote none.

    Raises:
        InvalidField: It ends with a turn of another role, calls a tool, or holds something else than text.
    """
    places = ((f"{path}[{index}]", entry) for index, entry in _entries(value, path))
    turns = [_message(_with_text(entry, place), place) for place, entry in places]
    if turns and turns[-1].role != "assistant":
        raise InvalidField(path, "does not end with a turn of the assistant")
    return turns[-1].content if turns else ""


def _with_text(entry: Any, path: str) -> Any:
    """A policy's message; one without content is empty."""
    if not isinstance(entry, Mapping):
        return entry
    if entry.get("tool_calls"):
        raise InvalidField(f"{path}.tool_calls", "calls a tool, which the oracle cannot see; leave tool calls out")
    return {**entry, "content": ""} if entry.get("content") is None else entry


def _entries(value: Any, path: str) -> Iterable[tuple[int, Any]]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidField(path, "expected a list of messages")
    return enumerate(value)


def _message(entry: Any, path: str) -> Message:
    if isinstance(entry, Message):
        entry = {"role": entry.role, "content": entry.content}
    if not isinstance(entry, Mapping):
        raise InvalidField(path, "expected an object with role and content")
    named = entry.get("role")
    role = _ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        raise InvalidField(f"{path}.role", f"expected one of {', '.join(_ROLES)}; leave tool calls out")
    return Message(role=role, content=read_content(entry.get("content"), f"{path}.content"))


def read_content(content: Any, path: str) -> str:
    """The text of a message, whose parts (`{"type": "text", "text": ...}`) are joined; thoughts are marked.

    Raises:
        InvalidField: A part is not text, such as an image.
    """
    if isinstance(content, str):
        return content
    parts = [] if isinstance(content, bytes | Mapping) or not isinstance(content, Iterable) else content
    texts = [_part(part, path) for part in parts]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidField(path, "expected text, or parts that are all text")
    return "".join(map(str, texts))


def _part(part: Any, path: str) -> Any:
    if not isinstance(part, Mapping):
        return None
    if part.get("type") in ("thinking", "reasoning"):
        return f"<think>{read_content(part.get('thinking', part.get('text')), path)}</think>"
    return part.get("text")


def _item(name: str, members: Sequence[Exchange], base_rubric_id: str | None) -> ScoreItem:
    rubric = members[0].rubric
    return ScoreItem(
        id=name,
        prompt=members[0].turns,
        responses=tuple(member.response for member in members),
        rubric=rubric if isinstance(rubric, RubricSpec) else None,
        rubric_id=rubric if isinstance(rubric, str) else None,
        base_rubric_id=base_rubric_id,
    )


def _outcome(item: ItemOutcome, place: int) -> ResponseOutcome:
    return item.result.responses[place] if item.result else ResponseOutcome(error=item.error)
