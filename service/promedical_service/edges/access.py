"""Who calls: the key in the headers, and how a wrong one is answered. This module does not know transports."""

import asyncio
from collections.abc import Mapping
from typing import Final

import limits
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from promedical_service.tenancy.key_ring import KeyRing, WrongKeyError
from promedical_service.tenancy.tenant import Tenant

_AT_ONCE: Final = limits.parse("10/minute")
"""So many wrong keys are answered at once: somebody may have made a mistake."""
_DELAY_S: Final = 1.0
_MOST_DELAYED: Final = 64


class Door:
    """Lets callers in by their keys, and makes those with wrong keys wait for the answer.

    A wrong key costs its sender a second, once there were ten of them in this minute. A right key never waits: a
    proxy may send all callers from one address, and nobody must be able to shut the others out.
    """

    def __init__(self, keys: KeyRing, delay_s: float = _DELAY_S) -> None:
        self._keys = keys
        self._delay_s = delay_s
        self._failures = FixedWindowRateLimiter(MemoryStorage())
        self._delayed = 0

    async def tenant(self, presented: str | None) -> Tenant:
        """The owner of a key.

        Raises:
            ServiceError: unauthenticated.
        """
        try:
            return self._keys.tenant(presented)
        except WrongKeyError:
            await self._delay()
            raise

    async def _delay(self) -> None:
        """Not for more calls than a few: beyond that they would cost more than they slow down."""
        if self._failures.hit(_AT_ONCE) or self._delayed >= _MOST_DELAYED:
            return
        self._delayed += 1
        try:
            await asyncio.sleep(self._delay_s)
        finally:
            self._delayed -= 1


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key in `authorization: Bearer KEY` or `x-api-key: KEY`; names in lower case."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")
