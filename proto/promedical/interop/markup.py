"""Chat markup of other models: text that a chat template wrote, back to turns. Pure.

RL frameworks hand out prompts and answers as the text that the policy saw. Each format below is a rule of its
own: how a turn begins, and what ends it. A template that leaves the answer's turn open may already have put
something into it (for example `<think>`); that belongs to the response.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from promedical.messages import Message, Role
from promedical.rubric import FieldTooLarge, InvalidField

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "[INST]": "user",
    "assistant": "assistant",
    "model": "assistant",
    "[/INST]": "assistant",
}
_BEGINNINGS: Final = (
    "<s>",
    "<bos>",
    "<|begin_of_text|>",
    "<|endoftext|>",
    "<pad>",
    "<|pad|>",
    "<|finetune_right_pad_id|>",
)
_ENDINGS: Final = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "</s>",
    "<eos>",
    "<|end_of_text|>",
    *_BEGINNINGS[3:],
)
_ONLY_BEGINNINGS: Final = re.compile(rf"(?:\s|{'|'.join(map(re.escape, _BEGINNINGS))})*+")
"""Possessive, so that skipping a lot of white space takes no memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """How one family of chat templates writes a turn: its first group is the role."""

    name: str
    opening: re.Pattern[str]
    closings: tuple[str, ...]
    padded: bool = False
    """Whether the template adds the white space around a turn."""


CHAT_FORMATS: Final = (
    ChatFormat(name="ChatML", opening=re.compile(r"<\|im_start\|>(\w+)\n"), closings=("<|im_end|>",)),
    ChatFormat(
        name="Llama 3",
        opening=re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n"),
        closings=("<|eot_id|>", "<|eom_id|>"),
    ),
    ChatFormat(name="Gemma", opening=re.compile(r"<start_of_turn>(\w+)\n"), closings=("<end_of_turn>",)),
    ChatFormat(
        name="Phi and Zephyr",
        opening=re.compile(r"<\|(system|user|assistant)\|>\n?"),
        closings=("<|end|>", "</s>"),
    ),
    ChatFormat(name="Mistral", opening=re.compile(r"(\[INST\]|\[/INST\])"), closings=("</s>",), padded=True),
)
"""Formats in the order in which they are tried; the first whose opening begins the text is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    message: Message
    closed: bool


Turns = tuple[Message, ...]


def split_prompt(text: str, *, max_turns: int | None = None) -> tuple[Turns, str]:
    """The turns of a prompt, and what its template already wrote into the answer's turn.

    Text without chat markup is one user turn, whatever it holds.

    Raises:
        InvalidField: A turn has a role other than system, user and assistant.
        FieldTooLarge: The prompt has more than `max_turns`.
    """
    turns = _read(text, max_turns)
    if not turns:
        return (Message(role="user", content=text),), ""
    if turns[-1].message.role == "assistant" and not turns[-1].closed:
        return _prompt(turns[:-1], max_turns), turns[-1].message.content
    return _prompt(turns, max_turns), ""


def split_exchange(text: str, *, max_turns: int | None = None) -> tuple[Turns, str]:
    """Prompt and response of a text that holds both: its last turn must be the assistant's.

    Raises:
        InvalidField: There is no chat markup to split by, or it does not end with an answer.
        FieldTooLarge: The prompt has more than `max_turns`.
    """
    turns = _read(text, max_turns)
    if not turns:
        names = ", ".join(chat.name for chat in CHAT_FORMATS)
        raise InvalidField("", f"has no chat markup that tells prompt and response apart; known are {names}")
    prompt = _prompt(turns[:-1], max_turns)
    if turns[-1].message.role != "assistant":
        raise InvalidField("", f"ends with a turn of {turns[-1].message.role}; expected the assistant's answer last")
    return prompt, without_ending(turns[-1].message.content)


def split_query(query: str, prompt: str, *, max_turns: int | None = None) -> tuple[Turns, str]:
    """Prompt and response of a text that begins with its prompt: the response is the rest.

    If the framework cut the prompt, so that the text does not begin with it, the text is split by its chat markup.

    Raises:
        InvalidField: The text neither begins with the prompt nor has chat markup.
        FieldTooLarge: The prompt has more than `max_turns`.
    """
    start = query.find(prompt)
    if start < 0 or not _ONLY_BEGINNINGS.fullmatch(query, 0, start):
        return split_exchange(query, max_turns=max_turns)
    turns, prefill = split_prompt(prompt, max_turns=max_turns)
    return turns, prefill + without_ending(query[start + len(prompt) :])


def without_ending(text: str) -> str:
    """The text without the special tokens that end a turn or a sequence; unchanged if there are none."""
    end, kept = len(text), len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        token = next((token for token in _ENDINGS if text.endswith(token, 0, end)), None)
        if token is None:
            return text[:kept]
        end -= len(token)
        kept = end


def _prompt(turns: Sequence[_Turn], max_turns: int | None) -> Turns:
    if max_turns is not None and len(turns) > max_turns:
        raise FieldTooLarge("", f"holds a conversation of over {max_turns} turns; shorten it")
    return tuple(turn.message for turn in turns)


def _read(text: str, max_turns: int | None) -> list[_Turn]:
    """The turns; none if the text does not begin with a turn of a known format.

    Reading stops as soon as there are too many turns for `_prompt`, whether or not the last one is the answer.
    """
    stop = None if max_turns is None else max_turns + 2
    for chat in CHAT_FORMATS:
        first = chat.opening.search(text)
        if first and _ONLY_BEGINNINGS.fullmatch(text, 0, first.start()):
            marks = list(islice(chat.opening.finditer(text, first.start()), stop))
            ends = [mark.start() for mark in marks[1:]] + [len(text)]
            return [_turn(mark[1], text[mark.end() : end], chat) for mark, end in zip(marks, ends, strict=True)]
    return []


def _turn(word: str, text: str, chat: ChatFormat) -> _Turn:
    role = _ROLES.get(word)
    if role is None:
        raise InvalidField("", "has a turn that is not of system, user or assistant; leave tool calls out")
    content, closed = text, False
    for closing in chat.closings:
        head, found, _ = content.partition(closing)
        if found:
            content, closed = head, True
    return _Turn(message=Message(role=role, content=content.strip() if chat.padded else content), closed=closed)
