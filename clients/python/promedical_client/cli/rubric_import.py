"""`promedical rubric import`: the criteria of publishers' files as rubric files."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli.session import expected_errors, progress

if TYPE_CHECKING:
    from promedical_data.conversion.convert import Conversion
    from promedical_data.conversion.pieces import Piece
    from promedical_data.labelled import LabelledPrompt

EXIT_CODES: Final = "Exit codes: 0: there are rubric files; 2: bad usage, or bad input, or nothing can be written."

_NAME_CHARACTERS: Final = 64


@expected_errors()
def import_rubrics(
    inputs: Annotated[
        list[Path], typer.Argument(help="Files of the formats that promedical-data formats lists. - is stdin.")
    ],
    *,
    to: Annotated[
        Path, typer.Option(help="The rubric file, such as mine@1.json; or a folder, for a file per row of the input.")
    ],
    row: Annotated[str | None, typer.Option("--id", help="Only the row with this id of the conversion.")] = None,
    publisher: Annotated[str, typer.Option("--from", help="The format of the files; auto detects it.")] = "auto",
    prompts: Annotated[
        Path | None, typer.Option(help="A file of prompts and their criteria, for formats whose rows do not hold them.")
    ] = None,
) -> None:
    """Write the criteria of HealthBench, RaR and other publishers as rubric files of ours."""
    from promedical.rubric_files import RubricFileError, check_file_name  # noqa: PLC0415 - see `session.opened`
    from promedical_data.conversion.convert import Conversion  # noqa: PLC0415
    from promedical_data.errors import DataError  # noqa: PLC0415

    conversion = Conversion(inputs=tuple(inputs), publisher=publisher, prompts=prompts)
    if to.is_dir() or not to.suffix:
        return _to_folder(conversion, to, row)
    try:
        check_file_name(to)
    except RubricFileError as error:
        raise DataError(f"--to: {error}, or a folder") from None
    return _to_file(conversion, to, row)


def _to_file(conversion: "Conversion", path: Path, row: str | None) -> None:
    from promedical.rubric import Rubric  # noqa: PLC0415 - see `session.opened`
    from promedical_data.errors import DataError  # noqa: PLC0415

    found: dict[str, LabelledPrompt] = {}

    def put(piece: "Piece") -> None:
        if row in {None, piece.prompt.id}:
            found.setdefault(Rubric(criteria=piece.prompt.criteria).sha256, piece.prompt)

    _convert(conversion, put, path)
    prompts = list(found.values())
    if not prompts:
        raise DataError(f"--id: no row has the id {row!r}; promedical-data convert writes the rows with their ids")
    if len(prompts) > 1:
        raise DataError(
            f"the input holds {len(prompts)} rubrics, one per row; choose one with --id, such as --id {prompts[0].id}, "
            "or give a folder to --to"
        )
    _write(path, prompts[0])


def _to_folder(conversion: "Conversion", folder: Path, row: str | None) -> None:
    from promedical_data.errors import DataError  # noqa: PLC0415 - see `session.opened`

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}") from None
    names: set[str] = set()

    def put(piece: "Piece") -> None:
        if row in {None, piece.prompt.id}:
            name = _distinct(_name_of(piece.prompt.id), names)
            names.add(name)
            _write(folder / f"{name}@1.json", piece.prompt)

    _convert(conversion, put, folder)
    if not names:
        raise DataError(f"--id: no row has the id {row!r}; promedical-data convert writes the rows with their ids")


def _convert(conversion: "Conversion", put: "Callable[[Piece], None]", output: Path) -> None:
    from rich.console import Console  # noqa: PLC0415 - see `session.opened`

    from promedical_data.conversion.convert import convert  # noqa: PLC0415
    from promedical_data.conversion.tables import report_tables  # noqa: PLC0415

    Console(stderr=True).print(report_tables(convert(conversion, put, output, progress)))


def _write(path: Path, prompt: "LabelledPrompt") -> None:
    """A file that is not there yet: a name with its version means one thing for ever."""
    from promedical.rubric_files import rubric_text  # noqa: PLC0415 - see `session.opened`
    from promedical_data.errors import DataError  # noqa: PLC0415
    from promedical_data.files import output_file  # noqa: PLC0415

    if path.exists():
        raise DataError(f"{path}: exists, and a rubric's name with its version means one thing; take the next version")
    with output_file(path) as stream:
        stream.write(rubric_text(f"{prompt.source}: {prompt.id}", prompt.criteria))
    typer.echo(path)


def _name_of(row: str) -> str:
    """The id of a row as the name of a rubric."""
    return re.sub(r"[^a-z0-9.-]+", "-", row.lower()).strip("-.")[:_NAME_CHARACTERS] or "rubric"


def _distinct(name: str, names: set[str]) -> str:
    number = 2
    distinct = name
    while distinct in names:
        distinct, number = f"{name}-{number}", number + 1
    return distinct
