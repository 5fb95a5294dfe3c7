"""Which publisher's file this is: the one whose rows most of the first rows are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from promedical_data.conversion.rows import Placed
from promedical_data.errors import DataError
from promedical_data.publishers.catalog import PUBLISHERS
from promedical_data.publishers.publisher import Publisher, Row

LOOKED_AT: Final = 20
"""How many of the first rows decide."""

_KEYS_NAMED: Final = 12


def detected(path: Path, first: Sequence[Placed]) -> Publisher:
    """The publisher whose file this is.

    Raises:
        DataError: None fits, or several do.
    """
    rows = [row for _, row in _objects(first)]
    counts = {publisher.name: sum(publisher.matches(row) for row in rows) for publisher in PUBLISHERS}
    most = max(counts.values())
    if not most:
        raise DataError(
            f"{path}: is in no known format: {_seen(first)}; name the format with --from, and see the list of "
            "promedical-data formats"
        )
    fitting = [publisher for publisher in PUBLISHERS if counts[publisher.name] == most]
    if len(fitting) > 1:
        names = ", ".join(publisher.name for publisher in fitting)
        raise DataError(f"{path}: its rows fit several formats: {names}; choose one of them with --from")
    return fitting[0]


def check_fits(path: Path, first: Sequence[Placed], publisher: Publisher) -> None:
    """Refuse a file none of whose first rows is one of this publisher's.

    Raises:
        DataError: None of them is.
    """
    rows = [row for _, row in _objects(first)]
    if any(publisher.matches(row) for row in rows):
        return
    others = [each.name for each in PUBLISHERS if any(each.matches(row) for row in rows)]
    hint = f"; it looks like {' or '.join(others)}" if others else ""
    raise DataError(f"{path}: is not in the format {publisher.name}: {_lacking(first, publisher)}{hint}")


def lacks(row: Row, publisher: Publisher) -> str:
    """What makes a row none of this publisher's."""
    missing = [key for key in publisher.needs if key not in row]
    if missing:
        return f"lacks {', '.join(missing)}"
    return f"has the keys of format {publisher.name}, but not its values"


def _lacking(first: Sequence[Placed], publisher: Publisher) -> str:
    place, row = next(_objects(first), ("", None))
    return _seen(first) if row is None else f"{place} {lacks(row, publisher)}; {_keys(row)}"


def _seen(first: Sequence[Placed]) -> str:
    place, row = next(_objects(first), ("", None))
    if row is not None:
        return f"{place} {_keys(row)}"
    return "it holds no JSON object" if first else "it is empty"


def _objects(first: Sequence[Placed]) -> Iterator[tuple[str, Row]]:
    """The rows that can be looked at: a record of CSV with more fields than the header has a key that is no text."""
    return ((place, row) for place, row in first if isinstance(row, dict) and None not in row)


def _keys(row: Row) -> str:
    """The keys of a row, which are no patient's text."""
    keys = [str(key)[:40] or '""' for key in row]
    more = ", ..." if len(keys) > _KEYS_NAMED else ""
    return f"has the keys {', '.join(keys[:_KEYS_NAMED])}{more}"
