"""The commands that read and write files. Heavy imports come after the arguments."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_review.opening import DatabaseUrl, expected_errors, opened

if TYPE_CHECKING:
    from promedical_review.bench_items.rated import Rated
    from promedical_review.formats.checkpoints import CheckpointRow

imports = typer.Typer(help="Read rounds, items, verdicts and copies from files.", no_args_is_help=True)
exports = typer.Typer(help="Write decisions, the benchmark, verdicts and copies to files.", no_args_is_help=True)

_SYSTEM: Final = "system"

FilePath = Annotated[Path, typer.Argument(help="The file.")]
FolderPath = Annotated[Path, typer.Argument(help="The folder, which must be new.")]
RoundName = Annotated[str, typer.Argument(help="The round's id, as its file has it.")]
SetName = Annotated[str, typer.Argument(help="The set's name.")]
NewSetName = Annotated[str, typer.Option("--name", help="What to call the set.")]


class RatedFormat(StrEnum):
    """Where verdicts come from."""

    KQA = "kqa"
    LABELLED = "labelled"
    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"


class VerdictFormat(StrEnum):
    """What verdicts are written as."""

    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"
    CSV = "csv"


@imports.command(name="round")
@expected_errors()
def import_round(
    *,
    path: FilePath,
    database: DatabaseUrl,
    open_it: Annotated[bool, typer.Option("--open", help="Give it to physicians at once.")] = False,
) -> None:
    """Import a round that `promedical-curate` exported."""
    from promedical_review.rubric_rounds.rounds import Rounds  # noqa: PLC0415

    with opened(database) as found:
        known = Rounds(found)
        made = known.import_file(path, actor=_SYSTEM)
        made = known.open(made.id, actor=_SYSTEM) if open_it else made
    typer.echo(f"round {made.name!r} is {made.state}, with {made.rubrics} rubrics")


@imports.command(name="bench")
@expected_errors()
def import_items(
    path: FilePath,
    name: NewSetName,
    database: DatabaseUrl,
    gold: Annotated[Path | None, typer.Option(help="Labelled data whose labels are known: gold items.")] = None,
    overlap: Annotated[float, typer.Option(help="Share of items with a third rater.")] = 0.1,
    repeats: Annotated[float, typer.Option(help="Share of a rater's work that repeats an item of their own.")] = 0.05,
    golds: Annotated[float, typer.Option(help="Share of a rater's work that is a gold item.")] = 0.05,
) -> None:
    """Import labelled data as items to rate, and give them to raters. Labels in it are left out."""
    from promedical_review.bench_items.sets import BenchSets, Design  # noqa: PLC0415
    from promedical_review.formats.items import gold_items, items_to_rate  # noqa: PLC0415

    items = [*items_to_rate(path), *(gold_items(gold) if gold else ())]
    design = Design(overlap=overlap, repeats=repeats, golds=golds if gold else 0)
    with opened(database) as found:
        sets = BenchSets(found)
        made = sets.open(sets.add(name, items, design, actor=_SYSTEM).id, actor=_SYSTEM)
    typer.echo(f"set {made.name!r} is open, with {len(items)} items")


@imports.command(name="rated")
@expected_errors()
def import_rated(
    path: FilePath,
    source: Annotated[RatedFormat, typer.Option("--format", help="What the file is.")],
    name: NewSetName,
    database: DatabaseUrl,
) -> None:
    """Import items with verdicts from elsewhere, as a set that is closed: to measure agreement, and to export."""
    from promedical_review.bench_items.rated import RatedSets  # noqa: PLC0415

    given = _reader(source)(path)
    with opened(database) as found:
        made = RatedSets(found).add(name, given, actor=_SYSTEM)
    kinds = sorted(given.raters.values())
    physicians, judges = kinds.count("physician"), kinds.count("judge")
    typer.echo(f"set {made.name!r} has {len(given.items)} items, rated by {physicians} physicians and {judges} models")


@imports.command(name="copy")
@expected_errors()
def read_copy(path: FilePath, database: DatabaseUrl) -> None:
    """Read a copy into an empty database. Users get new passwords with `promedical-review users password`."""
    from promedical_review.formats.copies import read_copy as read  # noqa: PLC0415

    with opened(database) as found:
        typer.echo(f"read {read(found, path)} rows")


@exports.command(name="round")
@expected_errors()
def export_round(name: RoundName, path: FilePath, database: DatabaseUrl) -> None:
    """Write the decisions of a round, for `promedical-curate` to import."""
    from promedical_review.rubric_rounds.rounds import Rounds  # noqa: PLC0415

    with opened(database) as found:
        known = Rounds(found)
        count = known.export_decisions(known.named(name).id, path)
    typer.echo(f"wrote {count} decisions to {path}")


@exports.command(name="bench")
@expected_errors()
def export_set(name: SetName, folder: FolderPath, database: DatabaseUrl) -> None:
    """Write a set as a benchmark, in a new folder. `promedical-bench` reads its bench.jsonl."""
    from promedical_review.bench_items.sets import BenchSets  # noqa: PLC0415
    from promedical_review.formats.bench_export import export_bench  # noqa: PLC0415

    with opened(database) as found:
        made = export_bench(found, BenchSets(found).named(name).id, folder)
    typer.echo(
        f"wrote {made.items} items with {made.labels} labels and {made.pairs} pairs to {folder}; "
        f"{made.open} checkpoints have no label"
    )


@exports.command(name="verdicts")
@expected_errors()
def export_verdicts(
    name: SetName,
    path: FilePath,
    target: Annotated[VerdictFormat, typer.Option("--format", help="What to write.")],
    database: DatabaseUrl,
) -> None:
    """Write the raters' verdicts for another tool, and say what the file leaves out."""
    from promedical_review.bench_items.sets import BenchSets  # noqa: PLC0415
    from promedical_review.formats.checkpoints import checkpoints_of  # noqa: PLC0415

    write, drops = _writer(target)
    with opened(database) as found:
        rows = checkpoints_of(found, BenchSets(found).named(name).id)
    write(path, rows)
    typer.echo(f"wrote {len(rows)} checkpoints to {path}; not in it: {drops}")


@exports.command(name="copy")
@expected_errors()
def write_copy(path: FilePath, database: DatabaseUrl) -> None:
    """Write everything but passwords and sessions."""
    from promedical_review.formats.copies import write_copy as write  # noqa: PLC0415

    with opened(database) as found:
        typer.echo(f"wrote {write(found, path)} rows to {path}")


def _reader(source: RatedFormat) -> "Callable[[Path], Rated]":
    from promedical_review.formats import argilla, label_studio, published  # noqa: PLC0415

    return {
        RatedFormat.KQA: published.kqa,
        RatedFormat.LABELLED: published.labelled,
        RatedFormat.LABEL_STUDIO: label_studio.read,
        RatedFormat.ARGILLA: argilla.read,
    }[source]


def _writer(target: VerdictFormat) -> "tuple[Callable[[Path, Sequence[CheckpointRow]], None], str]":
    from promedical_review.formats import argilla, label_studio, verdict_csv  # noqa: PLC0415

    module = {
        VerdictFormat.LABEL_STUDIO: label_studio,
        VerdictFormat.ARGILLA: argilla,
        VerdictFormat.CSV: verdict_csv,
    }[target]
    return module.write, module.DROPS
