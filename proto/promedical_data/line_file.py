"""A file of lines that a run appends to: what a kill cut off at its end is dropped, whole lines stay where they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def appending(path: Path) -> Iterator[IO[bytes]]:
    """The file, cut after its last whole line; empty if there was none. Its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.seek(0, 2)
        yield stream
