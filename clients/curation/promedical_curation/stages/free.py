"""For stages that ask no model."""

from collections.abc import Sequence

from promedical_curation.asking.requests import Request
from promedical_curation.rows import Row


def asks_nothing(row: Row) -> Sequence[Request]:
    """No request."""
    del row
    return ()
