"""One call from arrival to answer, the same on both transports: admission, error translation, metrics, access line.

The desk owns the oracle and the counts of calls and bytes in progress. Edges pass what they read, and do the work.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeVar

import structlog

from promedical.errors import ErrorCode
from promedical_service.edges.access import Door
from promedical_service.edges.call import Call
from promedical_service.errors import ServiceError, service_error_of
from promedical_service.health import Health, State
from promedical_service.telemetry.logs import describe_error, get_logger
from promedical_service.telemetry.tracing import Tracing, finish
from promedical_service.tenancy.key_ring import KeyRing
from promedical_service.tenancy.rates import Rates
from promedical_service.tenancy.sharing import Shared
from promedical_service.tenancy.tenant import Tenant
from promedical_service.types import OK, Lane, Method, Oracle, Transport

_RETRY_AFTER_S: Final = 1.0
_MAX_ANSWER_BYTES: Final = 256 * 1024**2
"""The most bytes of all answers that are being sent; room for several of the largest."""
_NOT_NOW: Final = {
    State.STARTING: "The model is still loading; try again in a few seconds",
    State.RECOVERING: "The engine of this replica is restarting; try again, and another replica will answer",
    State.DRAINING: "This replica is stopping; try again, and another replica will answer",
    State.LOST: "The engine of this replica is lost; try again, and another replica will answer",
}

Answer = TypeVar("Answer")


class CallEvents(Protocol):
    """Hooks that `telemetry.metrics.Metrics` implements."""

    def request_started(self) -> None:
        """Note that a request arrived."""

    def request_finished(self, transport: Transport, method: Method, lane: Lane, code: str, seconds: float) -> None:
        """Note that a request was answered."""

    def request_left(self) -> None:
        """Note that a request's answer has left."""

    def key_answered(self, key: str, code: str) -> None:
        """Note how a request of this key's owner was answered."""

    def key_spent(self, key: str, tokens: int) -> None:
        """Note that unique tokens are computed for this key's owner."""


