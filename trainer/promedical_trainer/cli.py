"""The command `promedical-train`. Heavy imports come after the arguments are read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import typer
from rich.console import Console

from promedical_client.address import Address
from promedical_client.cli.options import takes_address
from promedical_client.cli.program import run_program, takes_version
from promedical_trainer.rm import Until

if TYPE_CHECKING:
    from promedical_trainer.rm.recipe import RmRecipe
    from promedical_trainer.rm.run_folder import Run
    from promedical_trainer.runs.recipe_files import RecipeBook

Settings = TypeVar("Settings")
Ablation = Literal["no-criteria", "no-safety", "pairwise-only", "pointwise-only"]

_OVERRIDES: Final[dict[Ablation, str]] = {
    "no-criteria": "criteria=false",
    "no-safety": "safety=false",
    "pairwise-only": "loss.pointwise=0",
    "pointwise-only": "loss.pairwise=0",
}

_RESUMABLE: Final = 3
UNCALIBRATED: Final = 4
"""The reward model is trained and dev is scored, but it cannot be calibrated."""
RM_CODES: Final = (
    "Exit codes: 0: it is done; 2: bad usage or bad input; 3: it stopped before its end, and the same command resumes "
    "it; 4: the model is trained, but cannot be calibrated."
)
GRPO_CODES: Final = (
    "Exit codes: 0: it is done; 2: bad usage or bad input, or an oracle that cannot be used; 3: it stopped before its "
    "end, or the oracle does not answer, and the same command resumes it."
)

Recipe = Annotated[str, typer.Option(help="Name of a built-in recipe, or path to a .yaml file.")]
Data = Annotated[Path, typer.Option(help="Folder that the recipe's data files are relative to.")]
Output = Annotated[Path, typer.Option(help="Folder of the run. A run that was interrupted there is resumed.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting of the recipe, such as optimisation.seed=1. Repeatable."),
]
Minutes = Annotated[
    float | None,
    typer.Option(help="Stop after this many minutes. The same command resumes the run; use it in queues with limits."),
]

app = typer.Typer(
    help="Train ProMedical's models.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)


takes_version(app)


@app.command(epilog=RM_CODES)
def rm(
    recipe: Recipe,
    data: Data = Path(),
    output: Output = Path("run"),
    overrides: Overrides = None,
    ablation: Annotated[Ablation | None, typer.Option(help="Leave a part out, to measure what it contributes.")] = None,
    minutes: Minutes = None,
    until: Annotated[
        Until, typer.Option(help="The last part of the evaluation. The same command can do the rest later.")
    ] = "controls",
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Print how much memory the recipe needs, and stop.")] = False,
    shrink: Annotated[bool, typer.Option("--shrink", help="Train a tiny copy of the recipe's architecture.")] = False,
) -> None:
    """Train a reward model. The result is a calibrated bundle: `promedical-serve --model OUTPUT/bundle` serves it."""
    from promedical_trainer.rm.recipe import RM_RECIPES  # noqa: PLC0415

    console = Console(stderr=True)
    settings = [*(overrides or []), *([_OVERRIDES[ablation]] if ablation else [])]
    chosen = _loaded(RM_RECIPES, recipe, settings)

    from promedical_data.errors import DataError  # noqa: PLC0415 - what is below loads torch
    from promedical_model.bundle.manifest import BundleError  # noqa: PLC0415
    from promedical_trainer.rm.calibration import CalibrationError  # noqa: PLC0415
    from promedical_trainer.rm.run_folder import Run  # noqa: PLC0415
    from promedical_trainer.runs.progress import Deadline, TimeUpError  # noqa: PLC0415
    from promedical_trainer.runs.recipe_files import RecipeError  # noqa: PLC0415

    try:
        if plan:
            _print_plan(chosen, Console())
        else:
            run = Run(recipe=chosen, data=data, output=output, console=console, shrink=shrink, until=until)
            _train(replace(run, deadline=Deadline.after(minutes)))
    except (RecipeError, DataError, BundleError, CalibrationError) as error:
        _print_error(console, error)
        raise typer.Exit(UNCALIBRATED if isinstance(error, CalibrationError) else 2) from error
    except TimeUpError as error:
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(_RESUMABLE) from error


@contextmanager
def _input_errors() -> Iterator[None]:
    """One line for options that cannot be used, without anything heavy."""
    from promedical_data.errors import DataError  # noqa: PLC0415

    try:
        yield
    except DataError as error:
        _print_error(_console(), error)
        raise typer.Exit(2) from error


@contextmanager
def _expected_errors_of_grpo() -> Iterator[None]:
    """One line and an exit code instead of a trace, for what is not a bug."""
    from promedical_data.errors import DataError  # noqa: PLC0415
    from promedical_model.bundle.manifest import BundleError  # noqa: PLC0415
    from promedical_trainer.grpo.oracle import OracleError, OracleUnreachableError  # noqa: PLC0415
    from promedical_trainer.grpo.stopping import OracleLostError  # noqa: PLC0415
    from promedical_trainer.runs.progress import TimeUpError  # noqa: PLC0415
    from promedical_trainer.runs.recipe_files import RecipeError  # noqa: PLC0415

    try:
        yield
    except (RecipeError, DataError, BundleError, OracleError) as error:
        _print_error(_console(), error)
        raise typer.Exit(2) from error
    except (OracleUnreachableError, OracleLostError, TimeUpError) as error:
        _console().print(str(error), markup=False, highlight=False)
        raise typer.Exit(_RESUMABLE) from error


@app.command()
def drills(
    sources: Annotated[Path, typer.Option(help="Folder with the publishers' files, as docs/training.md lists them.")],
    output: Annotated[Path, typer.Option("--output", "--out", help="Folder to make; it must not exist yet.")],
    prompts: Annotated[int, typer.Option(min=10, help="The most prompts of each kind, over all splits.")] = 1500,
    seed: Annotated[int, typer.Option(help="The seed of everything that is drawn.")] = 0,
    licences: Annotated[
        list[str] | None,
        typer.Option("--allow-licence", help="Allow a licence beside the permissive ones, such as CC-BY-NC-4.0."),
    ] = None,
    apart: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled data whose prompts no drill may have, such as what you report on. Repeatable."),
    ] = None,
) -> None:
    """Make labelled data by rules from real text, to teach a reward model to read."""
    from promedical_trainer.drills.generation import Amount  # noqa: PLC0415
    from promedical_trainer.drills.run import DrillRun, make_drills  # noqa: PLC0415

    run = DrillRun(
        sources=sources,
        output=output,
        amount=Amount(prompts=prompts, seed=seed),
        licences=licences or (),
        apart=apart or (),
        console=_console(),
    )
    with _input_errors():
        make_drills(run)


@app.command(epilog=GRPO_CODES)
@_input_errors()
@takes_address("oracle", whose="oracle", default=Parameter.empty)
def grpo(
    *,
    recipe: Recipe,
    address: Address,
    data: Data = Path(),
    output: Output = Path("run"),
    overrides: Overrides = None,
    minutes: Minutes = None,
    allow_fake: Annotated[
        bool, typer.Option("--allow-fake", help="Allow an oracle with the fake engine, as tests do.")
    ] = False,
) -> None:
    """Train a policy by GRPO against a running oracle, whose fingerprint is pinned for the whole run."""
    from promedical_trainer.grpo.recipe import GRPO_RECIPES  # noqa: PLC0415

    chosen = _loaded(GRPO_RECIPES, recipe, overrides or [])
    with _expected_errors_of_grpo():
        from promedical_trainer.grpo.run import Run, train_policy  # noqa: PLC0415 - loads torch
        from promedical_trainer.runs.progress import Deadline  # noqa: PLC0415

        run = Run(
            recipe=chosen,
            oracle=address,
            allow_fake=allow_fake,
            data=data,
            output=output,
            console=_console(),
            deadline=Deadline.after(minutes),
            embedded=_embedded(chosen.policy),
        )
        page = train_policy(run)
        run.console.print(
            f"policy: {run.policy}\nsummary: {page}; for a browser, with the curves: {page.with_suffix('.html')}",
            markup=False,
            highlight=False,
        )


def _embedded(policy: str) -> Path | None:
    """The folder of the default model's base, if that is the policy."""
    from promedical_model.bundle.default_model import BASE, base_bundle_folder  # noqa: PLC0415

    return base_bundle_folder() if policy == BASE else None


