"""The rows of a file: JSON lines, a JSON array, one JSON object or CSV, plain or gzipped, whatever the rows mean."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias, TypeVar

import pydantic_core

from promedical.rubric import InvalidField
from promedical_data.errors import DataError
from promedical_data.formats.content import Content
from promedical_data.skips import Place, Refusal, SkipLog, shown

T = TypeVar("T")
Parse: TypeAlias = Callable[[dict[str, Any], Place], T]
"""From a row and its place to what the row says; raises `Refusal` or `InvalidField` if it cannot be used."""
Key: TypeAlias = Callable[[T], tuple[str, str] | None]
"""The field that names a row, and its name; None if rows have no names."""

_CONTAINERS: Final = frozenset(
    (
        *("data", "dataset", "items", "examples", "rows", "records", "samples", "instances", "entries"),
        *("prompts", "questions", "results", "train", "test"),
    )
)
"""Keys of an object that holds all rows, in one list."""
_COMMA: Final = "ends with a comma"
NOT_UTF8: Final = "is not UTF-8; save it as UTF-8 and try again"

_REASONS_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJson:
    """A text is not JSON that all readers read the same; the reason quotes nothing from it but a repeated field."""

    reason: str


def from_json(text: bytes) -> Any:
    """What a text holds, or `NotJson`, which also stands in the place of a row that has a field twice."""
    text = text.strip().removeprefix(codecs.BOM_UTF8)  # files that were joined have marks in the middle
    try:
        pydantic_core.from_json(text)  # unlike json, this raises the same error for any depth and any number of digits
        return json.loads(text.decode(), object_pairs_hook=_object)
    except ValueError as error:
        comma = b"\n" not in text and text.endswith(b",")
        reason = _COMMA if comma and isinstance(from_json(text[:-1]), dict) else str(error)
        return NotJson(reason=f"is not JSON in UTF-8: {reason}")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    read: dict[str, Any] = {}
    for name, value in pairs:
        fault = _fault_in(value)
        if fault is None and name in read:
            fault = NotJson(reason=f"has the field {shown(name, len(read))!r} twice in one object")
        if fault is not None:
            return fault
        read[name] = value
    return read


def _fault_in(value: Any) -> NotJson | None:
    if isinstance(value, list):
        return next(filter(None, map(_fault_in, value)), None)
    return value if isinstance(value, NotJson) else None


def rows_of(content: Content) -> Iterator[tuple[str, Any]]:
    """Every row with its place: lines of JSON, the elements of one JSON array, one object, or records of CSV.

    The array may be the only list in an object, under one of a few names.

    Raises:
        DataError: A file named .csv is not UTF-8, or not CSV; or a JSON document is broken.
    """
    if is_csv(content.path):
        return csv_rows(io.StringIO(_decoded(content), newline=""), content.path)
    whole = _document(content)
    if isinstance(whole, dict):
        key = _list_key(whole)
        if key is None:
            return iter([(f"line {content.lines[0][0]}", whole)])
        whole = whole[key]
    if isinstance(whole, list):
        return ((f"element {number}", row) for number, row in enumerate(whole, start=1))
    if isinstance(whole, NotJson):
        _check_some_line_is_json(content, whole)
    return ((f"line {number}", from_json(line)) for number, line in content.lines)


def _check_some_line_is_json(content: Content, whole: NotJson) -> None:
    lines = [from_json(line) for _, line in content.lines]
    if any(isinstance(line, dict) for line in lines):
        return
    commas = any(isinstance(line, NotJson) and line.reason.endswith(_COMMA) for line in lines)
    reason = f"is not JSON in UTF-8: each line {_COMMA}" if commas and content.text[:1] == b"{" else whole.reason
    raise DataError(f"{content.path}: {reason}; fix it, or write one object per line")


def container_of(content: Content) -> dict[str, Any] | None:
    """The object that holds all rows, if there is one."""
    whole = _document(content)
    return whole if isinstance(whole, dict) and _list_key(whole) else None


def _document(content: Content) -> Any:
    """The file as one JSON document, or `NotJson`; None if it does not begin as a document that holds rows."""
    return from_json(content.text) if content.text.lstrip().startswith((b"[", b"{")) else None


def _list_key(document: dict[str, Any]) -> str | None:
    lists = [key for key, value in document.items() if isinstance(value, list)]
    return lists[0] if len(lists) == 1 and lists[0] in _CONTAINERS else None


def usable(
    content: Content,
    parse: Parse[T],
    log: SkipLog,
    expected: str,
    *,
    key: Key[T] = lambda _: None,
    rows: Callable[[Content], Iterator[tuple[str, Any]]] = rows_of,
) -> list[T]:
    """What each row says, as `parsed` gives it.

    Args:
        content: The file.
        parse: Reads one row.
        log: It is told what is left out.
        expected: What a row should look like, for the error.
        key: The name of what a row says.
        rows: Finds the rows, if not as `rows_of` does.

    Raises:
        DataError: No row is left.
    """
    found = list(parsed(content, parse, log, key=key, rows=rows))
    if not found:
        raise DataError(nothing_left(content.path, "row", expected, log))
    return found


def parsed(
    content: Content,
    parse: Parse[T],
    log: SkipLog,
    *,
    key: Key[T],
    rows: Callable[[Content], Iterator[tuple[str, Any]]] = rows_of,
) -> Iterator[T]:
    """What each row says, without rows that cannot be used or repeat a name, which are noted in the log."""
    seen: set[tuple[str, str]] = set()
    for name, row in rows(content):
        place = Place(name=name, log=log)
        try:
            found = parse(as_object(row), place)
            _check_new(key(found), seen)
        except (Refusal, InvalidField) as error:
            place.skip("row", str(error))
        else:
            yield found


def nothing_left(path: Path, what: str, expected: str, log: SkipLog) -> str:
    """The error for a file that holds nothing usable, with the reasons."""
    entries = log.summary()[:_REASONS_NAMED]
    reasons = "; ".join(f"{entry.reason} ({entry.count}, first {entry.first[0]})" for entry in entries)
    return f"{path}: holds no {what} that can be used; expected {expected}; {reasons or 'the file is empty'}"


def as_object(row: object) -> dict[str, Any]:
    """A row that can be used.

    Raises:
        Refusal: It is not JSON, or not an object; or it is a record of CSV whose fields do not fit the header.
    """
    if isinstance(row, NotJson):
        raise Refusal(row.reason.partition(" at line ")[0])
    if not isinstance(row, dict):
        raise Refusal("is not a JSON object")
    if None in row:
        raise Refusal("has more fields than the header")
    return row


def _check_new(key: tuple[str, str] | None, seen: set[tuple[str, str]]) -> None:
    if key is None:
        return
    if key in seen:
        raise Refusal(f"{key[0]}: is the same as that of an earlier row")
    seen.add(key)


def is_csv(path: Path) -> bool:
    """Whether a file holds CSV, by its name."""
    return ".csv" in path.suffixes


def csv_rows(text: TextIO, path: Path) -> Iterator[tuple[str, Any]]:
    """The records of CSV, with their places.

    Raises:
        DataError: The text is not CSV.
    """
    reader = csv.DictReader(text)
    try:
        yield from ((f"record {number}", row) for number, row in enumerate(reader, start=1))
    except csv.Error as error:
        where = f"{path}:{reader.line_num + 1}"  # after the last whole record
        raise DataError(f"{where}: is not CSV: {error}; look for a quote that is never closed") from None


def _decoded(content: Content) -> str:
    try:
        return content.text.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{content.path}: {NOT_UTF8}") from None
