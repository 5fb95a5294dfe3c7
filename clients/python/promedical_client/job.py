"""One large job: chunks go out with several in flight, answers are kept as they come and put together in order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace

from promedical import messages as m
from promedical_client import checks
from promedical_client.chunking import answered, chunks, merged
from promedical_client.errors import PromedicalError, TooLargeError

Progress = Callable[[int, int], None]
"""Called with (items answered, items in all) as chunks come back, in the client's event loop."""


class ScoringJob:
    """A request of any size.

    Args:
        request: All of it.
        ask: Sends one part, with all retries.
        max_in_flight: How many parts are on their way at a time.
        on_progress: Told as parts come back.
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

    async def run(self) -> m.ScoreResponse:
        """The whole answer.

        Raises:
            PromedicalError: A part was not answered; `partial` holds the outcomes of the others.
        """
        try:
            return merged(await _all_or_first_failure(self._send(part) for part in chunks(self._request.items)))
        except PromedicalError as error:
            error.partial = answered(self._request.items, self._answers)
            raise

    async def _send(self, items: tuple[m.ScoreItem, ...]) -> m.ScoreResponse:
        async with self._gate:
            return await self._score(replace(self._request, items=items))

    async def _score(self, request: m.ScoreRequest) -> m.ScoreResponse:
        """Send a part, in halves if the server's limits are smaller than ours."""
        try:
            answer = await self._ask(request)
        except TooLargeError:
            if len(request.items) == 1:
                raise
            middle = len(request.items) // 2
            halves = (request.items[:middle], request.items[middle:])
            return merged([await self._score(replace(request, items=half)) for half in halves])
        checks.check_answer(request, answer)
        self._keep(answer)
        return answer

    def _keep(self, answer: m.ScoreResponse) -> None:
        self._answers.append(answer)
        if self._on_progress is not None:
            self._on_progress(sum(len(part.items) for part in self._answers), len(self._request.items))


async def _all_or_first_failure(calls: Iterable[Coroutine[None, None, m.ScoreResponse]]) -> list[m.ScoreResponse]:
    """Await all at once, results in order; the first failure cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
