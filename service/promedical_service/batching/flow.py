"""What flows: room that requests hold before they are queued, the engine's speed, and what may overtake. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from promedical.messages import Priority

_MEMORY = 0.9
_INTERACTIVE_RESERVE = 8
_HUNG_S = 300.0
_HUNG_FACTOR = 20


def lane_capacity(max_queue_tokens: int, lane: Priority) -> int:
    """Waiting tokens up to which a lane admits: bulk leaves one part in 8 of the queue to interactive requests."""
    return max_queue_tokens - (max_queue_tokens // _INTERACTIVE_RESERVE if lane == "bulk" else 0)


@dataclass(eq=False, slots=True)
class Reservation:
    """Tokens that a request which is being rendered will probably need."""

    tokens: int

    def correct(self, difference: int) -> None:
        """A part of the request turned out to need this much more, or less."""
        self.tokens = max(self.tokens + difference, 0)


class Speed:
    """The engine's speed: tokens over seconds, both fading with age, so that short batches weigh little.

    Args:
        tokens_per_s: First estimate; it counts as much as one second of work.
    """

    def __init__(self, tokens_per_s: float) -> None:
        self._tokens = tokens_per_s
        self._seconds = 1.0

    @property
    def tokens_per_s(self) -> float:
        """The estimate now."""
        return self._tokens / self._seconds

    def patience_s(self, tokens: float) -> float:
        """After this long a batch of so many tokens counts as hung, and the engine as lost."""
        return max(_HUNG_S, _HUNG_FACTOR * tokens / self.tokens_per_s)

    def observe(self, tokens: int, seconds: float) -> None:
        """A batch took this long."""
        self._tokens = self._tokens * _MEMORY + tokens
        self._seconds = self._seconds * _MEMORY + max(seconds, 1e-6)


class Overtaking:
    """What may go into the middle of a batch, and how long that holds the batch up.

    Args:
        bulk_share: Part of the engine that a batch of bulk keeps while it is overtaken.
        clock: Monotonic seconds.
    """

    def __init__(self, bulk_share: float, clock: Callable[[], float]) -> None:
        self._per_token = (1 - bulk_share) / bulk_share
        self._clock = clock
        self._tokens = 0.0
        self._seconds = 0.0
        self._since: float | None = None

    @property
    def tokens(self) -> int:
        """How many may still overtake the batch that runs; the branch that reaches the limit is the last."""
        return int(self._tokens)

    @property
    def under_way(self) -> bool:
        """Whether a batch overtakes now."""
        return self._since is not None

    def permit(self, batch_tokens: int) -> None:
        """A batch of so many tokens runs now; 0: none that may be overtaken."""
        self._tokens = batch_tokens * self._per_token

    def begin(self, tokens: int) -> None:
        """A batch of so many tokens overtakes."""
        self._tokens -= tokens
        self._since = self._clock()

    def end(self) -> None:
        """It was answered."""
        self._seconds, self._since = self._seconds_until(self._clock()), None

    def others_clock(self) -> float:
        """Seconds that stand still while a batch overtakes."""
        now = self._clock()
        return now - self._seconds_until(now)

    def _seconds_until(self, now: float) -> float:
        return self._seconds + (0.0 if self._since is None else now - self._since)
