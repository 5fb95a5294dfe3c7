"""How many calls one model's server gets at a time, and when to stop asking it.

The limit starts low and grows by one with every success until the server is first overloaded; from then on it grows
by one in a round of calls (additive increase), and every overload halves it (multiplicative decrease). A wait that the
server asks for holds for all calls. This module does not know what a call is.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

START: Final = 2
WINDOW: Final = 40
"""How many of the last calls decide whether the run stops."""
LEAST: Final = 20
"""With fewer calls than this, the run does not stop."""
SHARE: Final = 0.5
LONGEST_WAIT_S: Final = 600.0
"""No server is waited for longer than this at once, whatever it asks for."""


@dataclass(slots=True)
class Limit:
    """The limit of calls in flight, as it moves. Times are seconds of any steady clock."""

    most: int
    now: float = START
    _ramping: bool = True
    _halved_at: float = -1.0

    def __post_init__(self) -> None:
        self.now = min(self.now, self.most)

    def succeeded(self) -> None:
        """A call was answered."""
        step = 1.0 if self._ramping else 1.0 / self.now
        self.now = min(self.now + step, float(self.most))

    def overloaded(self, *, sent_at: float, at: float) -> None:
        """A call was turned away. Calls that were sent before the last halving say nothing new."""
        self._ramping = False
        if sent_at > self._halved_at:
            self.now, self._halved_at = max(self.now / 2, 1.0), at


@dataclass(slots=True)
class Health:
    """What became of the last calls. Being asked to slow down is no error."""

    _last: deque[str | None] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def note(self, error: str | None) -> None:
        """A call was answered, or failed for this reason."""
        self._last.append(error)

    @property
    def complaint(self) -> str | None:
        """Why no more should be asked, if half of the last calls failed."""
        failed = Counter(each for each in self._last if each is not None)
        if len(self._last) < LEAST or failed.total() < SHARE * len(self._last):
            return None
        reasons = ", ".join(f"{reason} {count}" for reason, count in failed.most_common())
        return f"{failed.total()} of its last {len(self._last)} calls failed ({reasons})"


class Pace:
    """Lets calls to one server pass, never more than its limit at a time, and none while it asked to wait."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = Limit(most)
        self.health = Health()
        self.in_flight = 0
        self.turned_away = 0
        self._clock = clock
        self._not_before = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for room, and take it for the length of the block, which is told when it was let in."""
        await self._enter()
        try:
            yield self._clock()
        finally:
            async with self._changed:
                self.in_flight -= 1
                self._changed.notify_all()

    async def _enter(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.in_flight < int(self.limit.now))
                wait_s = self._not_before - self._clock()
                if wait_s <= 0:
                    self.in_flight += 1
                    return
            await asyncio.sleep(wait_s)

    def answered(self) -> None:
        """The call in a slot was answered."""
        self.limit.succeeded()
        self.health.note(None)

    def slow_down(self, *, sent_at: float, retry_after_s: float | None) -> None:
        """The server turned a call away."""
        self.turned_away += 1
        self.limit.overloaded(sent_at=sent_at, at=self._clock())
        if retry_after_s:
            self._not_before = max(self._not_before, self._clock() + min(retry_after_s, LONGEST_WAIT_S))

    def failed(self, reason: str, *, sent_at: float, overload: bool) -> None:
        """The call in a slot failed; `overload` is whether too many calls may be why."""
        self.health.note(reason)
        if overload:
            self.limit.overloaded(sent_at=sent_at, at=self._clock())


def retry_after_s(value: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """How long a `Retry-After` header asks to wait: it is a number of seconds or a date. None if it is neither."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0) if float(value) < float("inf") else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((aware - datetime.fromtimestamp(now(), UTC)).total_seconds(), 0.0)
