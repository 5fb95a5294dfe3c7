"""How much one tenant may send. The `limits` library counts: a sliding window per name, in this process."""

import time
from typing import Final

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError
from promedical_service.tenancy.tenant import Tenant

_LEAST_WAIT_S: Final = 0.1


class Rates:
    """The rates of requests and of tokens; replicas count separately.

    Args:
        requests: The rate of requests of tenants without one of their own, such as "600/minute"; None for no limit.
        tokens: The same for unique tokens.

    Raises:
        ConfigurationError: A value is not a rate.
    """

    def __init__(self, requests: str | None, tokens: str | None = None) -> None:
        self._requests = _setting("rate_limit", requests)
        self._tokens = _setting("token_rate_limit", tokens)
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    def check(self, tenant: Tenant) -> None:
        """Count one request.

        Raises:
            ServiceError: rate_limited, with when to come back.
        """
        rate = tenant.requests or self._requests
        if rate is None or self._limiter.hit(rate, "requests", tenant.name):
            return
        opens = self._limiter.get_window_stats(rate, "requests", tenant.name).reset_time
        wait_s = max(opens - time.time(), _LEAST_WAIT_S)
        message = f"This API key may send {rate} requests; try again in {wait_s:.1f} s, or send larger requests"
        raise ServiceError(ErrorCode.RATE_LIMITED, message, retry_after_s=wait_s)

    def spend(self, tenant: Tenant, tokens: int) -> None:
        """Count the unique tokens of one request, before they are computed.

        Raises:
            ServiceError: rate_limited, with when to come back; or too_large, if it is over the whole rate.
        """
        rate = tenant.tokens or self._tokens
        if rate is None or tokens <= 0:
            return
        if tokens > rate.amount:
            message = f"The request holds {tokens} unique tokens, and this API key may send {rate}; send fewer items"
            raise ServiceError(ErrorCode.TOO_LARGE, message)
        if self._limiter.hit(rate, "tokens", tenant.name, cost=tokens):
            return
        wait_s = max(self._wait_s(rate, tenant.name, tokens), _LEAST_WAIT_S)
        message = f"This API key may send {rate} tokens, and this request holds {tokens}; try again in {wait_s:.1f} s"
        raise ServiceError(ErrorCode.RATE_LIMITED, message, retry_after_s=wait_s)

    def _wait_s(self, rate: limits.RateLimitItem, name: str, tokens: int) -> float:
        """When so many tokens fit. What was sent in the window before fades evenly; then this one does."""
        window_s = rate.get_expiry()
        before, before_ends, now, now_ends = self._storage.get_sliding_window(rate.key_for("tokens", name), window_s)
        room = rate.amount - tokens
        if now <= room:
            return max(before_ends - (room - now) * window_s / max(before, 1), 0.0)
        return now_ends - window_s + window_s * (1 - room / now)


def read_rate(text: str) -> limits.RateLimitItem:
    """One rate, such as "600/minute" or "20 per 2 second".

    Raises:
        ValueError: It is not one.
    """
    try:
        (parsed,) = limits.parse_many(text)
    except ValueError:
        raise ValueError("expected one rate such as 600/minute") from None
    if parsed.amount < 1:
        raise ValueError("expected a rate of at least 1")
    return parsed


def _setting(name: str, rate: str | None) -> limits.RateLimitItem | None:
    try:
        return None if rate is None else read_rate(rate)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}, not {rate!r}") from None
