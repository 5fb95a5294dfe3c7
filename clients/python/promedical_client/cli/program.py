"""What every command has beside its own options: `--version`, and one line where an extra is missing."""

import sys
from typing import Annotated, Any, Final, TypeAlias

import typer
from typer.core import TyperGroup

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


class _Commands(TyperGroup):
    """Commands whose options say which value they refuse, in words of ours: pydantic's do not name it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _refusal(error)
            raise


def _refusal(error: typer.BadParameter) -> str:
    from pydantic import ValidationError  # noqa: PLC0415 - `--help` is fast

    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return error.message
    first = cause.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return first["msg"].removeprefix("Value error, ")
    wanted = first["msg"].replace("Input should be", "must be").partition(", unable to parse")[0]
    return f"{wanted}, not {first['input']!r}"


def takes_version(app: typer.Typer) -> None:
    """Give a program the option `--version`; it keeps the names of its commands, however few there are."""
    app.callback(cls=_Commands)(_program)


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
