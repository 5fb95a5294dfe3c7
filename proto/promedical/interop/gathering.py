"""Questions that come one by one, gathered for a moment and asked together.

RL frameworks ask for each response of a group on its own, all at about the same time. This module does not know
what is asked. A gatherer belongs to one event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Question = TypeVar("Question")
Answer = TypeVar("Answer")

CallLater = Callable[[float, Callable[[], object]], Any]
"""Calls a function after so many seconds, as an event loop does."""


@dataclass(slots=True, eq=False)
class _Round(Generic[Question, Answer]):
    questions: list[Question] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    work: "asyncio.Task[Sequence[Answer]] | None" = None


class Gatherer(Generic[Key, Question, Answer]):
    """Asks questions of the same key together.

    A round begins with the first question of a key. It is asked after `window_s`, or as soon as it has `max_size`
    questions. A caller that leaves does not stop the others; when all have left, the work is cancelled.

    Args:
        ask: Answers the questions of one round, in order. What it raises is raised to every caller in the round.
        window_s: How long a round stays open, in seconds.
        max_size: The most questions in a round.
        call_later: Calls a function after some seconds; None for the event loop's own. Tests bring their own clock.
    """

    def __init__(
        self,
        ask: Callable[[Key, Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        window_s: float,
        max_size: int,
        call_later: CallLater | None = None,
    ) -> None:
        self._ask = ask
        self._window_s = window_s
        self._max_size = max_size
        self._call_later = call_later
        self._open: dict[Key, _Round[Question, Answer]] = {}

    async def submit(self, key: Key, question: Question) -> Answer:
        """The answer to one question, asked together with others of its key."""
        joined = self._open.get(key) or self._begin(key)
        place = len(joined.questions)
        joined.questions.append(question)
        if len(joined.questions) == self._max_size:
            self._close(key, joined)
        assert joined.work is not None
        joined.waiting += 1
        try:
            return (await asyncio.shield(joined.work))[place]
        finally:
            joined.waiting -= 1
            if not joined.waiting and not joined.work.done():
                self._close(key, joined)
                joined.work.cancel()

    def _begin(self, key: Key) -> _Round[Question, Answer]:
        opened: _Round[Question, Answer] = _Round()
        self._open[key] = opened
        opened.work = asyncio.create_task(self._run(key, opened))
        return opened

    async def _run(self, key: Key, opened: _Round[Question, Answer]) -> Sequence[Answer]:
        call_later = self._call_later or asyncio.get_running_loop().call_later
        timer = call_later(self._window_s, lambda: self._close(key, opened))
        try:
            await opened.closed.wait()
        finally:
            timer.cancel()
        return await self._ask(key, tuple(opened.questions))

    def _close(self, key: Key, opened: _Round[Question, Answer]) -> None:
        if self._open.get(key) is opened:
            del self._open[key]
        opened.closed.set()
