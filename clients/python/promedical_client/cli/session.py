"""How a command reaches the service, and what it says and leaves behind where that fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from promedical_client.address import Address
from promedical_client.errors import InvalidRequestError, NotFoundError, PromedicalError

if TYPE_CHECKING:
    from promedical_client.sync import Client

SOME_FAILED: Final = 1
_BAD_INPUT: Final = 2
_REFUSED: Final = 3

_MAX_ATTEMPTS: Final = 5
"""Fewer than a program's: who sits in front of it should learn of a wrong URL in seconds."""


def opened(address: Address, timeout_s: float) -> "Client":
    """A client for the address. Imported when needed, like all that is heavy: `--help` answers at once.

    Raises:
        InputError: A TLS file cannot be read.
    """
    from promedical_client.jsonl import InputError  # noqa: PLC0415
    from promedical_client.sync import Client  # noqa: PLC0415

    try:
        return Client(address, timeout_s=timeout_s, max_attempts=_MAX_ATTEMPTS)
    except OSError as error:
        raise InputError(str(error)) from None


@contextmanager
def expected_errors() -> Iterator[None]:
    """One line and an exit code instead of a trace, for what is not a bug."""
    from promedical_client.jsonl import InputError  # noqa: PLC0415 - see `opened`

    try:
        yield
    except (InputError, InvalidRequestError, NotFoundError) as error:
        _fail(error, _BAD_INPUT)
    except PromedicalError as error:
        _fail(error, _REFUSED)


@contextmanager
def partial_kept(out: Path | None, asked: int) -> Iterator[None]:
    """Where a call fails half way, what was answered is not lost but written beside `out`."""
    from promedical_client.jsonl import to_json, written_atomically  # noqa: PLC0415 - see `opened`

    try:
        yield
    except PromedicalError as error:
        if out is None or not error.partial:
            raise
        typer.echo(f"promedical: {error}", err=True)
        beside = out.with_name(f"{out.name}.partial")
        with written_atomically(beside) as stream:
            stream.writelines(f"{to_json(outcome)}\n" for outcome in error.partial)
        typer.echo(f"promedical: {len(error.partial)} of {asked} items were answered; they are in {beside}", err=True)
        raise typer.Exit(_REFUSED) from None


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error where that is a terminal; it is told how much is done, and of how much."""
    from rich.console import Console  # noqa: PLC0415 - see `opened`
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(shown, completed=done, total=total)


def _fail(error: Exception, code: int) -> NoReturn:
    typer.echo(f"promedical: {error}", err=True)
    raise typer.Exit(code)
