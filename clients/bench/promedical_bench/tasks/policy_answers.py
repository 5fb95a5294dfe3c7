"""Answers of a policy to prompts of a task, one object each: JSON lines, an array, CSV, Parquet; see `answer_rows`.

{"prompt_id" | "id" | "Question": which prompt, "response" | "completion" | "result" | "text": the answer, "model"?}
An answer is a text, or one message. Where a row has several of the names, the one that the task's prompts go by
counts. An answer that is null or empty, or a message without content, is what the policy answered: nothing. Thoughts
(`<think>`) and end tokens are no part of an answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from promedical.interop.markup import plain_answer
from promedical.interop.thoughts import judged_part
from promedical.rubric import InvalidField
from promedical_bench.tasks.answer_rows import BATCH_ID, answer_rows, flattened, prompt_of
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.content import Content, content_of
from promedical_data.formats.lines import usable
from promedical_data.skips import Place, Refusal, SkipLog

T = TypeVar("T")

PROMPT_ID: Final = "prompt_id"
QUESTION: Final = "Question"
_PROMPT_KEYS: Final = (PROMPT_ID, "id", QUESTION, BATCH_ID)
_TEXT_KEYS: Final = ("response", "completion", "result", "text")
_TEXT: Final = " or ".join(_TEXT_KEYS)
_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(parts.Identifier)
_ANSWER: Final[TypeAdapter[str | list[conversations.Turn]]] = TypeAdapter(conversations.RawAnswer)
_EXPECTED: Final = f"objects with {' or '.join(_PROMPT_KEYS)}, and {_TEXT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer:
    """One answer: to which prompt (its id, or its question), by whom, and where it stands."""

    prompt: str
    text: str
    model: str | None
    place: Place
    of_batch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswers:
    """Answers by prompt, in the order of the file; `unread` is how many rows hold none that can be read."""

    content: Content
    by_prompt: dict[str, tuple[PolicyAnswer, ...]]
    unread: int

    def strays(self, prompts: Collection[str]) -> tuple[str, ...]:
        """A note on the answers to none of these prompts; empty where there are none."""
        count = sum(len(answers) for prompt, answers in self.by_prompt.items() if prompt not in prompts)
        return (f"{count:,} answers are to prompts that the data does not have.",) if count else ()


def read_answers(path: Path, log: SkipLog, key: str = PROMPT_ID, *, prompts: Collection[str] = ()) -> PolicyAnswers:
    """Read a file of answers.

    Args:
        path: The file.
        log: It is told what is left out.
        key: By which the task's prompts are found; a row that lacks it is found by another.
        prompts: The ids of the task's prompts; those of a batch may have an ending more.

    Raises:
        DataError: The file cannot be used.
    """
    content, already = content_of(path, _EXPECTED), log.count("row")
    by_prompt: dict[str, tuple[PolicyAnswer, ...]] = {}
    known = frozenset(prompts)
    for answer in usable(content, partial(_answer, (key, *_PROMPT_KEYS)), log, _EXPECTED, rows=answer_rows):
        name = prompt_of(answer.prompt, known) if answer.of_batch else answer.prompt
        by_prompt[name] = (*by_prompt.get(name, ()), answer)
    return PolicyAnswers(content=content, by_prompt=by_prompt, unread=log.count("row") - already)


def _answer(keys: tuple[str, ...], given: dict[str, Any], place: Place) -> PolicyAnswer:
    raw = flattened(given)
    prompt, model = _first(_IDENTIFIER, raw, keys), raw.get("model")
    text = "" if _is_nothing(raw) else _said(conversations.answer_of(_first(_ANSWER, raw, _TEXT_KEYS), (), _TEXT))
    by = model if isinstance(model, str) else None
    return PolicyAnswer(prompt=prompt, text=text, model=by, place=place, of_batch=raw is not given)


def _said(text: str) -> str:
    """An answer without the tokens around it and without its thoughts; nothing if a thought was cut off."""
    try:
        return judged_part(plain_answer(text), "leave_out")
    except InvalidField as error:
        raise error.under(_TEXT) from None


def _is_nothing(raw: dict[str, Any]) -> bool:
    """Whether there is an answer, and it has no content."""
    given = [raw[key] for key in _TEXT_KEYS if key in raw]
    answer = next((each for each in given if each is not None), None)
    last = answer[-1] if isinstance(answer, list) and answer else answer
    without = isinstance(last, dict) and last.get("role") == "assistant" and last.get("content", "") in (None, "", [])
    return bool(given) and (answer is None or answer == [] or without)


def _first(kind: TypeAdapter[T], raw: dict[str, Any], keys: tuple[str, ...]) -> T:
    """What stands under the first of the keys that is there."""
    found = next((raw[key] for key in keys if raw.get(key) is not None), None)
    try:
        return parts.checked(kind, found)
    except Refusal:
        raise Refusal(f"{' or '.join(dict.fromkeys(keys))}: is missing or empty") from None
