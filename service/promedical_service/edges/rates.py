"""How many requests one key may send. The `limits` library counts them: a sliding window per key."""

import time
from typing import Final

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError

_LEAST_WAIT_S: Final = 0.1


class RateLimit:
    """The same rate for every key, counted in this process; replicas count separately.

    Args:
        rate: The rate, such as "600/minute" or "20 per 2 second"; None for no limit.

    Raises:
        ConfigurationError: The value is not a rate.
    """

    def __init__(self, rate: str | None) -> None:
        self._rate = None if rate is None else _parsed(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, key: str) -> None:
        """Count one request of this key.

        Args:
            key: The name of the key's owner.

        Raises:
            ServiceError: rate_limited, with when to come back.
        """
        if self._rate is None or self._limiter.hit(self._rate, key):
            return
        wait_s = max(self._limiter.get_window_stats(self._rate, key).reset_time - time.time(), _LEAST_WAIT_S)
        message = f"This API key may send {self._rate} requests; try again in {wait_s:.1f} s, or send larger requests"
        raise ServiceError(ErrorCode.RATE_LIMITED, message, retry_after_s=wait_s)


def _parsed(rate: str) -> limits.RateLimitItem:
    try:
        (parsed,) = limits.parse_many(rate)
    except ValueError:
        raise ConfigurationError(f"rate_limit: expected one rate such as 600/minute, not {rate!r}") from None
    if parsed.amount < 1:
        raise ConfigurationError(f"rate_limit: expected at least 1 request, not {rate!r}")
    return parsed
