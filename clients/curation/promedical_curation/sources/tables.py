"""Files of records: JSON lines, JSON and CSV as `promedical_data` reads them, and Parquet.

What a record means is not known here.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from promedical_curation.errors import CurationError
from promedical_data.errors import DataError
from promedical_data.formats.content import content_of
from promedical_data.formats.lines import rows_of

_PARQUET: Final = b"PAR1"
_BATCH: Final = 1024

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
        if _begins(path) == _PARQUET:
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
            return stream.read(len(_PARQUET))
    except OSError:
        return b""


def _parquet(path: Path, expected: str) -> Table:
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise CurationError(_broken(path, error, expected)) from None
    return Table(sha256=sha256, records=_parquet_records(path, file, expected))


def _parquet_records(path: Path, file: pq.ParquetFile, expected: str) -> Records:
    try:
        batches = (record for batch in file.iter_batches(_BATCH) for record in batch.to_pylist())
        yield from ((f"row {number}", record) for number, record in enumerate(batches, start=1))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CurationError(_broken(path, error, expected)) from None


def _broken(path: Path, error: Exception, expected: str) -> str:
    return f"{path}: is not a whole Parquet file ({type(error).__name__}); expected a file of {expected}"
