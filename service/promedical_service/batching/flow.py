"""What flows in and out: room that requests hold before they are queued, and how fast the engine works. Pure."""

from dataclasses import dataclass

from promedical.messages import Priority

_MEMORY = 0.9
_INTERACTIVE_RESERVE = 8


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

    def observe(self, tokens: int, seconds: float) -> None:
        """A batch took this long."""
        self._tokens = self._tokens * _MEMORY + tokens
        self._seconds = self._seconds * _MEMORY + max(seconds, 1e-6)
