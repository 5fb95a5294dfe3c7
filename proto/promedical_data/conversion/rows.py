"""The rows of a file of any size. A small one is read as everywhere; of a large one, few rows are in memory at a time.

What is small is read by `formats.lines`. What is large is Parquet, CSV, JSON lines, a JSON array, or a JSON document
that a publisher says how to stream; the latter two need ijson, which the extra `data` has.
"""

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from typing_extensions import Buffer

from promedical_data.errors import DataError
from promedical_data.formats import parquet
from promedical_data.formats.content import GZIP_MAGIC, STANDARD_INPUT, Content, encoding_of, why_unreadable
from promedical_data.formats.lines import NOT_UTF8, csv_rows, from_json, is_csv, rows_of
from promedical_data.publishers.publisher import Publisher
from promedical_data.skips import Refusal

Placed: TypeAlias = tuple[str, Any]
"""A place in a file, and the row there, which may be `NotJson`."""

SMALL: Final = 32 * 1024 * 1024
"""Up to this many bytes, unzipped, a file is read whole."""

_HEAD: Final = 8
_LINES_LOOKED_AT: Final = 20
_NEEDS_IJSON: Final = (
    "is a JSON document of more than 32 MiB, which needs ijson; run: pip install 'promedical[data]', or write one row "
    "per line"
)


@contextmanager
def placed_rows(path: Path, publishers: Sequence[Publisher]) -> Iterator[tuple[Iterator[Placed], Callable[[], int]]]:
    """The rows of a file with their places, and how many of its bytes have been read so far.

    Args:
        path: The file, or `-` for standard input.
        publishers: Those whose files it may be: they know how their documents hold rows.

    Raises:
        DataError: The file cannot be read, which may be found during the block.
    """
    try:
        if path == STANDARD_INPUT:
            yield _guarded(path, _rows(path, sys.stdin.buffer, publishers)), lambda: 0
            return
        with path.open("rb") as raw:
            yield _guarded(path, _rows(path, raw, publishers)), raw.tell
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {why_unreadable(error)}") from None


def _guarded(path: Path, rows: Iterator[Placed]) -> Iterator[Placed]:
    try:
        yield from rows
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be read: {why_unreadable(error)}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: {NOT_UTF8}") from None
    except Refusal as error:
        raise DataError(f"{path}: {error}") from None


def _rows(path: Path, raw: Any, publishers: Sequence[Publisher]) -> Iterator[Placed]:
    stream: Any = gzip.GzipFile(fileobj=raw) if raw.peek(_HEAD).startswith(GZIP_MAGIC) else raw
    head = stream.peek(_HEAD)[:_HEAD]
    if head.startswith(parquet.MAGIC):
        yield from _parquet_rows(raw if stream is raw and raw.seekable() else io.BytesIO(stream.read()))
        return
    encoding = encoding_of(head)
    if encoding:
        yield from _small(path, stream.read().decode(encoding).encode(), publishers)
        return
    if head.startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    text = stream.read(SMALL + 1)
    if len(text) <= SMALL:
        yield from _small(path, text, publishers)
    else:
        yield from _large(path, text, stream, publishers)


def _parquet_rows(stream: IO[bytes]) -> Iterator[Placed]:
    with parquet.opened(stream) as file:
        for number, row in enumerate(parquet.rows_of(file), start=1):
            yield f"row {number}", row


def _small(path: Path, text: bytes, publishers: Sequence[Publisher]) -> Iterator[Placed]:
    document = from_json(text) if text.lstrip().startswith(b"{") else None
    if isinstance(document, dict):
        for publisher in publishers:
            rows = publisher.rows(document)
            if rows is not None:
                return iter(rows)
    return rows_of(Content(path=path, sha256="", text=text))


def _large(path: Path, head: bytes, rest: IO[bytes], publishers: Sequence[Publisher]) -> Iterator[Placed]:
    stream = io.BufferedReader(_Rejoined(head, rest))
    if is_csv(path):
        return csv_rows(io.TextIOWrapper(stream, "utf-8", newline=""), path)
    if head.lstrip().startswith(b"["):
        return _streamed(stream, "item", "element")
    lines = head.split(b"\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]
    if any(isinstance(from_json(line), dict) for line in lines):
        return ((f"line {number}", from_json(line)) for number, line in enumerate(stream, start=1) if line.strip())
    where = next((publisher.streams for publisher in publishers if publisher.streams), None)
    rows = _streamed(stream, where, where.removesuffix(".item")) if where else iter(())
    first = next(rows, None)
    if first is None:
        raise Refusal("is neither JSON lines nor a JSON array, and no large document of a known format")
    return chain([first], rows)


def _streamed(stream: IO[bytes], where: str, name: str) -> Iterator[Placed]:
    try:
        import ijson  # noqa: PLC0415 - only documents that are large need it
    except ModuleNotFoundError:
        raise Refusal(_NEEDS_IJSON) from None
    try:
        for number, row in enumerate(ijson.items(stream, where, use_float=True), start=1):
            yield f"{name} {number}", row
    except ijson.JSONError as error:
        reason = str(error).splitlines()[0]  # the lines after it quote the text
        raise Refusal(f"is not JSON in UTF-8: {reason}") from None


class _Rejoined(io.RawIOBase):
    """A stream whose beginning has been read."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = self._head.read(len(view)) or self._rest.read(len(view))
        view[: len(data)] = data
        return len(data)
