"""The prompt as a conversation: one function parses it for the service, the trainer and the bench."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Final, cast

from promedical.messages import Message, Role
from promedical.rubric import InvalidField
from promedical.visible import is_blank

_EMPTY: Final = r"(?:[^\S\n]|[\u200b\ufeff])*+\n"
"""The rest of a line that looks empty."""
_FIRST: Final = re.compile(rf"\ufeff?(?:{_EMPTY})*+(system|user|assistant): ")
_NEXT: Final = re.compile(rf"\n{_EMPTY}(system|user|assistant): ")
"""A pattern of its own: a search is many times faster when all matches begin with the same characters."""


def parse_prompt(prompt: str | Sequence[Message]) -> tuple[Message, ...]:
    """The turns of a prompt.

    A string that begins with "system: ", "user: " or "assistant: " is a transcript, whose turns begin with
    such a word after an empty line; any other string is one user turn. Lines may end as on any system; those of a
    transcript then end with a line feed. Untrusted text belongs in messages, where nothing is parsed.

    Raises:
        InvalidField: The conversation is empty, does not end with a user turn, or that turn is blank.
    """
    turns = _parse_transcript(prompt) if isinstance(prompt, str) else tuple(prompt)
    if not turns:
        raise InvalidField("prompt", "has no messages; give a conversation that ends with a user turn")
    if turns[-1].role != "user":
        raise InvalidField("prompt", f"ends with a turn of {turns[-1].role}; it must end with a user turn")
    if is_blank(turns[-1].content):
        raise InvalidField("prompt", "ends with an empty user turn; say what the responses answer")
    return turns


def count_turns(prompt: str | Sequence[Message], most: int) -> int:
    """How many turns `parse_prompt` would make; turns of a transcript are counted up to `most` only."""
    if not isinstance(prompt, str):
        return len(prompt)
    return max(1, sum(1 for _ in islice(_marks(_with_line_feeds(prompt)), most)))


def _parse_transcript(text: str) -> tuple[Message, ...]:
    lines = _with_line_feeds(text)
    marks = list(_marks(lines))
    if not marks:
        return (Message(role="user", content=text),)
    ends = [mark.start() for mark in marks[1:]] + [len(lines)]
    return tuple(
        Message(role=cast("Role", mark[1]), content=lines[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    )


def _with_line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _marks(text: str) -> Iterator[re.Match[str]]:
    """Where turns begin; empty for a text that is not a transcript."""
    first = _FIRST.match(text)
    return chain([first], _NEXT.finditer(text, first.end())) if first else iter(())
