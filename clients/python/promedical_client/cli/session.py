"""How a command reaches the service, and what it says and leaves behind if that fails."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from promedical_client.address import Address
from promedical_client.errors import DeadlineError, InvalidRequestError, NotFoundError, PromedicalError

if TYPE_CHECKING:
    from rich.console import Console

    from promedical_client.cli.progress import Advance
    from promedical_client.sync import Client

SOME_FAILED: Final = 1
_BAD_INPUT: Final = 2
_REFUSED: Final = 3
_INTERRUPTED: Final = 130

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
    except DataError as error:
        fail("promedical", error, _BAD_INPUT)
    except (PromedicalError, KeyboardInterrupt) as error:
        ended(error)


def ended(error: PromedicalError | KeyboardInterrupt, then: str = "") -> NoReturn:
    """End the program by what ended its call.

    Args:
        error: What it was.
        then: What to do about it.

    Raises:
        typer.Exit: Always.
    """
    said, code = str(error), _REFUSED
    if isinstance(error, KeyboardInterrupt):
        said, code = "stopped", _INTERRUPTED
    elif isinstance(error, InvalidRequestError | NotFoundError):
        code = _BAD_INPUT
    elif isinstance(error, DeadlineError):
        said = said.replace("timeout_s", "--timeout-s")
    fail("promedical", f"{said}; {then}" if then else said, code)


def stderr_console() -> "Console":
    """Standard error, for what is not a result."""
    from rich.console import Console  # noqa: PLC0415 - see `opened`

    return Console(stderr=True)


def progress(title: str) -> "AbstractContextManager[Advance]":
    """A bar on standard error where that is a terminal."""
    from promedical_client.cli.progress import progress_bar  # noqa: PLC0415 - see `opened`

    return progress_bar(stderr_console(), title)


def fail(program: str, error: object, code: int) -> NoReturn:
    """End a program with one line and an exit code.

    Raises:
        typer.Exit: Always.
    """
    typer.echo(f"{program}: {error}", err=True)
    raise typer.Exit(code)
