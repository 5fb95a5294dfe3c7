"""What holds for stages that see many rows at once: every id is there once, and every row gets one outcome."""

from collections.abc import Iterable, Iterator

from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Failed, Outcome, Row


def unique(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The outcomes of a source; a row whose id was there before fails."""
    seen = set[str]()
    for outcome in outcomes:
        if isinstance(outcome, Row):
            if outcome.id in seen:
                yield Failed(row=outcome, error="duplicate_id", message="another row of the source has the same id")
                continue
            seen.add(outcome.id)
        yield outcome


def each_once(stage: TableStage, rows: Rows) -> Iterator[Outcome]:
    """The outcomes of a table stage.

    Raises:
        CurationError: A row has no outcome, or two, or an outcome is of no row that came in.
    """
    left = {row.id for row in rows}
    for outcome in stage.decide(rows):
        decided = outcome if isinstance(outcome, Row) else outcome.row
        if decided.id not in left:
            raise CurationError(f"stage {stage.name}: decided about row {decided.id} twice, or it never came in")
        left.discard(decided.id)
        yield outcome
    if left:
        raise CurationError(f"stage {stage.name}: did not decide about {len(left):,} rows, such as {min(left)}")
