"""Rows from a file: one JSON object a line with the fields of a row, or the Parquet file that another run wrote."""

import gzip
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from promedical.plain_json import read_plain_json
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.row_files import RowFile
from promedical_curation.pipeline.stages import Source
from promedical_curation.rows import Failed, Outcome, Row
from promedical_data.files import sha256_of

NAME: Final = "input"
_REQUIRED: Final = ("id", "instruction")
_OPTIONAL: Final[dict[str, Any]] = {
    "source": "unknown",
    "origin": "",
    "licence": "unknown",
    "reference": None,
    "notes": {},
}
_KINDS: Final = (".jsonl", ".jsonl.gz", ".parquet")


def input_rows(path: Path) -> Source:
    """The rows of a file as a source.

    Raises:
        CurationError: The file cannot be read.
    """
    if not path.name.endswith(_KINDS):
        raise CurationError(f"{path}: expected a file of rows, named {', '.join(_KINDS)}")
    try:
        found = sha256_of(path)
    except OSError as error:
        raise CurationError(f"{path}: cannot be read: {error.strerror}; expected a file of rows") from None
    return Source(name=NAME, config={"file": found[:16]}, read=partial(_rows, path))


def _rows(path: Path) -> Iterator[Outcome]:
    if path.suffix == ".parquet":
        yield from RowFile(path)
        return
    try:
        opened: Any = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rb") as stream:
            yield from _lines(path, stream)
    except (OSError, EOFError) as error:
        raise CurationError(f"{path}: is broken: {error}; expected JSON lines") from None


def _lines(path: Path, stream: IO[bytes]) -> Iterator[Outcome]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield _row(line, f"{path}:{number}", number)


def _row(line: bytes, where: str, number: int) -> Outcome:
    """The row in a line. A row whose question is empty fails; a line that is no row ends the reading."""
    try:
        values = read_plain_json(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "is not JSON"
        raise CurationError(f"{where}: {reason}; expected an object with {' and '.join(_REQUIRED)}") from None
    if not isinstance(values, dict):
        raise CurationError(f"{where}: is no object; expected one with {' and '.join(_REQUIRED)}")
    if missing := [name for name in _REQUIRED if name not in values]:
        fields = ", ".join(sorted(values)[:10]) or "none"
        raise CurationError(f"{where}: lacks the field {missing[0]}; its fields are {fields}")
    if unknown := sorted(set(values) - set(_REQUIRED) - set(_OPTIONAL)):
        known = ", ".join((*_REQUIRED, *_OPTIONAL))
        raise CurationError(f"{where}: has the field {unknown[0]}, which no row has; the fields are {known}")
    values = {**_OPTIONAL, "origin": str(number), **values}
    for name, value in values.items():
        if not _fits(name, value):
            raise CurationError(
                f"{where}: {name} is {_kind(value)}; expected {'an object' if name == 'notes' else 'text'}"
            )
    row = Row(**values)
    if not row.id or not row.instruction.strip():
        return Failed(row=row, error="empty", message="the id or the instruction is empty")
    return row


def _fits(name: str, value: Any) -> bool:
    if name == "notes":
        return isinstance(value, dict)
    return isinstance(value, str) or (name == "reference" and value is None)


def _kind(value: Any) -> str:
    return "null" if value is None else json.dumps(type(value).__name__)
