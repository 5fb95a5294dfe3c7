"""Standard output of every command: UTF-8 wherever it leads, looked at before the work, and no traceback if it fails.

Results that cannot be written are kept in a file of their own: scoring them again would take as long again.
"""

import errno
import io
import os
import select
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import typer

from promedical_data.errors import DataError

_BAD_OUTPUT: Final = 2
_BAD_FILE: Final = 2
_CLOSED: Final = 141
"""What shells say of a program whose reader went away."""
_NAME: Final = "standard output"
_OF_WRITING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EROFS})
"""How a write fails where opening the file did not."""


Write: TypeAlias = Callable[[Sequence[Any]], None]
"""Writes all results."""
Opening: TypeAlias = Callable[[Path], AbstractContextManager[Write]]
"""Opens a file for results."""


class OutputError(DataError):
    """Results cannot be written; the message says why, and where they are."""


@contextmanager
def guarded_output(name: str) -> Iterator[None]:
    """What the block prints leaves in UTF-8, and a full disk, a reader that is gone or a file of no use is one line.

    Args:
        name: What this line begins with.
    """
    _use_utf8()
    try:
        yield
    except SystemExit as end:
        failure = _failure_to_flush()
        if failure and not end.code:
            _complain(name, failure)
        if failure:
            _write_no_more()
        raise
    except OSError as error:
        if error.errno in _OF_WRITING:
            _complain(name, error)
        if error.filename is None:
            raise
        typer.echo(f"{name}: {error.filename}: {error.strerror}", err=True)
        sys.exit(_BAD_FILE)


def check_standard_output() -> None:
    """Find out before the work, as far as that is possible, whether its results can be written.

    Raises:
        OutputError: They cannot.
    """
    if sys.stdout is None:
        raise OutputError(f"{_NAME} is closed; send it to a file, or give --out FILE")
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # not a file of the system: a test, or a notebook
        return
    try:
        os.write(descriptor, b"")
        _check_room(descriptor)
    except OSError as error:
        raise OutputError(f"{_NAME}: cannot be written: {error.strerror}") from None


@contextmanager
def printed(*values: object) -> Iterator[None]:
    """What the block prints reaches standard output; if not, `values` are kept in a file as JSON lines.

    Raises:
        OutputError: It was not written.
        typer.Exit: Whoever read it went away.
    """
    reason: OSError | None = None
    try:
        yield
    except OSError as error:
        reason = error
    except SystemExit:  # how rich ends the program if its reader is gone
        reason = OSError(errno.EPIPE, os.strerror(errno.EPIPE))
    reason = _failure_to_flush() or reason
    if reason is None:
        return
    _write_no_more()
    if reason.errno == errno.EPIPE:
        typer.echo(f"promedical: {_NAME} was closed before everything was written", err=True)
        raise typer.Exit(_CLOSED)
    raise OutputError(f"{_NAME}: cannot be written: {reason.strerror}{_kept(values)}")


@contextmanager
def lines_file(path: Path) -> Iterator[Write]:
    """A file that values are written to as JSON lines.

    Raises:
        DataError: It cannot be written.
    """
    from promedical_client.jsonl import to_json  # noqa: PLC0415 - see `session.opened`
    from promedical_data.files import output_file  # noqa: PLC0415

    with output_file(path) as stream:
        yield lambda values: stream.writelines(f"{to_json(value)}\n" for value in values)


@contextmanager
def results_file(path: Path | None, opening: Opening = lines_file) -> Iterator[list[Any]]:
    """A list whose values are written to a file when the block ends well.

    If the file cannot be written after all, they are kept in another.

    Args:
        path: The file, which is opened first; None for none.
        opening: Opens it.

    Raises:
        DataError: The file cannot be opened.
        OutputError: It was not written.
    """
    results: list[Any] = []
    try:
        with opening(path) if path else nullcontext() as write:
            yield results
            if write is not None:
                write(results)
    except DataError as error:
        if not results:
            raise
        raise OutputError(f"{error}{_kept(results)}") from None


def _kept(values: Sequence[object]) -> str:
    """Keep results as JSON lines in a new file of the folder for temporary files; the end of a message about that."""
    from promedical_client.jsonl import to_json  # noqa: PLC0415 - see `session.opened`

    if not values:
        return ""
    try:
        descriptor, name = tempfile.mkstemp(prefix="promedical-", suffix=".jsonl")
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
            stream.writelines(f"{to_json(value)}\n" for value in values)
    except OSError as error:
        return f"; the results are lost, since they cannot be kept elsewhere: {error.strerror}"
    return f"; the results are in {name}"


def _use_utf8() -> None:
    """A terminal keeps its encoding, and what it cannot show is replaced; everything else is UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _failure_to_flush() -> OSError | None:
    """Why what was printed cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _write_no_more() -> None:
    """Send what else is printed nowhere, so that the end of Python does not fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_room(descriptor: int) -> None:
    if sys.platform == "win32":
        return
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind) and os.fstatvfs(descriptor).f_bavail == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if stat.S_ISFIFO(kind):
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))


def _complain(name: str, failure: OSError) -> NoReturn:
    _write_no_more()
    with suppress(OSError):
        where = f"{failure.filename}: " if failure.filename else ""
        print(f"{name}: {where}the output cannot be written: {failure.strerror}", file=sys.stderr)  # noqa: T201
    sys.exit(_CLOSED if failure.errno == errno.EPIPE else _BAD_OUTPUT)
