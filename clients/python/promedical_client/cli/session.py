"""How a command reaches the service, and what it says and leaves behind if that fails."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from promedical_client.address import Address
from promedical_client.cli.output import results_file
from promedical_client.errors import InvalidRequestError, NotFoundError, PromedicalError

if TYPE_CHECKING:
    from promedical_client.cli.progress import Advance
    from promedical_client.sync import Client

SOME_FAILED: Final = 1
_BAD_INPUT: Final = 2
_REFUSED: Final = 3

_MAX_ATTEMPTS: Final = 5
"""Fewer than in a program: people at a terminal should learn of a wrong URL within seconds."""


def opened(address: Address, timeout_s: float) -> "Client":
    """A client for the address. Heavy modules are imported only when they are needed, so that `--help` is fast.

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
    """Turn an error that is not a bug into one line and an exit code instead of a traceback."""
    from promedical_data.errors import DataError  # noqa: PLC0415 - see `opened`

    try:
        yield
    except (DataError, InvalidRequestError, NotFoundError) as error:
        fail("promedical", error, _BAD_INPUT)
    except PromedicalError as error:
        fail("promedical", error, _REFUSED)


@contextmanager
def partial_kept(out: Path | None, asked: int) -> Iterator[None]:
    """If a call fails halfway, write what was answered to a file beside `out`."""
    try:
        yield
    except PromedicalError as error:
        if out is None or not error.partial:
            raise
        typer.echo(f"promedical: {error}", err=True)
        beside = out.with_name(f"{out.name}.partial")
        with results_file(beside) as results:
            results.extend(error.partial)
        typer.echo(f"promedical: {len(error.partial)} of {asked} items were answered; they are in {beside}", err=True)
        raise typer.Exit(_REFUSED) from None


def progress(title: str) -> "AbstractContextManager[Advance]":
    """A bar on standard error where that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - see `opened`

    from promedical_client.cli.progress import progress_bar  # noqa: PLC0415

    return progress_bar(Console(stderr=True), title)


def fail(program: str, error: object, code: int) -> NoReturn:
    """End a program with one line and an exit code.

    Raises:
        typer.Exit: Always.
    """
    typer.echo(f"{program}: {error}", err=True)
    raise typer.Exit(code)
