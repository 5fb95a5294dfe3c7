"""The rows of a file on the disk: JSON lines, a JSON array or CSV, plain or gzipped. Knows no format of labels."""

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pydantic_core

from promedical.rubric import InvalidField
from promedical_bench.data.errors import DataError
from promedical_bench.data.skips import Place, Refusal, SkipLog

T = TypeVar("T")

_GZIP_MAGIC: Final = b"\x1f\x8b"
_REASONS_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file, read and not yet understood.

    Attributes:
        path: As the caller gave it.
        sha256: Of the bytes on the disk, as `sha256sum` gives it.
        text: Its bytes, unzipped and without a byte order mark.
    """

    path: Path
    sha256: str
    text: bytes = field(repr=False)

    @property
    def lines(self) -> tuple[tuple[int, bytes], ...]:
        """Lines that are not blank, with their numbers."""
        numbered = enumerate(self.text.split(b"\n"), start=1)
        return tuple((number, line) for number, line in numbered if line.strip())

    @property
    def source(self) -> str:
        """Of rows that name none: the file, without its endings."""
        return self.path.name.split(".")[0] or self.path.name


def content_of(path: Path, expected: str) -> Content:
    """Read a file whole.

    Args:
        path: The file; gzip is found out by its content.
        expected: What the file should hold, for the error.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "is not a whole gzip file"
        raise DataError(f"{path}: cannot be read: {reason}; expected a file of {expected}") from None
    digest = hashlib.sha256(data).hexdigest()
    return Content(path=path, sha256=digest, text=text.removeprefix(codecs.BOM_UTF8))


def from_json(line: bytes) -> Any:
    """What a line holds; None also where it is not JSON, as no row is None."""
    try:
        return pydantic_core.from_json(line.strip())  # unlike json, an error for any depth and any number of digits
    except ValueError:
        return None


def rows_of(content: Content) -> Iterator[tuple[str, Any]]:
    """Every row with its place: lines of JSON, the elements of one JSON array, or lines of a file named .csv.

    Raises:
        DataError: A CSV file is not UTF-8.
    """
    if ".csv" in content.path.suffixes:
        yield from _csv_rows(content)
        return
    whole = from_json(content.text) if content.text.lstrip().startswith(b"[") else None
    if isinstance(whole, list):
        yield from ((f"element {number}", row) for number, row in enumerate(whole, start=1))
        return
    yield from ((f"line {number}", from_json(line)) for number, line in content.lines)


def usable(content: Content, parse: Callable[[dict[str, Any], Place], T], log: SkipLog, expected: str) -> list[T]:
    """What each row says, without those that cannot be used, which the log then knows.

    Args:
        content: The file.
        parse: Of one row; raises `Refusal` or `InvalidField`.
        log: Is told what is left out.
        expected: What a row should look like, for the error.

    Raises:
        DataError: No row is left.
    """
    parsed = list(_parsed(content, parse, log))
    if not parsed:
        raise DataError(nothing_left(content.path, "row", expected, log))
    return parsed


def nothing_left(path: Path, what: str, expected: str, log: SkipLog) -> str:
    """Says that a file holds nothing of what was looked for, and why."""
    rows = [entry for entry in log.summary() if entry.part == "row"][:_REASONS_NAMED]
    reasons = "; ".join(f"{entry.reason} ({entry.count}, first {entry.first[0]})" for entry in rows)
    return f"{path}: holds no {what} that can be used; expected {expected}; {reasons or 'the file is empty'}"


def _parsed(content: Content, parse: Callable[[dict[str, Any], Place], T], log: SkipLog) -> Iterator[T]:
    for name, row in rows_of(content):
        place = Place(name=name, log=log)
        if not isinstance(row, dict):
            place.skip("row", "is not a JSON object in UTF-8")
            continue
        try:
            yield parse(row, place)
        except (Refusal, InvalidField) as error:
            place.skip("row", str(error))


def _csv_rows(content: Content) -> Iterator[tuple[str, Any]]:
    try:
        text = content.text.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{content.path}: is not UTF-8; save it as UTF-8 and try again") from None
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=1):
        yield f"record {number}", row
