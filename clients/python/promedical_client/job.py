"""One large job: several chunks are in flight at a time; their answers are kept as they come and put in order.

An item that alone is over a limit of the service gets an error of its own; the job does not fail.

A job has one oracle. Unless the caller pins it, it is the one that answers first: later parts are pinned to it, so that
a gateway that splits calls between two oracles sends them there. What the other one answered meanwhile is asked again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Final

from promedical import messages as m
from promedical.unscored import with_unscored_reward
from promedical_client import checks
from promedical_client.chunking import (
    MAX_ITEMS,
    MAX_TOKENS,
    Cutter,
    answered,
    estimated_tokens,
    merged,
    mixed_oracles,
    refused,
)
from promedical_client.errors import (
    DeadlineError,
    MixedFingerprintsError,
    PromedicalError,
    RevisionMismatchError,
    TooLargeError,
    closed_in_call,
)

Progress = Callable[[int, int], None]
"""Called with (items answered, items in all) as chunks come back, in the client's event loop."""
OnOutcomes = Callable[[tuple[m.ItemOutcome, ...]], None]
"""Called with the outcomes of each chunk as it comes back, in the client's event loop."""

_CALL_S: Final = 15.0
"""How long a chunk should take at most; a job shows its progress as often."""
_DEADLINE_SHARE: Final = 0.15
"""The share of a deadline that a chunk should take."""
_FIRST_TOKENS: Final = 16 * 1024
"""The first chunks of a job that does not fit one call: a processor takes about a minute for four of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a job is cut and watched.

    Attributes:
        max_in_flight: How many parts may be in flight at the same time.
        deadline_s: The seconds that a part has.
        renewed: Whether every part has a deadline of its own. Then the job begins with single items, and a part that
            misses its deadline is sent again in halves.
        on_progress: Called as parts come back.
        on_outcomes: Called with what they hold.
    """

    max_in_flight: int
    deadline_s: float
    renewed: bool = False
    on_progress: Progress | None = None
    on_outcomes: OnOutcomes | None = None

    def cutter(self, items: tuple[m.ScoreItem, ...]) -> Cutter:
        """Cuts these items."""
        fits_one_call = len(items) <= MAX_ITEMS and sum(map(estimated_tokens, items)) <= MAX_TOKENS
        first = 1 if self.renewed else MAX_TOKENS if fits_one_call else _FIRST_TOKENS
        return Cutter(items, call_s=min(_CALL_S, self.deadline_s * _DEADLINE_SHARE), first_tokens=first)


class ScoringJob:
    """A request of any size.

    Args:
        request: The whole request.
        ask: Sends one part, with all retries.
        pace: How to cut it.
    """

    def __init__(
        self, request: m.ScoreRequest, ask: Callable[[m.ScoreRequest], Awaitable[m.ScoreResponse]], pace: Pace
    ) -> None:
        self._request = request
        self._ask = ask
        self._pace = pace
        self._cutter = pace.cutter(request.items)
        self._oracle = request.expected_fingerprint
        self._answers: list[m.ScoreResponse] = []
        self._too_large: dict[str, TooLargeError] = {}

    async def run(self) -> m.ScoreResponse:
        """The whole answer.

        Raises:
            TooLargeError: Every item is over a limit.
            PromedicalError: A part was not answered; `partial` holds the outcomes of the others.
        """
        try:
            await _all_or_first_failure(self._work() for _ in range(self._pace.max_in_flight))
            return self._whole()
        except PromedicalError as error:
            error.partial = self._outcomes()
            raise

    async def _work(self) -> None:
        while items := self._cutter.next():
            await self._score(replace(self._request, items=items))

    async def _score(self, request: m.ScoreRequest) -> None:
        """Send a part, in halves if the server's limits are smaller than ours or if it takes too long."""
        began, tokens = time.monotonic(), sum(map(estimated_tokens, request.items))
        failure: TooLargeError | DeadlineError | None = None
        oracle = self._oracle
        try:
            answer = await self._ask_oracle(request, oracle)
        except TooLargeError as error:
            failure = error
        except DeadlineError as error:
            if len(request.items) == 1 or not self._pace.renewed:
                raise
            failure = error
        if not isinstance(failure, TooLargeError):
            self._cutter.learn(tokens, time.monotonic() - began)
        if failure is not None:
            await self._score_halves(request, failure)
            return
        checks.check_answer(request, answer)
        self._oracle = self._oracle or answer.model.fingerprint
        if oracle is None and answer.model.fingerprint != self._oracle:
            await self._score(request)
            return
        self._answers.append(answer)
        self._tell(answer.items)

    async def _ask_oracle(self, request: m.ScoreRequest, oracle: str | None) -> m.ScoreResponse:
        try:
            return await self._ask(replace(request, expected_fingerprint=oracle))
        except RevisionMismatchError as error:
            if request.expected_fingerprint is not None or oracle is None or request.expected_rubrics:
                raise  # the caller's own pin
            raise MixedFingerprintsError(mixed_oracles(f"oracle {oracle} and then by another one")) from error

    async def _score_halves(self, request: m.ScoreRequest, error: TooLargeError | DeadlineError) -> None:
        if len(request.items) == 1 and isinstance(error, TooLargeError):
            name = request.items[0].id
            self._too_large[name] = error
            self._tell((m.ItemOutcome(id=name, error=refused(error)),))
            return
        middle = len(request.items) // 2
        for half in (request.items[:middle], request.items[middle:]):
            await self._score(replace(request, items=half))

    def _tell(self, outcomes: tuple[m.ItemOutcome, ...]) -> None:
        if self._pace.on_outcomes is not None:
            self._pace.on_outcomes(self._said(outcomes))
        if self._pace.on_progress is not None:
            done = sum(len(part.items) for part in self._answers) + len(self._too_large)
            self._pace.on_progress(done, len(self._request.items))

    def _whole(self) -> m.ScoreResponse:
        if not self._answers:
            raise next(iter(self._too_large.values()))
        return replace(merged(self._answers), items=self._outcomes())

    def _outcomes(self) -> tuple[m.ItemOutcome, ...]:
        """Older services, and items that no service answered, do not say what the caller takes instead of a reward."""
        found = answered(self._request.items, self._answers, self._too_large)
        return self._said(found)

    def _said(self, outcomes: Iterable[m.ItemOutcome]) -> tuple[m.ItemOutcome, ...]:
        return tuple(with_unscored_reward(outcome, self._request.unscored_reward) for outcome in outcomes)


async def _all_or_first_failure(calls: Iterable[Coroutine[None, None, None]]) -> None:
    """Await all together; the first failure cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    # A task group takes a cancelled task for a finished one. Nobody cancelled these, so the client was closed.
    if any(task.cancelled() for task in tasks):
        raise closed_in_call()
