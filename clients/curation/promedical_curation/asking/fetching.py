"""From a request to an answer in the store: claim it, send it when there is room, retry, keep the answer.

A call is sent only in a slot of its server's pace and under a claim, in which the budget is checked. The most that
the call may cost is known before it is sent: no prompt has more tokens than bytes, and `max_tokens` bounds the answer.
"""

import asyncio
import os
import random
import socket
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Concatenate, Final, ParamSpec, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.bodies import most_input_tokens
from promedical_curation.asking.calls import Caller
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import AskError, RetriableError, UnusedEndpointError
from promedical_curation.asking.pace import LONGEST_WAIT_S, Pace
from promedical_curation.asking.prices import Price, price_of
from promedical_curation.asking.requests import Request
from promedical_curation.asking.store import CLAIM_S, Payer, Store
from promedical_curation.errors import CurationError, StoppedError

P = ParamSpec("P")
T = TypeVar("T")

KEPT: Final = "answers so far are kept, and the same command resumes"
_BACKOFF: Final = wait_exponential(multiplier=0.5, max=30.0)
_SPREAD: Final = 0.25
_LOOK_AGAIN_S: Final = 0.2
_LOOK_AGAIN_AT_LEAST_S: Final = 5.0
_LESS_OFTEN: Final = 1.5
_REFUSALS_PER_ATTEMPT: Final = 10
"""A server that asks to slow down is asked again this many times more often than one that fails."""
_OVERLOADED: Final = {"server_error", "timeout"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms questions are asked.

    Attributes:
        run: The run that pays.
        replay: Whether only the store answers; a miss ends the run.
        budget: The most US dollars that the run may spend in all; None for no limit.
        attempts: How often a request is sent at most, if it fails for a reason that may pass.
        repairs: How many more turns a model gets after an answer that cannot be used.
    """

    run: str
    replay: bool = False
    budget: float | None = None
    attempts: int = 6
    repairs: int = 2


class Line:
    """One endpoint, its price, and the pace that it shares with others on the same server."""

    def __init__(self, endpoint: Endpoint, pace: Pace) -> None:
        self.endpoint = endpoint
        self.pace = pace
        self.caller = Caller(endpoint)
        self.price: Price | None = price_of(endpoint)

    def most_cost(self, request: Request) -> float:
        """The most US dollars that one call may cost; 0 if no price is known."""
        return self.price(most_input_tokens(request), request.max_tokens) if self.price else 0.0

    def priced(self, request: Request, answer: Answer) -> Answer:
        """The answer with what it cost; if the server does not count tokens, the most that it can have cost."""
        if self.price is None:
            return answer
        counted = answer.input_tokens or answer.output_tokens
        cost = self.price(answer.input_tokens, answer.output_tokens) if counted else self.most_cost(request)
        return replace(answer, cost=cost)


class Fetcher:
    """Gets answers for one event loop.

    Attributes:
        in_flight: The keys that are being sent right now.
        paces: By server and model.
        spent: US dollars, by this process.
        stopped: Why nothing more is sent, if so.

    Args:
        endpoints: All endpoints, by name.
        store: The response store.
        terms: On what terms.
        owner: Whose claims are this fetcher's; by default nobody else's.
    """

    def __init__(
        self, endpoints: Mapping[str, Endpoint], store: Store, terms: Terms, *, owner: str | None = None
    ) -> None:
        self.store = store
        self.terms = terms
        self.in_flight: set[str] = set()
        self.paces: dict[tuple[str, str], Pace] = {}
        self.spent = 0.0
        self.stopped: CurationError | None = None
        self._endpoints = endpoints
        self._lines: dict[str, Line] = {}
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._renewing: asyncio.Task[None] | None = None

    async def fetch(self, request: Request, key: str, payer: Payer) -> Answer:
        """The answer to a request that the store did not know, from its endpoint or from another process.

        Raises:
            AskError: There is none.
            CurationError: The run has to stop.
        """
        line, wait_s = self.line(request.to), _LOOK_AGAIN_S
        while True:
            try:
                return await self._with_retries(line, request, key, payer)
            except _TakenError:
                await asyncio.sleep(wait_s)
            wait_s = min(wait_s * _LESS_OFTEN, _LOOK_AGAIN_AT_LEAST_S)
            if answer := (await self.in_store(Store.answers, [key])).get(key):
                return answer

    async def in_store(self, work: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a method of the store returns. The store's thread does one thing at a time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self.store, *args, **kwargs))

    async def close(self) -> None:
        """Give up all claims and close all connections, once what is in flight has ended."""
        if self._renewing is not None:
            self._renewing.cancel()
            await self.in_store(Store.release_all, self._owner)
        for line in self._lines.values():
            await line.caller.close()
        self._thread.shutdown()

    def line(self, name: str) -> Line:
        """The line to an endpoint.

        Raises:
            CurationError: There is no such endpoint, its key is missing, or it has no price and there is a budget.
        """
        if name not in self._lines:
            endpoint = self._endpoints[name]
            pace = self.paces.setdefault(endpoint.pace_key, Pace(endpoint.max_in_flight))
            line = Line(endpoint, pace)
            if self.terms.budget is not None and line.price is None:
                raise CurationError(
                    f"endpoint {name}: no price is known for {endpoint.model} at {endpoint.base_url}, so the budget "
                    "cannot be kept; give its prices in the endpoint file (0 for a server of your own)"
                )
            self._lines[name] = line
        return self._lines[name]

    async def _with_retries(self, line: Line, request: Request, key: str, payer: Payer) -> Answer:
        failures: list[RetriableError] = []

        async def attempt() -> Answer:
            try:
                return await self._attempt(line, request, key, payer, attempts=len(failures) + 1)
            except RetriableError as error:
                failures.append(error)
                raise

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RetriableError),
            wait=_wait_s,
            stop=lambda _: self._gives_up(failures),
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except AskError as error:
            sent = len(failures) + (not isinstance(error, RetriableError))
            await self.in_store(Store.add_attempts, sent, payer)
            await self.in_store(Store.release, key, self._owner)
            raise

    async def _attempt(self, line: Line, request: Request, key: str, payer: Payer, *, attempts: int) -> Answer:
        async with line.pace.slot() as sent_at:
            if self.stopped is not None:
                raise self.stopped
            await self._claim(line, request, key, payer)
            self.in_flight.add(key)
            try:
                answer = await line.caller.call(request)
                answer = replace(line.priced(request, answer), attempts=attempts)
                kept = await self.in_store(Store.keep, key, request.canonical, answer, payer)
            except AskError as error:
                self._note(line, error, sent_at)
                raise
            finally:
                self.in_flight.discard(key)
            line.pace.answered()
            self.spent += answer.cost or 0.0
            return kept

    async def _claim(self, line: Line, request: Request, key: str, payer: Payer) -> None:
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        reserve, budget = line.most_cost(request), self.terms.budget
        claim = await self.in_store(Store.claim, key, self._owner, payer, reserve=reserve, budget=budget)
        if claim == "over_budget":
            raise StoppedError(
                f"the next call may cost {reserve:.4f} dollars, with which the run would pass its budget of {budget} "
                f"dollars; {KEPT} with a larger --budget"
            )
        if claim != "claimed":
            raise _TakenError

    def _note(self, line: Line, error: AskError, sent_at: float) -> None:
        """Tell the pace, and stop the run if the endpoint is of no use.

        Raises:
            StoppedError: It is not.
        """
        name = line.endpoint.name
        if isinstance(error, UnusedEndpointError):
            raise StoppedError(f"endpoint {name} ({line.endpoint.base_url}): {error}; {KEPT}") from None
        if isinstance(error, RetriableError) and error.word == "rate_limited":
            line.pace.slow_down(sent_at=sent_at, retry_after_s=error.retry_after_s)
        elif isinstance(error, RetriableError) or error.word == "bad_request":
            line.pace.failed(error.word, sent_at=sent_at, overload=error.word in _OVERLOADED)
        else:
            line.pace.answered()
        if complaint := line.pace.health.complaint:
            raise StoppedError(f"endpoint {name} ({line.endpoint.base_url}): {complaint}; {KEPT}") from None

    def _gives_up(self, failures: list[RetriableError]) -> bool:
        if self.stopped is not None:
            return True
        refused = sum(error.word == "rate_limited" for error in failures)
        limit = self.terms.attempts
        return len(failures) - refused >= limit or refused >= limit * _REFUSALS_PER_ATTEMPT

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(CLAIM_S / 3)
            with suppress(CurationError):  # whoever keeps an answer meets the same error and says so
                await self.in_store(Store.renew, self._owner)


class _TakenError(Exception):
    """Another process asks, or the budget does not allow it yet."""


def _wait_s(state: RetryCallState) -> float:
    """The longer of what the server asked for and our own backoff, spread so that not all come back together."""
    error = state.outcome.exception() if state.outcome else None
    told_s = error.retry_after_s if isinstance(error, RetriableError) else None
    wait_s = max(min(told_s or 0.0, LONGEST_WAIT_S), _BACKOFF(state))
    return wait_s * random.uniform(1.0, 1.0 + _SPREAD)  # noqa: S311 - no secret