@app.command()
def example(
    output: Annotated[Path, typer.Option("--output", "--out", help="Folder that is made; it must not exist.")] = Path(
        "first-policy"
    ),
) -> None:
    """Write a small data folder, with which a first policy trains on a CPU in a quarter of an hour."""
    from promedical_trainer.grpo.example import RECIPE, write_example  # noqa: PLC0415
    from promedical_trainer.runs.recipe_files import RecipeError  # noqa: PLC0415

    try:
        write_example(output)
    except RecipeError as error:
        _print_error(_console(), error)
        raise typer.Exit(2) from error
    command = f"promedical-train grpo --recipe {RECIPE} --oracle grpc://127.0.0.1:50051"
    _console().print(
        f"{output}: README.md says what the files are. Start promedical-serve, then run:\n"
        f"  {command} --data {output} --output {output}-run",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _loaded(book: "RecipeBook[Settings]", name: str, overrides: list[str]) -> Settings:
    """A recipe; what is wrong with it is said before anything heavy is loaded."""
    from promedical_trainer.runs.recipe_files import RecipeError  # noqa: PLC0415

    try:
        return book.load(name, overrides)
    except RecipeError as error:
        _print_error(_console(), error)
        raise typer.Exit(2) from error


def _print_error(console: Console, error: Exception) -> None:
    """One line: a terminal wraps it, and a log keeps it whole."""
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    """Only the first process prints."""
    return Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")


def _print_plan(recipe: "RmRecipe", console: Console) -> None:
    from promedical_trainer.rm.plan import describe, memory_plan  # noqa: PLC0415

    console.print(describe(memory_plan(recipe)))


def _train(run: "Run") -> None:
    from promedical_trainer.rm.run import train_reward_model  # noqa: PLC0415

    run.console.quiet = os.environ.get("RANK", "0") != "0"
    bundle = train_reward_model(run)
    use = f"serve it: promedical-serve --model {bundle}"
    if not run.recipe.criteria:
        use = "use it for comparison only: it learnt no criteria, so it cannot be served as it was measured"
    run.console.print(f"bundle: {bundle}\n{use}", markup=False, highlight=False)


def main() -> None:
    """Run the command line."""
    run_program(app, "promedical-train", extra="trainer")


if __name__ == "__main__":
    main()
