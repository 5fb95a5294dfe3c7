"""Dedup as a stage: of questions that are one, one is kept. Sees all rows at once."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from promedical_curation.dedup import components, dedup, licences, meaning, near, pairs
from promedical_curation.dedup.dedup import Thresholds, deduplicate
from promedical_curation.guard import facts, guard, quantities, words
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Outcome
from promedical_curation.stages.vectors import Vectors

NAME: Final = "dedup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduplication:
    """Drops duplicates."""

    thresholds: Thresholds
    vectors: Vectors

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        return TableStage(
            name=NAME,
            config={**asdict(self.thresholds), "vectors": self.vectors.name},
            code=(components, dedup, licences, meaning, near, pairs, facts, guard, quantities, words),
            decide=self.decide,
        )

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Every row, or its drop with its keeper."""
        return deduplicate(rows, self.vectors.encoder(), self.thresholds)
