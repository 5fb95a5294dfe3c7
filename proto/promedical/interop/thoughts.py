"""The thoughts of a policy that reasons before it answers: what the reader of an answer does not see. Pure."""

import re
from typing import Final, Literal, get_args

from promedical.interop.scanning import matches
from promedical.rubric import InvalidField

Thoughts = Literal["leave_out", "require", "judge"]
"""What is judged: the answer without its thoughts; only an answer that has one; or all that was written."""

_XML: Final = r"(?i:(?:\w{1,20}[:_])?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad))"
_MARK: Final = re.compile(
    rf"<(?:(?P<begins>{_XML}(?: \w+=[^<>\n]{{1,80}})?>"
    r"|\|(?:START_THINKING|begin_of_thought|think(?:ing)?(?:_start)?|inner_prefix)\|>"
    r"|unused94>(?:thought)?|\|channel>(?:thought|analysis)?)"
    rf"|/{_XML}>|\|(?:END_THINKING|end_of_thought|/think(?:ing)?|think(?:ing)?_end|inner_suffix)\|>"
    r"|unused95>|channel\|>)|◁/?think▷|\[/?THINK(?:ING)?\]|\[BEGIN FINAL RESPONSE\]"
)
_IN_WORDS: Final = (
    (re.compile(r"\s*## Thinking[ \t]*\n"), "## Final Response"),  # HuatuoGPT-o1
    (re.compile(r"\s*Here are my reasoning steps:[ \t]*\n"), "[BEGIN FINAL RESPONSE]"),  # Apriel
    (re.compile(r"analysis(?=[A-Z])"), "assistantfinal"),  # gpt-oss, decoded without its special tokens
)
"""Thoughts that ordinary words begin and end."""
_WRAPPED: Final = re.compile(
    r"<(?P<tag>answer|final_answer|response|output|solution)>(?P<text>.*?)(?:</(?P=tag)>)?", re.DOTALL | re.IGNORECASE
)
"""What stands around an answer that follows a thought."""


def is_thought_mark(text: str) -> bool:
    """Whether a text begins with a mark of a thought."""
    return _MARK.match(text) is not None


def _begins(mark: re.Match[str]) -> bool:
    return mark["begins"] is not None or mark[0] in {"◁think▷", "[THINK]", "[THINKING]"}


def check_thoughts(value: str) -> Thoughts:
    """The setting itself.

    Raises:
        ValueError: There is no such setting.
    """
    for known in get_args(Thoughts):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"thoughts is {value!r}: expected one of {', '.join(get_args(Thoughts))}")


def judged_part(text: str, thoughts: Thoughts) -> str:
    """The part of an answer that is judged; empty if a thought was cut off, or if there is none and one is required.

    An end without a beginning ends a thought that the template began.

    Raises:
        InvalidField: There is an end of a thought that was not begun.
    """
    if thoughts == "judge":
        return text
    marked = _with_marks(text)
    first = next(matches(_MARK, marked), None)
    if first is None:
        return text if thoughts == "leave_out" else ""
    answer = "".join(_outside(marked, inside=not _begins(first))).strip()
    wrapped = _WRAPPED.fullmatch(answer)
    return wrapped["text"].strip() if wrapped else answer


def _with_marks(text: str) -> str:
    for begin, end in _IN_WORDS:
        if begin.match(text):
            thought, found, answer = text.partition(end)
            return f"<think>{thought}</think>{answer}" if found else f"<think>{thought}"
    return text


def _outside(text: str, *, inside: bool) -> list[str]:
    """What stands outside of thoughts; nothing if the last one has no end."""
    outside: list[str] = []
    position = 0
    for mark in matches(_MARK, text):
        between, position = text[position : mark.start()], mark.end()
        if _begins(mark) and not inside:
            outside.append(between)
        elif not _begins(mark) and not inside and between.strip():
            raise InvalidField("", "has an end of a thought that was not begun; it is not clear what is the answer")
        inside = _begins(mark)
    return [] if inside else [*outside, text[position:]]
