"""A part of the rows, drawn by a hash of their ids: the same whatever their order, and a part of any larger part."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from promedical_curation.asking.requests import digest
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Drop, Outcome

NAME: Final = "take"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """Keeps so many rows."""

    count: int

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        return TableStage(name=NAME, config={"take": self.count}, decide=self.decide)

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Keep, or drop as `not_taken`."""
        taken = set(heapq.nsmallest(self.count, (row.id for row in rows), key=digest))
        return (row if row.id in taken else Drop(row=row, reason="not_taken") for row in rows)
