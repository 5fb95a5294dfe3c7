"""A file, or standard input, as text: unzipped and in UTF-8, Parquet as lines of JSON. Other kinds of files are named.

No rows are read here.
"""

import codecs
import gzip
import hashlib
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from promedical_data.errors import DataError
from promedical_data.formats import parquet
from promedical_data.skips import Refusal

STANDARD_INPUT: Final = Path("-")
"""In the place of a file."""

GZIP_MAGIC: Final = b"\x1f\x8b"
_HEAD: Final = 8
"""How many bytes tell what a file is."""
_MARKED: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # begins as UTF-16 does
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_NOT_TEXT: Final = (
    (GZIP_MAGIC, "a gzip file in a gzip file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file, read and not yet understood.

    Attributes:
        path: The path, as the caller gave it.
        sha256: The hash of the bytes on the disk, as `sha256sum` gives it.
        text: The bytes, unzipped and without a byte order mark.
    """

    path: Path
    sha256: str
    text: bytes = field(repr=False)

    @property
    def lines(self) -> tuple[tuple[int, bytes], ...]:
        """Lines that are not blank, with their numbers; they may end as on any system."""
        numbered = enumerate(self.text.splitlines(), start=1)
        return tuple((number, line) for number, line in numbered if line.strip())

    @property
    def source(self) -> str:
        """The source of rows that name none: the name of the file, without its endings."""
        if self.path == STANDARD_INPUT:
            return "stdin"
        return self.path.name.split(".")[0] or self.path.name


def content_of(path: Path, expected: str) -> Content:
    """Read a whole file.

    Args:
        path: The file, or `-` for standard input; gzip is detected by its content.
        expected: What the file should hold, for the error.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
        text = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {why_unreadable(error)}; expected a file of {expected}") from None
    digest = hashlib.sha256(data).hexdigest()
    try:
        text = parquet.as_lines(text) if text.startswith(parquet.MAGIC) else _as_utf8(text)
    except Refusal as error:
        raise DataError(f"{path}: {error}; expected a file of {expected}") from None
    return Content(path=path, sha256=digest, text=text)


def why_unreadable(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    return getattr(error, "strerror", None) or "it is not a whole gzip file"


def encoding_of(head: bytes) -> str | None:
    """The encoding that a file's first bytes announce; None if they announce none, which means UTF-8.

    Raises:
        Refusal: They are not those of a text.
    """
    for magic, kind in _NOT_TEXT:
        if head.startswith(magic):
            raise Refusal(f"is {kind}; unpack or convert it first")
    encoding = next((name for mark, name in _MARKED if head.startswith(mark)), None)
    if encoding is None and b"\0" in head[:4]:
        raise Refusal("is not UTF-8, but perhaps UTF-16 without a byte order mark; save it as UTF-8")
    return encoding


def _as_utf8(text: bytes) -> bytes:
    """The text in UTF-8, without a byte order mark."""
    encoding = encoding_of(text[:_HEAD])
    if encoding is None:
        return text.removeprefix(codecs.BOM_UTF8)
    try:
        return text.decode(encoding).encode()
    except UnicodeError:
        raise Refusal(f"begins as {encoding}, but is not valid {encoding}; save it as UTF-8") from None
