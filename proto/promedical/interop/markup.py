"""Chat markup of other models: text that a chat template wrote, back to turns and to an answer. Pure.

RL frameworks hand out prompts and answers as the text that the policy saw. What looks like markup is understood, or
refused: it is never judged as if somebody had written it. A template that leaves the answer's turn open may already
have put something into it (for example `<think>`); that belongs to the response.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from promedical.interop.families import (
    AFTER_REVERSED,
    AROUND_ANSWERS,
    BEFORE,
    BESIDE_ANSWERS,
    CHAT_FORMATS,
    HARMONY,
    MARKUP,
    ROLES,
    ChatFormat,
)
from promedical.interop.scanning import matches
from promedical.interop.thoughts import is_thought_mark
from promedical.messages import Message, Role
from promedical.rubric import FieldTooLarge, InvalidField

_NAMES: Final = ", ".join(chat.name for chat in CHAT_FORMATS if not chat.words_only)
_LEFT_OPEN: Final = re.compile(r"(?:(?:ASSISTANT|Assistant|Response):|(?m:^)(?:assistant|model)\n)\s*(?:<think>\s*)?\Z")
_LLAMA_WITHOUT_MARKS: Final = re.compile(r"\s*(?:system|user)\n\n.*\Sassistant\n\n", re.DOTALL)
"""It is not clear where its turns begin."""
_LAST_CHARACTERS: Final = 128
_MAX_PARTS: Final = 256
_SYSTEM_IN_USER: Final = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.DOTALL)
_STRUCK_OUT: Final = re.compile(r"<s(?: [^<>]{0,80})?>[^<]*</s>\s*[^\s<]|[^\s>]\s*<s>[^<]*</s>")
"""HTML, whose tags are written like the tokens of some families: there is text before or after them."""
_IN_CHANNELS: Final = re.compile(r"<\|(?:channel|message)\|>|<\|start\|>assistant")

Turns = tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A prompt, and how its template begins the answer.

    Attributes:
        turns: The turns of the prompt.
        prefill: What the template already wrote into the answer's turn.
        padded: Whether white space around the answer is the template's.
    """

    turns: Turns
    prefill: str = ""
    padded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    role: Role
    content: str
    closed: bool
    begins: int
    """Where its opening begins in the text."""
    is_thought: bool = False


def split_prompt(text: str, *, max_turns: int | None = None) -> Opened:
    """The turns of a prompt. Text without chat markup is one user turn.

    Raises:
        InvalidField: It has markup that is not understood, or a turn of a role other than system, user and assistant.
        FieldTooLarge: The prompt has more than `max_turns`.
    """
    chat, turns = _read(text, max_turns)
    if chat is None:
        if _LLAMA_WITHOUT_MARKS.fullmatch(text):
            raise InvalidField("", "is a chat without its marks; decode it with special tokens, or send messages")
        return Opened(turns=(_message("user", _without_tokens(text)),))
    last = turns[-1]
    if last.role != "assistant" or last.closed:
        return Opened(turns=_prompt(turns, max_turns), padded=chat.padded)
    prefill = text[last.begins :].removeprefix("<|start|>assistant") if chat is HARMONY else last.content
    return Opened(turns=_prompt(turns[:-1], max_turns), prefill=prefill, padded=chat.padded)


def split_exchange(text: str, *, max_turns: int | None = None) -> tuple[Turns, str]:
    """Prompt and answer of a text that holds both: its last turn must be the assistant's.

    Raises:
        InvalidField: There is no chat markup to split by, it is not understood, or it does not end with an answer.
        FieldTooLarge: The prompt has more than `max_turns`.
    """
    chat, turns = _read(without_ending(text), max_turns)
    if chat is None or chat.words_only:
        raise InvalidField("", f"has no chat markup that tells prompt and response apart; known are {_NAMES}")
    if turns[-1].role != "assistant":
        raise InvalidField("", f"ends with a turn of {turns[-1].role}; expected the assistant's answer last")
    if chat is HARMONY:
        asked = max((index for index, turn in enumerate(turns) if turn.role != "assistant"), default=-1) + 1
        return _prompt(turns[:asked], max_turns), plain_answer(text[turns[asked].begins :])
    return _prompt(turns[:-1], max_turns), plain_answer(turns[-1].content, padded=chat.padded)


def split_query(query: str, prompt: str, *, max_turns: int | None = None) -> tuple[Turns, str]:
    """Prompt and answer of a text that begins with its prompt: the answer is the rest.

    If the framework cut the prompt, so that the text does not begin with it, the text is split by its chat markup.

    Raises:
        InvalidField: The text neither begins with the prompt nor has chat markup, or has markup that is not understood.
        FieldTooLarge: The prompt has more than `max_turns`.
    """
    start = query.find(prompt)
    if start < 0 or not BEFORE.fullmatch(query, 0, start):
        return split_exchange(query, max_turns=max_turns)
    opened = split_prompt(prompt, max_turns=max_turns)
    return opened.turns, plain_answer(opened.prefill + query[start + len(prompt) :], padded=opened.padded)


def plain_answer(text: str, *, padded: bool = False) -> str:
    """An answer without the tokens around it; thoughts stay, those of gpt-oss as `<think>`.

    Args:
        text: The answer as the policy wrote it.
        padded: Whether white space around it is the template's.

    Raises:
        InvalidField: It has chat markup that is not understood.
    """
    text, repeated = _without_opening(_without_tokens(text))
    text = AROUND_ANSWERS.sub("", _joined_channels(text))
    for mark in BESIDE_ANSWERS:
        text = text.replace(mark, "")
    _refuse_markup(text)
    return text.strip() if padded or repeated else text


