"""The command `promedical-curate`. Heavy imports come after the arguments are read.

Standard output holds results; progress and errors go to standard error. Nothing but `show` and the examples of a report
show the text of a row, and no command prints a key.
"""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from promedical_client.cli.program import run_program, takes_version
from promedical_curation.command_options import (
    EXIT_CODES,
    PROGRAM,
    EndpointFile,
    RunPath,
    StoreUrl,
    Work,
    expected_errors,
    takes_work,
)
from promedical_curation.engine_options import Address, EngineName, EngineOption, Workers, engine_named
from promedical_curation.round_commands import rounds

if TYPE_CHECKING:
    from promedical_curation.asking.fetching import Terms
    from promedical_curation.line import Line
    from promedical_curation.pipeline.row_files import RowFile
    from promedical_curation.pipeline.run_folder import RunFolder
    from promedical_curation.pipeline.worker import Means

app = typer.Typer(
    help="From public medical questions to criterion-level preference pairs.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
batch = typer.Typer(help="Ask through batch files, as OpenAI and vLLM read them.", no_args_is_help=True)
app.add_typer(batch, name="batch")
app.add_typer(rounds, name="round")

Budget = Annotated[
    float | None, typer.Option(min=0, help="Most US dollars that the run may spend; checked before every call.")
]
StageName = Annotated[str, typer.Option("--stage", help="Name of the stage.")]

takes_version(app)


@app.command(epilog=EXIT_CODES)
@expected_errors()
@takes_work()
def run(
    work: Work,
    *,
    only: Annotated[str | None, typer.Option("--stage", help="Run only this stage.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also run what is up to date; the store answers.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again about rows that failed.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Send nothing: a missing answer is an error.")] = False,
    budget: Budget = None,
    max_failed: Annotated[float, typer.Option(min=0, max=1, help="Share of a stage's rows that may fail.")] = 0.05,
    engine: EngineOption = EngineName.EMBEDDED,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Run the stages of a recipe that are out of date. The same command resumes a run that was interrupted."""
    from promedical_curation.asking.fetching import Terms  # noqa: PLC0415
    from promedical_curation.pipeline.running import Runner, Wishes  # noqa: PLC0415

    wishes = Wishes(only=only, again=again, retry_failed=retry_failed, max_failed=max_failed)
    with work.opened() as (line, opened):
        terms = Terms(run=opened.id, replay=replay, budget=budget)
        with engine_named(engine, address, workers, opened.store) as handing:
            Runner(opened, _means(line, opened, terms), Console(stderr=True), handing).run(wishes)
        if only is None:
            _conclude(opened)


@app.command(name="plan", epilog=EXIT_CODES)
@expected_errors()
@takes_work()
def plan_run(
    work: Work,
    *,
    sample: Annotated[int, typer.Option(min=1, help="How many rows to ask about.")] = 50,
    budget: Budget = None,
) -> None:
    """Estimate calls, tokens, cost and time from a sample that is really sent, and whose answers are kept."""
    from promedical_curation.asking.fetching import Terms  # noqa: PLC0415
    from promedical_curation.pipeline.inspecting import plan_lines  # noqa: PLC0415
    from promedical_curation.pipeline.planning import plan_line  # noqa: PLC0415
    from promedical_curation.pipeline.running import Runner, Wishes  # noqa: PLC0415

    with work.opened() as (line, opened):
        means = _means(line, opened, Terms(run=opened.id, budget=budget))
        Runner(opened, means, Console(stderr=True)).run(Wishes(free_only=True))
        typer.echo("\n".join(plan_lines(plan_line(opened, means, sample=sample))))


@app.command(epilog=EXIT_CODES)
@expected_errors()
def status(path: RunPath, store: StoreUrl = None) -> None:
    """Show how the stages of a run stand, why rows failed, and what was spent."""
    from promedical_curation.asking.store import open_store  # noqa: PLC0415
    from promedical_curation.pipeline.inspecting import failure_lines, stage_lines  # noqa: PLC0415
    from promedical_curation.pipeline.run_folder import read_run, store_of  # noqa: PLC0415

    found = read_run(path)
    with closing(open_store(store_of(path, found, store))) as opened:
        typer.echo("\n".join((*stage_lines(path, found, opened), *failure_lines(found, opened))))


@app.command(epilog=EXIT_CODES)
@expected_errors()
def show(path: RunPath, row_id: Annotated[str, typer.Argument(metavar="ID", help="The row's id.")]) -> None:
    """Follow one row through all stages, with reasons. This prints the row's text."""
    from promedical_curation.pipeline.inspecting import follow, step_text  # noqa: PLC0415

    for step in follow(path, row_id):
        typer.echo(step_text(step))


@app.command(epilog=EXIT_CODES)
@expected_errors()
def report(
    path: RunPath,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; report.html in the run's folder by default.")
    ] = None,
    store: StoreUrl = None,
) -> None:
    """Write what a run did as one HTML page. Its examples print the text of some rows."""
    from promedical_curation.report.report import write_report  # noqa: PLC0415

    to = output or path / "report.html"
    write_report(path, to, store)
    typer.echo(to)


@app.command(epilog=EXIT_CODES)
@expected_errors()
def check(endpoints: EndpointFile) -> None:
    """Test every endpoint of a file with one short question."""
    import asyncio  # noqa: PLC0415

    from promedical_curation.asking.checking import check_endpoints  # noqa: PLC0415
    from promedical_curation.asking.endpoints import read_endpoints  # noqa: PLC0415

    known = read_endpoints(endpoints).by_name()
    asyncio.run(check_endpoints([(endpoint, ()) for endpoint in known.values()]))
    typer.echo(f"{len(known)} endpoints answer: {', '.join(known)}")


@batch.command(name="export", epilog=EXIT_CODES)
@expected_errors()
@takes_work()
def export_requests(
    work: Work, *, to: Annotated[Path, typer.Option(help="Folder for the files.")], stage: StageName
) -> None:
    """Write the requests of a stage that have no answer yet, as batch files."""
    from promedical_curation.pipeline.batching import export_batches  # noqa: PLC0415

    with work.opened() as (line, opened):
        count, files = export_batches(line.row_stage(stage), _input_of(line, opened, stage), opened, to)
    typer.echo(f"{count:,} requests: {', '.join(map(str, files)) or 'no file'}")


@batch.command(name="import", epilog=EXIT_CODES)
@expected_errors()
@takes_work()
def import_answers(
    work: Work,
    *,
    files: Annotated[list[Path], typer.Argument(help="Files that OpenAI or vLLM wrote.")],
    stage: StageName,
) -> None:
    """Read answers from batch files into the store."""
    from promedical_curation.pipeline.batching import import_batches  # noqa: PLC0415

    with work.opened() as (line, opened):
        found = import_batches(line.row_stage(stage), _input_of(line, opened, stage), opened, files)
    unanswered = ", ".join(f"{reason} {count:,}" for reason, count in sorted(found.unanswered.items())) or "none"
    typer.echo(f"{found.kept:,} answers kept, {found.known:,} were there already; without an answer: {unanswered}")


def _conclude(opened: "RunFolder") -> None:
    """Say what there is to learn from, if the run makes pairs.

    Raises:
        TooManyFailedError: There is nothing.
    """
    from promedical_curation.errors import TooManyFailedError  # noqa: PLC0415
    from promedical_curation.stages import pairing  # noqa: PLC0415

    if opened.stages[-1].name == pairing.NAME:
        rows = opened.rows(pairing.NAME)
        if not len(rows):
            raise TooManyFailedError(f"{opened.path}: no row is left to make pairs of; `status` shows where rows went")
        typer.echo(f"{pairing.summary(rows)}\n{opened.folder(pairing.NAME) / pairing.FOLDER}")


def _means(line: "Line", opened: "RunFolder", terms: "Terms") -> "Means":
    from promedical_curation.pipeline.worker import Means  # noqa: PLC0415

    return Means(endpoints=line.endpoints.by_name(), store=opened.store, terms=terms)


def _input_of(line: "Line", opened: "RunFolder", stage: str) -> "RowFile":
    """The rows that come to a stage, once all stages before it that ask nothing have been run."""
    from promedical_curation.asking.fetching import Terms  # noqa: PLC0415
    from promedical_curation.pipeline.running import Runner, Wishes  # noqa: PLC0415

    means = _means(line, opened, Terms(run=opened.id))
    Runner(opened, means, Console(stderr=True)).run(Wishes(free_only=True))
    return opened.input_of(stage)


def main() -> None:
    """Run the command line."""
    run_program(app, PROGRAM, extra="curation")


if __name__ == "__main__":
    main()
