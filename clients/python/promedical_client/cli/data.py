"""The command `promedical-data`: publishers' files to labelled data of ours, and a look at such files.

Standard output holds what was asked for; counts, progress and errors go to standard error.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli.program import run_program, takes_version
from promedical_client.cli.session import fail, progress

if TYPE_CHECKING:
    from rich.console import Console

    from promedical_data.conversion.convert import Conversion

BAD_INPUT: Final = 2
INTERRUPTED: Final = 130

EXIT_CODES: Final = (
    "Exit codes: 0: there is a result; 2: bad usage or bad input; 130: interrupted. Files are written whole or not at "
    "all."
)

Inputs = Annotated[
    list[Path], typer.Argument(help="Files: JSON, JSON lines, CSV or Parquet; may be gzipped. - is stdin.")
]
From = Annotated[
    str, typer.Option("--from", help="The format of the files, one of promedical-data formats; auto detects it.")
]
Prompts = Annotated[
    Path | None, typer.Option(help="A file of prompts and their criteria, for formats whose rows do not hold them.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Which key holds what, where users choose keys: prompt=question. Repeatable."),
]

app = typer.Typer(
    help="Convert publishers' files to labelled data, and inspect such files.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


takes_version(app)


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn an error that is not a bug into one line and an exit code."""
    from promedical_data.errors import DataError  # noqa: PLC0415 - `--help` is fast

    try:
        yield
    except DataError as error:
        fail("promedical-data", error, BAD_INPUT)
    except KeyboardInterrupt:
        fail("promedical-data", "stopped; nothing was written", INTERRUPTED)


@app.command(epilog=EXIT_CODES)
@expected_errors()
def convert(
    inputs: Inputs,
    *,
    to: Annotated[Path, typer.Option(help="The result: a name that ends in .jsonl, .jsonl.gz or .parquet.")],
    publisher: From = "auto",
    report: Annotated[
        Path | None, typer.Option(help="What was left out and why, as Markdown, or as JSON if it ends in .json.")
    ] = None,
    prompts: Prompts = None,
    columns: Columns = None,
    source: Annotated[str | None, typer.Option(help="The source of every row. Default: the format's name.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="The licence of every row. Default: what its publisher says.")
    ] = None,
) -> None:
    """Convert files to the format of criteria, or of pairs if they hold comparisons."""
    from promedical_data.conversion.convert import convert as converted  # noqa: PLC0415 - see `expected_errors`
    from promedical_data.conversion.report import as_json, as_markdown  # noqa: PLC0415
    from promedical_data.conversion.sinks import check_name, sink  # noqa: PLC0415
    from promedical_data.conversion.tables import report_tables  # noqa: PLC0415
    from promedical_data.files import output_file  # noqa: PLC0415

    check_name(to)
    conversion = _conversion(inputs, publisher, prompts, columns, source, licence)
    with ExitStack() as stack:
        page = stack.enter_context(output_file(report)) if report else None
        done = converted(conversion, stack.enter_context(sink(to)), to, progress)
        if page and report:
            page.write(as_json(done) if report.suffix == ".json" else as_markdown(done))
    _console(stderr=True).print(report_tables(done))


@app.command(epilog=EXIT_CODES)
@expected_errors()
def formats() -> None:
    """List the formats: whose they are, under which licence, what is read and what is left out."""
    from promedical_data.conversion.tables import formats_list  # noqa: PLC0415 - see `expected_errors`
    from promedical_data.publishers.catalog import PUBLISHERS  # noqa: PLC0415

    _console().print(formats_list(PUBLISHERS))


@app.command(epilog=EXIT_CODES)
@expected_errors()
def show(file: Path, *, publisher: From = "auto", prompts: Prompts = None, columns: Columns = None) -> None:
    """Show the first row that a conversion of FILE would give."""
    from promedical_data.conversion.convert import first_of  # noqa: PLC0415 - see `expected_errors`
    from promedical_data.conversion.tables import row_tables  # noqa: PLC0415

    _console().print(row_tables(first_of(_conversion([file], publisher, prompts, columns), progress).row))


@app.command(epilog=EXIT_CODES)
@expected_errors()
def check(file: Path, *, publisher: From = "auto", prompts: Prompts = None, columns: Columns = None) -> None:
    """Say what a reader would find in FILE, and what it would leave out; nothing is written."""
    from promedical_data.conversion.convert import convert as converted  # noqa: PLC0415 - see `expected_errors`
    from promedical_data.conversion.tables import report_tables  # noqa: PLC0415

    conversion = _conversion([file], publisher, prompts, columns)
    _console().print(report_tables(converted(conversion, lambda _: None, file, progress)))


def main() -> None:
    """Run the command line."""
    run_program(app, "promedical-data", extra="data")


def _conversion(
    inputs: list[Path],
    publisher: str,
    prompts: Path | None,
    columns: list[str] | None,
    source: str | None = None,
    licence: str | None = None,
) -> "Conversion":
    from promedical_data.conversion.convert import Conversion  # noqa: PLC0415 - see `expected_errors`

    named = [word.partition("=") for word in columns or []]
    if not all(name and key for name, _, key in named):
        raise typer.BadParameter("--column takes NAME=KEY, such as prompt=question")
    return Conversion(
        inputs=tuple(inputs),
        publisher=publisher,
        prompts=prompts,
        columns={name: key for name, _, key in named},
        source=source,
        licence=licence,
    )


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - see `expected_errors`

    return Console(stderr=stderr)