class Desk:
    """Where every call on every transport is admitted, counted and answered."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        rates: Rates,
        queue_share: float = 1.0,
        health: Health,
        events: CallEvents,
        tracing: Tracing,
        max_concurrent_requests: int,
        max_concurrent_bytes: int,
    ) -> None:
        self._door = Door(keys)
        self._rates = rates
        self._queue_share = queue_share
        self._health = health
        self._events = events
        self._tracing = tracing
        self._calls = Shared(max_concurrent_requests)
        self._bytes = Shared(max_concurrent_bytes)
        self._answer_bytes = 0
        self._oracle: Oracle | None = None
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = get_logger("promedical.access")

    @property
    def draining(self) -> bool:
        """Whether clients should take their next call elsewhere."""
        return self._health.state is State.DRAINING

    @property
    def in_flight(self) -> int:
        """Calls that arrived and whose answer has not left yet."""
        return self._in_flight

    def open(self, oracle: Oracle) -> None:
        """Answer from `oracle` from now on, as long as `health` is ready."""
        self._oracle = oracle

    async def idle(self) -> None:
        """Return when no call is in progress."""
        await self._idle.wait()

    async def serve(self, call: Call, work: Callable[[Oracle], Awaitable[Answer]]) -> Answer:
        """Admit the call, do the work with the oracle, account for it.

        Raises:
            ServiceError: The call failed; the error is what the caller is told.
        """
        return await self._account(call, lambda: self._admitted(call, work))

    async def serve_page(self, call: Call, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do the same for calls that need a key but no oracle: documentation and unknown paths."""

        async def guarded() -> Answer:
            await self._let_in(call)
            return await work()

        return await self._account(call, guarded)

    async def serve_metrics(self, call: Call) -> None:
        """Let in who may read the metrics; such calls are not accounted for.

        Raises:
            ServiceError: unauthenticated or forbidden.
        """
        await self._let_in(call)
        call.tenant.check_may_scrape()

    async def _let_in(self, call: Call) -> None:
        """Name the caller.

        Raises:
            ServiceError: unauthenticated or forbidden.
        """
        call.tenant = await self._door.tenant(call.key)
        call.tenant.check_may_call(call.method)
        call.spend, call.queue_share = self._spend, self._queue_share

    def _spend(self, tenant: Tenant, tokens: int) -> None:
        self._rates.spend(tenant, tokens)
        self._events.key_spent(tenant.name, tokens)

    def hold(self, call: Call, count: int) -> None:
        """Account for `count` more bytes of what the caller sent, until the call is answered.

        Raises:
            ServiceError: overloaded, if the calls in progress together hold too many bytes.
        """
        if not self._bytes.has_room(call.caller, count):
            message = f"Requests in progress hold {self._bytes.total} bytes, nearly the most allowed; try again shortly"
            raise ServiceError(ErrorCode.OVERLOADED, message, retry_after_s=_RETRY_AFTER_S)
        self._bytes.take(call.caller, count)
        call.held_bytes += count

    def hold_answer(self, call: Call, count: int) -> None:
        """Account for the bytes of an answer until it has left, and no longer for those of its request.

        Raises:
            ServiceError: overloaded, if answers that nobody takes fill the room for them.
        """
        if self._answer_bytes and self._answer_bytes + count > _MAX_ANSWER_BYTES:
            message = f"Answers that wait to be taken hold {self._answer_bytes} bytes, nearly the most allowed"
            raise ServiceError(ErrorCode.OVERLOADED, f"{message}; try again shortly", retry_after_s=_RETRY_AFTER_S)
        self.let_go(call, call.held_bytes)
        self._answer_bytes += count
        call.answer_bytes += count

    def let_go(self, call: Call, count: int) -> None:
        """Give back `count` of the bytes that the call was given room for and did not need."""
        self._bytes.take(call.caller, -count)
        call.held_bytes -= count

    async def _admitted(self, call: Call, work: Callable[[Oracle], Awaitable[Answer]]) -> Answer:
        await self._let_in(call)
        if not self._calls.has_room(call.caller, 1):
            message = f"{self._calls.total} requests are in progress, at least the most allowed; try again shortly"
            raise ServiceError(ErrorCode.OVERLOADED, message, retry_after_s=_RETRY_AFTER_S)
        self._calls.take(call.caller, 1)
        call.admitted = True
        oracle = self._open_oracle()
        self._rates.check(call.tenant)  # last, so that what is refused for another reason is not counted
        return await work(oracle)

    def _open_oracle(self) -> Oracle:
        if self._oracle is None or not self._health.ready:
            message = _NOT_NOW.get(self._health.state, _NOT_NOW[State.STARTING])
            raise ServiceError(ErrorCode.UNAVAILABLE, message, retry_after_s=_RETRY_AFTER_S)
        return self._oracle

    @contextlib.contextmanager
    def in_progress(self, call: Call) -> Iterator[None]:
        """Count the call and what it holds. An edge that knows when the answer has left enters this itself."""
        if call.in_progress:
            yield
            return
        self._begin(call)
        try:
            yield
        finally:
            self._end(call)

    async def _account(self, call: Call, work: Callable[[], Awaitable[Answer]]) -> Answer:
        with (
            self.in_progress(call),
            structlog.contextvars.bound_contextvars(request_id=call.request_id),
            self._tracing.call(call.transport, call.method, call.traced_by) as span,
        ):
            try:
                answer = await work()
            except asyncio.CancelledError:
                call.code = ErrorCode.DEADLINE if call.expired else ErrorCode.CANCELLED
                raise
            except Exception as error:  # noqa: BLE001 - the one place where all of them end
                raise self._refusal(call, error) from None
            else:
                call.code = OK
                return answer
            finally:
                self._finish(call)
                finish(
                    span,
                    code=str(call.code),
                    ok=call.code == OK,
                    request_id=call.request_id,
                    caller=call.caller,
                    items=call.items,
                )

    def _refusal(self, call: Call, error: Exception) -> ServiceError:
        refusal = service_error_of(error)
        call.code = refusal.code
        if not isinstance(error, ServiceError) and refusal.code is ErrorCode.INTERNAL:
            self._log.error("unexpected error", method=call.method, **describe_error(error))
        return refusal

    def _begin(self, call: Call) -> None:
        call.in_progress = True
        self._in_flight += 1
        self._idle.clear()
        self._events.request_started()

    def _end(self, call: Call) -> None:
        self._in_flight -= 1
        self._bytes.take(call.caller, -call.held_bytes)
        self._calls.take(call.caller, -call.admitted)
        self._answer_bytes -= call.answer_bytes
        if not self._in_flight:
            self._idle.set()
        self._events.request_left()

    def _finish(self, call: Call) -> None:
        self._events.request_finished(call.transport, call.method, call.lane, call.code, call.seconds)
        self._events.key_answered(call.caller, call.code)
        self._log.info(
            "request",
            transport=call.transport,
            method=call.method,
            code=str(call.code),
            ms=round(call.seconds * 1000, 2),
            items=call.items,
            key=call.caller,
        )
