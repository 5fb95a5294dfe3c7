"""One large job: several chunks are in flight at a time; their answers are kept as they come and put in order.

An item that alone is over a limit of the service gets an error of its own; the job does not fail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace

from promedical import messages as m
from promedical.unscored import with_unscored_reward
from promedical_client import checks
from promedical_client.chunking import answered, chunks, merged
from promedical_client.errors import PromedicalError, TooLargeError, closed_in_call

Progress = Callable[[int, int], None]
"""Called with (items answered, items in all) as chunks come back, in the client's event loop."""


class ScoringJob:
    """A request of any size.

    Args:
        request: The whole request.
        ask: Sends one part, with all retries.
        max_in_flight: How many parts may be in flight at the same time.
        on_progress: Called as parts come back.
    """

    def __init__(
        self,
        request: m.ScoreRequest,
        ask: Callable[[m.ScoreRequest], Awaitable[m.ScoreResponse]],
        *,
        max_in_flight: int,
        on_progress: Progress | None,
    ) -> None:
        self._request = request
        self._ask = ask
        self._gate = asyncio.Semaphore(max_in_flight)
        self._on_progress = on_progress
        self._answers: list[m.ScoreResponse] = []
        self._too_large: dict[str, TooLargeError] = {}

    async def run(self) -> m.ScoreResponse:
        """The whole answer.

        Raises:
            TooLargeError: Every item is over a limit.
            PromedicalError: A part was not answered; `partial` holds the outcomes of the others.
        """
        try:
            await _all_or_first_failure(self._send(part) for part in chunks(self._request.items))
            return self._whole()
        except PromedicalError as error:
            error.partial = self._outcomes()
            raise

    async def _send(self, items: tuple[m.ScoreItem, ...]) -> None:
        async with self._gate:
            await self._score(replace(self._request, items=items))

    async def _score(self, request: m.ScoreRequest) -> None:
        """Send a part, in halves if the server's limits are smaller than ours."""
        try:
            answer = await self._ask(request)
        except TooLargeError as error:
            await self._score_halves(request, error)
            return
        checks.check_answer(request, answer)
        self._answers.append(answer)
        self._tell()

    async def _score_halves(self, request: m.ScoreRequest, error: TooLargeError) -> None:
        if len(request.items) == 1:
            self._too_large[request.items[0].id] = error
            self._tell()
            return
        middle = len(request.items) // 2
        for half in (request.items[:middle], request.items[middle:]):
            await self._score(replace(request, items=half))

    def _tell(self) -> None:
        if self._on_progress is not None:
            done = sum(len(part.items) for part in self._answers) + len(self._too_large)
            self._on_progress(done, len(self._request.items))

    def _whole(self) -> m.ScoreResponse:
        if not self._answers:
            raise next(iter(self._too_large.values()))
        return replace(merged(self._answers), items=self._outcomes())

    def _outcomes(self) -> tuple[m.ItemOutcome, ...]:
        """Older services, and items that no service answered, do not say what the caller takes instead of a reward."""
        found = answered(self._request.items, self._answers, self._too_large)
        return tuple(with_unscored_reward(outcome, self._request.unscored_reward) for outcome in found)


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
