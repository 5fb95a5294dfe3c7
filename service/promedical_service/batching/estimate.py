"""How fast the engine is, estimated from the batches that it ran. Pure."""

_MEMORY = 0.9
_HUNG_S = 300.0
_HUNG_FACTOR = 20


class ThroughputEstimate:
    """The engine's throughput: tokens over seconds. Both fade with age, so that short batches weigh little.

    Args:
        tokens_per_s: The first estimate; it counts as much as one second of work.
    """

    def __init__(self, tokens_per_s: float) -> None:
        self._tokens = tokens_per_s
        self._seconds = 1.0

    @property
    def tokens_per_s(self) -> float:
        return self._tokens / self._seconds

    def patience_s(self, tokens: float) -> float:
        """After so many seconds, a batch of so many tokens counts as hung, and the engine as lost."""
        return max(_HUNG_S, _HUNG_FACTOR * tokens / self.tokens_per_s)

    def observe(self, tokens: int, seconds: float) -> None:
        """Note how long a batch took."""
        self._tokens = self._tokens * _MEMORY + tokens
        self._seconds = self._seconds * _MEMORY + max(seconds, 1e-6)
