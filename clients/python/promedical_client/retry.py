"""When to send a request again, and when to give up: one policy for both transports."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from promedical_client.errors import DeadlineError, PromedicalError

T = TypeVar("T")

_BACKOFF: Final = wait_exponential(multiplier=0.2, max=20.0)
_SPREAD: Final = 0.25

MAX_ATTEMPTS: Final = 10
"""With the waits in between, these take over a minute: longer than a restart or a burst that fills the queue."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment on the monotonic clock after which nobody wants the answer."""

    at_s: float

    @classmethod
    def after(cls, timeout_s: float) -> "Deadline":
        """The moment `timeout_s` seconds from now."""
        return cls(time.monotonic() + timeout_s)

    def remaining_s(self) -> float:
        """Seconds left, above 0.

        Raises:
            DeadlineError: The moment has passed.
        """
        left = self.at_s - time.monotonic()
        if not left > 0:  # a NaN is not above 0 either
            raise DeadlineError("the call's total time is over; raise timeout_s or send less")
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How persistent a client is.

    Attributes:
        max_attempts: How often a request is sent at most, including the first time.
    """

    max_attempts: int

    async def run(self, send: Callable[[float], Awaitable[T]], deadline: Deadline) -> T:
        """Call `send(seconds left)` until it answers, fails for good, or waiting again would pass the deadline.

        Raises:
            PromedicalError: The last failure.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_retryable),
            wait=_wait_s,
            stop=partial(self._gives_up, deadline),
            reraise=True,
        )

        async def attempt() -> T:
            return await send(deadline.remaining_s())

        return await retrying(attempt)

    def _gives_up(self, deadline: Deadline, state: RetryCallState) -> bool:
        is_too_late = time.monotonic() + state.upcoming_sleep >= deadline.at_s
        return is_too_late or state.attempt_number >= self.max_attempts


def _wait_s(state: RetryCallState) -> float:
    """The longer of what the server asked for and our own backoff: the server does not know how many others wait.

    Waits are randomised, so that callers that were refused together do not come back together.
    """
    failure = state.outcome.exception() if state.outcome else None
    told_s = failure.retry_after_s if isinstance(failure, PromedicalError) else None
    return max(told_s or 0.0, _BACKOFF(state)) * random.uniform(1.0, 1.0 + _SPREAD)  # noqa: S311 - no secret


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, PromedicalError) and error.retryable
