"""When to send a request again, and when to give up: one policy for both transports."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from promedical_client.errors import DeadlineError, OverloadedError, PromedicalError, RateLimitedError

T = TypeVar("T")

_BACKOFF: Final = wait_exponential(multiplier=0.2, max=20.0)
_SPREAD: Final = 0.25
_ALMOST_OVER: Final = 0.2

MAX_ATTEMPTS: Final = 10
"""With the waits in between, these take over a minute: longer than a restart or a burst that fills the queue."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment on the monotonic clock after which nobody wants the answer, and how far away it was once."""

    at_s: float
    total_s: float

    @classmethod
    def after(cls, timeout_s: float) -> "Deadline":
        """The moment `timeout_s` seconds from now."""
        return cls(time.monotonic() + timeout_s, timeout_s)

    def within(self, timeout_s: float | None) -> "Deadline":
        """This moment, or the one `timeout_s` seconds from now if that is earlier."""
        sooner = None if timeout_s is None else Deadline.after(timeout_s)
        return sooner if sooner is not None and sooner.at_s < self.at_s else self

    def remaining_s(self) -> float:
        """Seconds left, above 0.

        Raises:
            DeadlineError: The moment has passed.
        """
        left = self.at_s - time.monotonic()
        if not left > 0:  # a NaN is not above 0 either
            raise DeadlineError("the time is over")
        return left

    @property
    def is_far(self) -> bool:
        """Whether much of the time is left. Servers count it too, and end a little sooner."""
        return self.at_s - time.monotonic() >= self.total_s * _ALMOST_OVER

    def missed(self, why: str, request_id: str | None = None) -> DeadlineError:
        """The error of a call that was not answered in time."""
        return DeadlineError(
            f"no answer within timeout_s, which is {self.total_s:g} s ({why}); raise timeout_s, or send less at once",
            request_id=request_id,
        )


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

        try:
            return await retrying(attempt)
        except DeadlineError as error:
            if deadline.is_far:  # the server waited for something else, and says for what
                raise
            raise deadline.missed(error.message, error.request_id) from error
        except (OverloadedError, RateLimitedError) as error:
            if retrying.statistics["attempt_number"] >= self.max_attempts or not error.retryable:
                raise
            raise deadline.missed(f"{error.code}: {error.message}", error.request_id) from error

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
