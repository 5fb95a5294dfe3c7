"""Files of records: JSON lines, JSON and CSV as `promedical_data` reads them, and Parquet.

What a record means is not known here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promedical_curation.errors import CurationError
from promedical_data.errors import DataError
from promedical_data.files import sha256_of
from promedical_data.formats import parquet
from promedical_data.formats.content import content_of
from promedical_data.formats.lines import rows_of

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

Records = Iterator[tuple[str, Any]]
"""Each record with its place in the file: `line 12`, `record 3`, `element 7`, `row 5`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file that was opened: its SHA-256, and its records, which can be walked once."""

    sha256: str
    records: Records


def open_table(path: Path, expected: str) -> Table:
    """Open a file of records, plain or gzipped; Parquet is known by its first bytes.

    Raises:
        CurationError: It cannot be read, or it is none of these formats.
    """
    try:
        if _begins(path) == parquet.MAGIC:
            return _parquet(path, expected)
        content = content_of(path, expected)
        return Table(sha256=content.sha256, records=_translated(rows_of(content)))
    except DataError as error:
        raise CurationError(str(error)) from None


def _translated(records: Records) -> Records:
    """The records, which are read as they are walked."""
    try:
        yield from records
    except DataError as error:
        raise CurationError(str(error)) from None


def _begins(path: Path) -> bytes:
    """The first bytes; nothing for what cannot be opened, which the reader of text says better."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(parquet.MAGIC))
    except OSError:
        return b""


def _parquet(path: Path, expected: str) -> Table:
    with _opened(path, expected):  # a broken file is refused before anything is read
        pass
    return Table(sha256=sha256_of(path), records=_parquet_records(path, expected))


def _parquet_records(path: Path, expected: str) -> Records:
    with _opened(path, expected) as file:
        yield from ((f"row {number}", record) for number, record in enumerate(parquet.rows_of(file), start=1))


@contextmanager
def _opened(path: Path, expected: str) -> Iterator["ParquetFile"]:
    try:
        with path.open("rb") as stream, parquet.opened(stream) as file:
            yield file
    except (OSError, ValueError, KeyError) as error:
        raise CurationError(f"{path}: {error}; expected a file of {expected}") from None
