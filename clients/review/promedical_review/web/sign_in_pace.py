"""How often one address may fail to sign in: a guesser of many accounts is slowed, whom no account's own lock stops."""

import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

FAILURES: Final = 20
MINUTES: Final = 5


class SignInPace:
    """Failures by address, in this process."""

    def __init__(self, *, failures: int = FAILURES, minutes: int = MINUTES) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._item: RateLimitItem = RateLimitItemPerMinute(failures, minutes)

    def wait_s(self, address: str) -> int:
        """How long this address must wait before its next try, in seconds; 0 if it may try now."""
        if self._limiter.test(self._item, address):
            return 0
        reset_at, _ = self._limiter.get_window_stats(self._item, address)
        return max(1, int(reset_at - time.time()) + 1)

    def failed(self, address: str) -> None:
        """Note a failure."""
        self._limiter.hit(self._item, address)