def without_ending(text: str) -> str:
    """The text without the special tokens that end a turn or a sequence; unchanged if there are none."""
    after = AFTER_REVERSED.match(text[::-1])
    ending = text[len(text) - after.end() :] if after else ""
    return text[: len(text) - len(ending.lstrip())]


def _without_tokens(text: str) -> str:
    """The text without special tokens at its beginning and end."""
    if _strikes_out(text):
        return text
    before = BEFORE.match(text)
    beginning = before[0] if before else ""
    return without_ending(text[len(beginning) :] if beginning.strip() else text)


def _strikes_out(text: str) -> bool:
    return "</s>" in text and _STRUCK_OUT.search(text) is not None


def _without_opening(text: str) -> tuple[str, bool]:
    """The text without an opening of the assistant's turn that it repeats, and whether white space came with it."""
    for chat in CHAT_FORMATS:
        opening = None if chat.words_only or chat is HARMONY else chat.opening.match(text)
        if opening and ROLES.get(opening["role"].lower()) == "assistant":
            return text[opening.end() :], chat.padded
    return text, False


def _joined_channels(text: str) -> str:
    """The channels of a gpt-oss answer as one text; other text is left as it is."""
    if not _IN_CHANNELS.match(text):
        return text
    whole = text if text.startswith("<|start|>") else f"<|start|>assistant{text}"
    marks = list(islice(HARMONY.opening.finditer(whole), _MAX_PARTS))
    if not marks or marks[0].start() or len(marks) == _MAX_PARTS:
        return text  # which is refused
    parts = []
    for mark, content in zip(marks, _between(whole, marks), strict=True):
        said, closed = _closed(content, HARMONY)
        if mark["role"] != "assistant":
            raise _refusal(None)
        parts.append(said if mark["channel"] != "analysis" else f"<think>{said}{'</think>' if closed else ''}")
    return "".join(parts)


def _refuse_markup(text: str) -> None:
    found = next((mark.start() for mark in matches(MARKUP, text) if not is_thought_mark(mark[0])), -1)
    if found < 0 and not _strikes_out(text):
        found = text.find("</s>")
    if found >= 0:
        raise _refusal(found)


def _refusal(place: int | None) -> InvalidField:
    where = "" if place is None else f" at character {place}"
    return InvalidField(
        "",
        f"has what looks like chat markup{where}, but not where a turn of a known family begins or ends; send the "
        f"turns as messages, or the text without markup. Known are {_NAMES}",
    )


def _prompt(turns: Sequence[_Turn], max_turns: int | None) -> Turns:
    if max_turns is not None and len(turns) > max_turns:
        raise FieldTooLarge("", f"holds a conversation of over {max_turns} turns; shorten it")
    return tuple(_message(turn.role, turn.content) for turn in turns if not turn.is_thought)


def _message(role: Role, content: str) -> Message:
    _refuse_markup(content)
    return Message(role=role, content=content)


def _read(text: str, max_turns: int | None) -> tuple[ChatFormat | None, list[_Turn]]:
    """The format and the turns; no format if the text does not begin with a turn of a known one.

    Reading stops as soon as there are too many turns for `_prompt`, whether or not the last one is the answer.
    """
    stop = None if max_turns is None else max_turns + 2
    for chat in CHAT_FORMATS:
        if chat.words_only and not _LEFT_OPEN.search(text[-_LAST_CHARACTERS:]):
            continue
        first = chat.opening.search(text)
        begins = first and BEFORE.fullmatch(text, 0, first.start())
        if first and (begins or chat.system_first):
            marks = list(islice(chat.opening.finditer(text, first.start()), stop))
            if not chat.words_only or ROLES[marks[-1]["role"].lower()] == "assistant":
                system = "" if begins else _without_tokens(text[: first.start()]).strip()
                return chat, [*_system(system), *_turns(text, marks, chat)]
    return None, []


def _system(text: str) -> list[_Turn]:
    return [_Turn(role="system", content=text, closed=True, begins=0)] if text else []


def _turns(text: str, marks: Sequence[re.Match[str]], chat: ChatFormat) -> Iterable[_Turn]:
    for mark, between in zip(marks, _between(text, marks), strict=True):
        role = ROLES.get(mark["role"].lower())
        if role is None:
            raise InvalidField("", "has a turn that is not of system, user or assistant; leave tool calls out")
        content, closed = _closed(between, chat)
        embedded = _SYSTEM_IN_USER.fullmatch(content) if role == "user" else None
        if embedded:
            yield from _system(embedded[1].strip())
            content = embedded[2]
        content = content.strip() if chat.padded else content
        is_thought = chat is HARMONY and mark["channel"] == "analysis"
        yield _Turn(role=role, content=content, closed=closed, begins=mark.start(), is_thought=is_thought)


def _between(text: str, marks: Sequence[re.Match[str]]) -> Iterable[str]:
    """What follows each mark up to the next one."""
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return (text[mark.end() : end] for mark, end in zip(marks, ends, strict=True))


def _closed(content: str, chat: ChatFormat) -> tuple[str, bool]:
    """What stands in a turn, and whether it is closed; after its end there must be nothing but tokens."""
    ends = [(content.find(closing), closing) for closing in chat.closings if closing in content]
    if not ends:
        return content, False
    end, closing = min(ends)
    if not BEFORE.fullmatch(content, end + len(closing)):
        raise _refusal(None)
    return content[:end], True
