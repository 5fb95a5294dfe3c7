"""The prompt as a conversation: one function parses it for the service, the trainer and the bench."""

import re
from collections.abc import Sequence
from typing import Final, cast

from promedical.messages import Message, Role
from promedical.rubric import InvalidField

_TURN: Final = re.compile(r"(?:\A|\n\n)(system|user|assistant): ")


def parse_prompt(prompt: str | Sequence[Message]) -> tuple[Message, ...]:
    """The turns of a prompt.

    A string that begins with "system: ", "user: " or "assistant: " is a transcript, whose turns begin with
    such a word after an empty line; any other string is one user turn. Untrusted text belongs in messages,
    where nothing is parsed.

    Raises:
        InvalidField: The conversation is empty, does not end with a user turn, or that turn is blank.
    """
    turns = _parse_transcript(prompt) if isinstance(prompt, str) else tuple(prompt)
    if not turns:
        raise InvalidField("prompt", "has no messages; give a conversation that ends with a user turn")
    if turns[-1].role != "user":
        raise InvalidField("prompt", f"ends with a turn of {turns[-1].role}; it must end with a user turn")
    if not turns[-1].content.strip():
        raise InvalidField("prompt", "ends with an empty user turn; say what the responses answer")
    return turns


def _parse_transcript(text: str) -> tuple[Message, ...]:
    marks = list(_TURN.finditer(text))
    if not marks or marks[0].start() != 0:
        return (Message(role="user", content=text),)
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return tuple(
        Message(role=cast("Role", mark[1]), content=text[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    )
