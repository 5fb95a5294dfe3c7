"""A comparison, as the log of records takes it."""

from collections.abc import Iterable
from dataclasses import dataclass

from promedical.shadow_records import Comparison


@dataclass(frozen=True, slots=True)
class RecordedComparison:
    """Implements `audit_log.Recorded`; a comparison holds no text, and its hashes are made already."""

    comparison: Comparison

    @property
    def count(self) -> int:
        return len(self.comparison.responses)

    @property
    def cost(self) -> int:
        outcomes = (each for response in self.comparison.responses for each in (response.live, response.candidate))
        return self.count + sum(len(each.scores.criteria) for each in outcomes if each.scores)

    def without_texts(self) -> "RecordedComparison":
        return self

    def lines(self, salt: bytes | None) -> Iterable[bytes]:  # noqa: ARG002 - its hashes are made already
        return self.comparison.lines()
