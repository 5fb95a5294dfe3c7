"""What every command has beside its own options: `--version`, and one line where an extra is missing."""

import sys
from typing import Annotated, Final, TypeAlias

import typer

import promedical
from promedical_client.cli.output import guarded_output

_BAD_INSTALL: Final = 2


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer passes it so
    if asked:
        typer.echo(f"promedical {promedical.__version__}")
        raise typer.Exit


Version: TypeAlias = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
]


def takes_version(app: typer.Typer) -> None:
    """Give a program the option `--version`; it keeps the names of its commands, however few there are."""
    app.callback()(_program)


def _program(*, version: Version = False) -> None:
    """Options of the program itself."""


def run_program(app: typer.Typer, name: str, *, extra: str = "") -> None:
    """Run a command line.

    Args:
        app: The commands.
        name: The name of the program, for the error.
        extra: The extra that installs what its commands import.
    """
    with guarded_output(name):
        try:
            app()
        except ModuleNotFoundError as error:
            typer.echo(f"{name}: {missing_module(error, extra)}", err=True)
            sys.exit(_BAD_INSTALL)


def missing_module(error: ModuleNotFoundError, extra: str) -> str:
    """What to install, in one line."""
    return f"{error.name} is not installed; run: pip install 'promedical{f'[{extra}]' if extra else ''}'"
