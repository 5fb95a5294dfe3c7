"""The one use case of this room: requests in, and for each an answer that can be used, or why there is none.

`ask_all` recalls what the store knows. Then each request goes through `_ask`: get an answer, check it, and give the
model another turn if it can be repaired. All who ask the same at once share one task, so it is one call.

Invariants:
- Every request gets exactly one outcome, and no failure of one touches another.
- Nothing is sent after `stop`; calls in flight end and are kept.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from promedical_curation.asking.answers import Answer, check_answer
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import AskError, RepairableError, Unanswered
from promedical_curation.asking.fetching import Fetcher, Terms
from promedical_curation.asking.repairs import repaired
from promedical_curation.asking.requests import Request
from promedical_curation.asking.store import DeadLetter, Payer, Store
from promedical_curation.errors import CurationError, StoppedError

Reply: TypeAlias = Answer | Unanswered
OnAnswer: TypeAlias = Callable[[str, Answer], None]
Known: TypeAlias = Mapping[str, Answer | DeadLetter]


@dataclass(slots=True)
class Tally:
    """What an asker has done so far."""

    answered: int = 0
    from_store: int = 0
    unanswered: int = 0


class Asker:
    """Asks the endpoints. It belongs to one event loop.

    Args:
        fetcher: Gets what the store does not have.
        on_answer: Is given the key and the answer of every request, the unusable ones before a repair too.
    """

    def __init__(self, fetcher: Fetcher, on_answer: OnAnswer | None = None) -> None:
        self.fetcher = fetcher
        self._on_answer = on_answer
        self.tally = Tally()
        self._asking: dict[str, asyncio.Task[Answer]] = {}

    async def ask_all(self, requests: Sequence[Request], payer: Payer) -> list[Reply]:
        """A reply to every request, in their order.

        Raises:
            CurationError: The run has to stop. All answers so far are in the store.
        """
        known = await self._recall([request.key for request in requests])
        asked = [asyncio.ensure_future(self._reply(request, payer, known)) for request in requests]
        try:
            replies = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            for task in asked:
                task.cancel()
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return [reply for reply in replies if not isinstance(reply, BaseException)]

    def stop(self, error: CurationError) -> None:
        """Send nothing more. What is in flight ends and is kept; all else fails with this error."""
        if self.fetcher.stopped is None:
            self.fetcher.stopped = error
            for key, task in self._asking.items():
                if key not in self.fetcher.in_flight:
                    task.cancel()

    async def _recall(self, keys: Sequence[str]) -> Known:
        answers = await self.fetcher.in_store(Store.answers, keys)
        missing = [key for key in keys if key not in answers]
        return {**await self.fetcher.in_store(Store.dead, missing), **answers}

    async def _reply(self, request: Request, payer: Payer, known: Known) -> Reply:
        try:
            answer = await self._ask(request, payer, known)
        except _UnansweredError as error:
            self.tally.unanswered += 1
            return error.outcome
        self.tally.answered += 1
        return answer

    async def _ask(self, first: Request, payer: Payer, known: Known) -> Answer:
        request, turn = first, 0
        while True:
            answer = await self._answer(request, payer, known)
            if self._on_answer is not None:
                self._on_answer(request.key, answer)
            try:
                check_answer(request, answer)
            except RepairableError as problem:
                turn += 1
                if turn > self.fetcher.terms.repairs:
                    _give_up(problem, request)
                request = repaired(first, answer, problem, turn)
                known = await self._recall([request.key])
            except AskError as error:
                _give_up(error, request)
            else:
                return answer

    async def _answer(self, request: Request, payer: Payer, known: Known) -> Answer:
        found = known.get(request.key)
        if isinstance(found, Answer):
            self.tally.from_store += 1
            return found
        if isinstance(found, DeadLetter):
            raise _UnansweredError(
                Unanswered(error=found.error, message=found.message, key=request.key, final=found.final)
            )
        if self.fetcher.terms.replay:
            self.stop(_miss(payer, self.fetcher.store.name))
        try:
            return await self._fetch(request, payer)
        except AskError as error:
            _give_up(error, request)

    async def _fetch(self, request: Request, payer: Payer) -> Answer:
        """One call for all who ask the same now."""
        if self.fetcher.stopped is not None:
            raise self.fetcher.stopped
        key = request.key
        if (task := self._asking.get(key)) is None:
            task = self._asking[key] = asyncio.create_task(self.fetcher.fetch(request, key, payer))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        try:
            return await asyncio.shield(task)
        except CurationError as error:
            self.stop(error)
            raise
        except asyncio.CancelledError:
            if self.fetcher.stopped is not None and task.cancelled():
                raise self.fetcher.stopped from None
            raise


class _UnansweredError(Exception):
    def __init__(self, outcome: Unanswered) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


def _give_up(error: AskError, request: Request) -> NoReturn:
    outcome = Unanswered(error=error.word, message=str(error), key=request.key, final=error.final)
    raise _UnansweredError(outcome) from None


def _miss(payer: Payer, store: str) -> CurationError:
    return CurationError(
        f"replay: store {store} has no answer to a request of stage {payer.stage}, so nothing was sent; run without "
        "--replay, or name the store that has it"
    )


@asynccontextmanager
async def asking(
    endpoints: Mapping[str, Endpoint],
    store: Store,
    terms: Terms,
    *,
    on_answer: OnAnswer | None = None,
    owner: str | None = None,
) -> AsyncIterator[Asker]:
    """An asker for the running loop. When the block ends, its connections are closed and its claims are given up.

    Args:
        endpoints: All endpoints, by name.
        store: The response store.
        terms: On what terms.
        on_answer: Is given the key and the answer of every request.
        owner: Whose claims are this asker's, for one that takes the place of another; by default nobody else's.
    """
    fetcher = Fetcher(endpoints, store, terms, owner=owner)
    asker = Asker(fetcher, on_answer)
    try:
        yield asker
    finally:
        asker.stop(StoppedError("the asker is closed"))
        await fetcher.close()
