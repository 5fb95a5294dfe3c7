"""The commands `promedical-curate round`: rubrics out to physicians, their decisions in, and how the rounds stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promedical_curation.command_options import EXIT_CODES, RunPath, expected_errors

if TYPE_CHECKING:
    from promedical_curation.recipes.recipe import Recipe

rounds = typer.Typer(help="Rounds of review: rubrics out to physicians, decisions in.", no_args_is_help=True)


@rounds.command(name="export", epilog=EXIT_CODES)
@expected_errors()
def export_round(
    path: RunPath,
    to: Annotated[Path, typer.Option("--output", "-o", help="File for the round, as the review app reads it.")],
) -> None:
    """Draw a round and write it. As long as the last round has no decisions, that one is written again."""
    from promedical_curation.pipeline.run_folder import locked, read_run  # noqa: PLC0415
    from promedical_curation.review_rounds import draw_round, gated_rows, hand_out  # noqa: PLC0415

    review = _recipe(path).review
    with locked(path):
        run = read_run(path)
        drawn = draw_round(path, run.id, gated_rows(path, run), review.size, review.seed)
        hand_out(drawn, to)
    typer.echo(f"{to}: round {drawn.number} ({drawn.id}), {len(drawn.items):,} rubrics")


@rounds.command(name="import", epilog=EXIT_CODES)
@expected_errors()
def import_round(
    path: RunPath, file: Annotated[Path, typer.Argument(metavar="FILE", help="Decisions that the review app wrote.")]
) -> None:
    """Read the decisions about a round. The stages that they change run again with the next `run`."""
    from promedical_curation.line import decided_parts  # noqa: PLC0415
    from promedical_curation.pipeline.run_folder import expect, locked  # noqa: PLC0415
    from promedical_curation.review_rounds import import_decisions, read_rounds, summary  # noqa: PLC0415

    recipe = _recipe(path)
    with locked(path):
        found = import_decisions(path, file, recipe.review.level)
        known = read_rounds(path)
        expect(path, decided_parts(recipe, known))
    typer.echo(f"round {found.round.number}: {found.new:,} new decisions, {found.changed:,} changed")
    typer.echo("\n".join(summary(known, target=recipe.review.target, level=recipe.review.level)))


@rounds.command(name="status", epilog=EXIT_CODES)
@expected_errors()
def show_rounds(path: RunPath) -> None:
    """Show how the rounds stand: decisions, the strict pass rate with its interval, and whether to do another one."""
    from promedical_curation.review_rounds import read_rounds, summary  # noqa: PLC0415

    review = _recipe(path).review
    typer.echo("\n".join(summary(read_rounds(path), target=review.target, level=review.level)))


def _recipe(path: Path) -> "Recipe":
    from promedical_curation.errors import CurationError  # noqa: PLC0415
    from promedical_curation.pipeline.run_folder import read_run  # noqa: PLC0415
    from promedical_curation.recipes.recipe_files import recipe_of  # noqa: PLC0415

    found = read_run(path).recipe
    if not found:
        raise CurationError(f"{path}: its run was not made from a recipe; rounds need one")
    return recipe_of(found, f"{path}: recipe")
