"""The command `promedical-train`. Heavy imports come after the arguments are read."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from promedical_trainer.recipe import RmRecipe
    from promedical_trainer.rm.run import Run

Ablation = Literal["no-criteria", "no-safety", "pairwise-only", "pointwise-only"]

_OVERRIDES: Final[dict[Ablation, str]] = {
    "no-criteria": "criteria=false",
    "no-safety": "safety=false",
    "pairwise-only": "loss.pointwise=0",
    "pointwise-only": "loss.pairwise=0",
}

_TO_BE_CONTINUED: Final = 3

app = typer.Typer(
    help="Train ProMedical's models.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)


@app.callback()
def _group() -> None:
    """Keep the commands' names, however many there are."""


@app.command()
def rm(
    recipe: Annotated[str, typer.Option(help="Name of a built-in recipe, or path to a .yaml file.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's data files are relative to.")] = Path(),
    output: Annotated[Path, typer.Option(help="Folder of the run; one that was cut off there is continued.")] = Path(
        "run"
    ),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the recipe, as optimisation.epochs=1. Repeatable.")
    ] = None,
    ablation: Annotated[Ablation | None, typer.Option(help="Leave a part out, to see what it is worth.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; the same command again goes on. For queues with limits.")
    ] = None,
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Print the memory that the recipe needs, and stop.")] = False,
    shrink: Annotated[bool, typer.Option("--shrink", help="Train a tiny copy of the recipe's architecture.")] = False,
) -> None:
    """Train a reward model: data to a calibrated bundle that `promedical-serve --model OUTPUT/bundle` serves."""
    from promedical_bench.data.errors import DataError  # noqa: PLC0415
    from promedical_model.manifest import BundleError  # noqa: PLC0415
    from promedical_trainer.progress import Deadline, TimeUpError  # noqa: PLC0415
    from promedical_trainer.recipe import RecipeError, load_rm_recipe  # noqa: PLC0415
    from promedical_trainer.rm.calibration import CalibrationError  # noqa: PLC0415
    from promedical_trainer.rm.run import Run  # noqa: PLC0415

    console = Console(stderr=True)
    settings = [*(overrides or []), *([_OVERRIDES[ablation]] if ablation else [])]
    try:
        chosen = load_rm_recipe(recipe, settings)
        if plan:
            _print_plan(chosen, Console())
        else:
            deadline = Deadline.after(minutes)
            _train(Run(recipe=chosen, data=data, output=output, console=console, deadline=deadline, shrink=shrink))
    except (RecipeError, DataError, BundleError, CalibrationError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error
    except TimeUpError as error:
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(_TO_BE_CONTINUED) from error


def _print_plan(recipe: "RmRecipe", console: Console) -> None:
    from promedical_trainer.rm.plan import describe, memory_plan  # noqa: PLC0415

    console.print(describe(memory_plan(recipe)))


def _train(run: "Run") -> None:
    from promedical_trainer.rm.run import train_reward_model  # noqa: PLC0415

    run.console.quiet = os.environ.get("RANK", "0") != "0"
    bundle = train_reward_model(run)
    run.console.print(f"bundle: {bundle}\nserve it: promedical-serve --model {bundle}", markup=False, highlight=False)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
