"""The commands `promedical rubric ...`: help for people who write rubrics."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli import dry_run, rubric_import
from promedical_client.cli.session import expected_errors

if TYPE_CHECKING:
    from promedical_data.rubric_lint import Finding

_FOUND: Final = 1
EXIT_CODES: Final = "Exit codes: 0: nothing to change; 1: there is advice; 2: the file is no rubric."

app = typer.Typer(help="Help with writing rubrics.", no_args_is_help=True)


app.command("import", epilog=rubric_import.EXIT_CODES)(rubric_import.import_rubrics)


app.command("dry-run", epilog=dry_run.EXIT_CODES)(dry_run.dry_run)


@app.command()
def schema() -> None:
    """Print the JSON Schema of rubric files, for editors."""
    from promedical_data.rubric_schema import schema_text  # noqa: PLC0415 - see `session.opened`

    typer.echo(schema_text(), nl=False)


@app.command(epilog=EXIT_CODES)
@expected_errors()
def lint(
    files: Annotated[list[Path], typer.Argument(help="Rubric files, such as my-rubric@1.json or .toml.")],
) -> None:
    """Say which criteria judges and readers will stumble over, and what to change."""
    from promedical.rubric_files import RubricFileError, read_rubric  # noqa: PLC0415 - see `session.opened`
    from promedical_data.errors import DataError  # noqa: PLC0415
    from promedical_data.rubric_lint import lint as look  # noqa: PLC0415

    found = 0
    for file in files:
        try:
            rubric = read_rubric(file).rubric
        except RubricFileError as error:
            raise DataError(str(error)) from None
        findings = look(rubric.criteria)
        found += len(findings)
        _print(file, len(rubric.criteria), findings)
    raise typer.Exit(_FOUND if found else 0)


def _print(file: Path, criteria: int, findings: "list[Finding]") -> None:
    for each in findings:
        typer.echo(f"{file}: {each.criterion}: {each.rule}: {each.message}")
    typer.echo(f"{file}: criteria: {criteria}; advice on {len({each.criterion for each in findings})}", err=True)
