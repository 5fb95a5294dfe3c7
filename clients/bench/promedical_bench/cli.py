"""The command `promedical-bench`: how good and how fast a running service is. Heavy imports come after the arguments.

Standard output holds the report's headline only; progress and errors go to standard error.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promedical_bench.gate_command import gate
from promedical_bench.options import (
    EXIT_CODES,
    EXPORT_CODES,
    LOAD_CODES,
    NOT_KEPT,
    SOME_FAILED,
    TASKS,
    LeftOut,
    Moved,
    PairCap,
    Responses,
    Seed,
    announce,
    expected_errors,
)
from promedical_bench.oracle_commands import compare_candidate, compare_two_oracles
from promedical_client.address import Address
from promedical_client.cli.options import takes_address
from promedical_client.cli.program import run_program, takes_version
from promedical_client.cli.session import progress

if TYPE_CHECKING:
    from promedical_bench.reports.content import Content

app = typer.Typer(
    help="Measure a running ProMedical service: how good its verdicts are, and how it handles load.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

takes_version(app)


@app.command(epilog=EXIT_CODES)
@expected_errors()
@takes_address()
def quality(  # noqa: PLR0913 - one parameter per option
    *,
    task: Annotated[str, typer.Option(help=f"What to measure: {TASKS}")],
    data: Annotated[Path, typer.Option(help="The task's data, in its publisher's format; may be gzipped.")],
    output: Annotated[Path, typer.Option(help="Folder for results and report; an interrupted run resumes.")],
    responses: Responses = None,
    address: Address,
    untrained: Annotated[
        str | None, typer.Option(help="The same model before training: the URL of its service, or its results.")
    ] = None,
    rubric_id: Annotated[str, typer.Option(help="Named rubric for cases without criteria.")] = "general-medical",
    controls: Annotated[
        bool,
        typer.Option(help="Also ask without responses, without criteria and with a claim, which the controls need."),
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only about the first LIMIT cases.")] = None,
    pair_cap: PairCap = None,
    left_out: LeftOut = None,
    in_flight: Annotated[int, typer.Option(min=1, help="Most calls in flight at the same time.")] = 8,
    timeout_s: Annotated[float, typer.Option(min=0.001, help="Seconds for one call, including retries.")] = 600.0,
    seed: Seed = 0,
) -> None:
    """Measure a service on one task, and compare it with controls."""
    from promedical_bench.run import QualityRun, run_quality  # noqa: PLC0415
    from promedical_bench.scoring.runner import Pace  # noqa: PLC0415
    from promedical_bench.tasks.catalog import load_task  # noqa: PLC0415

    read = load_task(task, data, responses=responses, pair_cap=pair_cap, left_out=left_out or ())
    run = QualityRun(
        task=read if limit is None else read.limited(limit),
        address=address,
        output=output,
        rubric_id=rubric_id,
        untrained=untrained,
        asked_controls=controls,
        pace=Pace(in_flight=in_flight, timeout_s=timeout_s),
        seed=seed,
    )
    content, unscored = run_quality(run, progress)
    announce(content, output)
    if unscored:
        typer.echo(f"promedical-bench: responses without scores: {sum(unscored.values())}", err=True)
    if unread := read.facts.unread_answers:
        typer.echo(f"promedical-bench: answers that could not be read: {unread}; the report says why", err=True)
    if unanswered := read.facts.unanswered:
        typer.echo(f"promedical-bench: prompts without an answer: {unanswered}; the score does not show them", err=True)
    if unscored or unread or unanswered:
        raise typer.Exit(SOME_FAILED)


@app.command(name="compare", epilog=EXIT_CODES)
@expected_errors()
def compare_runs(
    runs: Annotated[
        list[str], typer.Argument(help="Folders of runs, or NAME=FOLDER; all are compared with the first.")
    ],
    *,
    output: Annotated[Path, typer.Option(help="Folder for the report.")],
    data: Moved = None,
    responses: Responses = None,
    pair_cap: PairCap = None,
    left_out: LeftOut = None,
    seed: Seed = 0,
) -> None:
    """Compare several runs of one task, with paired intervals."""
    if len(runs) < 2:  # noqa: PLR2004 - a comparison
        raise typer.BadParameter("give at least two runs")
    from promedical_bench.run import run_comparison  # noqa: PLC0415

    named = _named(runs)
    content, gaps = run_comparison(
        named, output, data=data, responses=responses, pair_cap=pair_cap, left_out=left_out or (), seed=seed
    )
    _end_comparison(content, output, gaps)


@app.command(name="compare-policies", epilog=EXIT_CODES)
@expected_errors()
def compare_two_policies(
    runs: Annotated[
        list[str], typer.Argument(help="Folders of runs of quality with --responses, or NAME=FOLDER; the first leads.")
    ],
    *,
    output: Annotated[Path, typer.Option(help="Folder for the report.")],
    data: Moved = None,
    left_out: LeftOut = None,
    seed: Seed = 0,
) -> None:
    """Compare policies side by side on the same questions, with paired intervals."""
    if len(runs) < 2:  # noqa: PLR2004 - a comparison
        raise typer.BadParameter("give at least two runs")
    from promedical_bench.policies import run_policies  # noqa: PLC0415

    content, gaps = run_policies(_named(runs), output, data=data, left_out=left_out or (), seed=seed)
    _end_comparison(content, output, gaps)


app.command(name="compare-oracles", epilog=EXIT_CODES)(compare_two_oracles)
app.command(name="compare-shadow", epilog=EXIT_CODES)(compare_candidate)
app.command(epilog=EXIT_CODES)(gate)


@app.command(name="load", epilog=LOAD_CODES)
@expected_errors(NOT_KEPT)
@takes_address()
def load_service(  # noqa: PLR0913 - one parameter per option
    *,
    output: Annotated[Path, typer.Option(help="Folder for the report; an old report there is replaced.")],
    address: Address,
    trainers: Annotated[
        int, typer.Option(min=0, help="Number of trainers: closed loops in the bulk lane; 0 for none.")
    ] = 2,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts in one call of a trainer.")] = 1,
    responses: Annotated[int, typer.Option(min=1, help="Responses to each prompt.")] = 8,
    criteria: Annotated[int, typer.Option(min=1, help="Criteria of each prompt.")] = 12,
    rate: Annotated[
        float, typer.Option(min=0, help="Interactive calls per second, at random times (Poisson); 0 for none.")
    ] = 0.0,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds that are measured.")] = 60.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds of load before the measurement.")] = 5.0,
    timeout_s: Annotated[float, typer.Option(min=0.001, help="Seconds for one call.")] = 120.0,
    seed: Annotated[int, typer.Option(help="Seed of texts and arrivals.")] = 0,
) -> None:
    """Load a service with synthetic traffic like that of a trainer, a product, or both."""
    from promedical_bench.loadtest.driver import Plan  # noqa: PLC0415
    from promedical_bench.loadtest.run import run_load  # noqa: PLC0415
    from promedical_bench.loadtest.traffic import Shape  # noqa: PLC0415

    if not trainers and not rate:
        raise typer.BadParameter("nothing would be sent: set --trainers or --rate above 0")
    plan = Plan(
        trainers=trainers,
        prompts=prompts,
        group=Shape(responses=responses, criteria=criteria),
        rate_per_s=rate,
        warm_up_s=warm_up,
        seconds=seconds,
        timeout_s=timeout_s,
        seed=seed,
    )
    content, summary = run_load(address, plan, output, progress)
    announce(content, output)
    if failed := sum(sum(lane.failures.values()) for lane in summary.lanes.values()):
        typer.echo(f"promedical-bench: failures under load: {failed:,}", err=True)
    if not summary.ended:
        short = f"no call ended within the {seconds:g} s that were measured; give a longer --seconds"
        typer.echo(f"promedical-bench: {short}", err=True)
    if failed or not summary.ended:
        raise typer.Exit(SOME_FAILED)


@app.command(epilog=EXPORT_CODES)
@expected_errors()
def export(
    *,
    data: Annotated[Path, typer.Option(help="Labelled data, as for the task promedical.")],
    output: Annotated[Path, typer.Option(help="File to write: rows of RewardBench as JSON lines.")],
    pair_cap: PairCap = None,
) -> None:
    """Write labelled data as pairs in the row format of RewardBench."""
    from promedical_bench.tasks.export import as_line, rewardbench_rows  # noqa: PLC0415
    from promedical_data.files import output_file  # noqa: PLC0415
    from promedical_data.reading import read  # noqa: PLC0415

    lines = [as_line(row) for row in rewardbench_rows(read(data).prompts, pair_cap)]
    with output_file(output) as stream:
        stream.writelines(lines)
    typer.echo(f"{len(lines):,} pairs in {output}")


def main() -> None:
    """Run the command line."""
    run_program(app, "promedical-bench", extra="bench")


def _named(runs: list[str]) -> dict[str, Path]:
    pairs = [run.split("=", 1) if "=" in run else (Path(run).resolve().name, run) for run in runs]
    named = {name: Path(path) for name, path in pairs}
    if len(named) < len(runs):
        raise typer.BadParameter("two runs have the same name; write NAME=FOLDER")
    return named


def _end_comparison(content: "Content", output: Path, gaps: tuple[str, ...]) -> None:
    announce(content, output)
    for gap in gaps:
        typer.echo(f"promedical-bench: {gap}", err=True)
    if gaps:
        raise typer.Exit(SOME_FAILED)


if __name__ == "__main__":
    main()
