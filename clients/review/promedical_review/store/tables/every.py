"""All tables together, for migrations and copies."""

from typing import Final

from promedical_review.store.tables import bench_hidden, bench_shown, events, people, rounds, work
from promedical_review.store.tables.columns import metadata

MODULES: Final = (people, work, rounds, bench_shown, bench_hidden, events)

__all__ = ["MODULES", "metadata"]
