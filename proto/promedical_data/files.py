"""What every writer of files needs: files and folders that appear complete or not at all, and lines that stay.

`output_file` is for files that a user named, and says in one sentence what went wrong; the others raise `OSError`.
"""

import errno
import gzip
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from promedical_data.errors import DataError

_DRAFT: Final = ".draft"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block ends well, and leaves no trace when it does not.

    A path that is not a regular file, such as a pipe or a device, is written to directly, and a link stays a link.

    Raises:
        OSError: Nothing can be written there, which is found before the block runs; or the disk failed during it.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory; expected a file")
    if (
        path.exists() and not path.is_file()
    ):  # asked about the link itself: that of /dev/stdout to a pipe leads to no path
        with path.open("wb") as stream:
            yield stream
        return
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}{_DRAFT}")
    stream = draft.open("wb")
    try:
        with stream:
            yield stream
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, as `sha256sum` gives it.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a text completely or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with whole_file(path) as stream:
        stream.write(text.encode())


@contextmanager
def output_file(path: Path) -> Iterator[IO[str]]:
    """A text file that a user named, as `whole_file` makes it; gzipped if its name ends in `.gz`.

    Raises:
        DataError: It cannot be written.
    """
    try:
        with whole_file(path) as stream:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as zipped, _text(zipped) as text:
                    yield text
            else:
                with _text(stream) as text:
                    yield text
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that becomes `folder` when the block ends well, and leaves no trace when it does not.

    Its parents are made. Two processes must not do this at the same time.

    Raises:
        OSError: The folder cannot be made.
    """
    draft = folder.with_name(f".{folder.name}{_DRAFT}")
    shutil.rmtree(draft, ignore_errors=True)  # a killed process may have left this
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def is_draft(path: Path) -> bool:
    """Whether a killed process left this folder behind before it was complete."""
    return path.name.startswith(".") and path.suffix == _DRAFT


@contextmanager
def appending(path: Path) -> Iterator[IO[bytes]]:
    """A file of lines, cut after its last complete line, since a kill may have cut the next one. Its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.seek(0, 2)
        yield stream


@contextmanager
def _text(stream: IO[bytes] | gzip.GzipFile) -> Iterator[IO[str]]:
    """The stream as text in UTF-8, without closing the stream below."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        yield text
        text.flush()
    finally:
        text.detach()
