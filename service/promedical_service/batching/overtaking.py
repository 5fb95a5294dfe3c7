"""What may go into the middle of a batch, and how long that holds the batch up. Pure except for its clock."""

from collections.abc import Callable


class Overtaking:
    """The account of interactive branches that overtake a batch of bulk.

    Args:
        bulk_share: The part of the engine that a batch of bulk keeps while it is overtaken.
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
        """How many tokens may still overtake the running batch; the branch that reaches the limit is the last one."""
        return int(self._tokens)

    @property
    def under_way(self) -> bool:
        """Whether a batch is overtaking now."""
        return self._since is not None

    def permit(self, batch_tokens: int) -> None:
        """Note that a batch of so many tokens runs now; 0 if it may not be overtaken."""
        self._tokens = batch_tokens * self._per_token

    def begin(self, tokens: int) -> None:
        """Note that a batch of so many tokens overtakes."""
        self._tokens -= tokens
        self._since = self._clock()

    def end(self) -> None:
        """Note that the batch that overtook was answered."""
        self._seconds, self._since = self._seconds_until(self._clock()), None

    def others_clock(self) -> float:
        """A clock in seconds that stands still while a batch overtakes."""
        now = self._clock()
        return now - self._seconds_until(now)

    def _seconds_until(self, now: float) -> float:
        return self._seconds + (0.0 if self._since is None else now - self._since)
