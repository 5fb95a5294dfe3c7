"""The command `promedical`: score files, rank responses, look at rubrics and at the model.

Standard output holds results only; progress, summaries and errors go to standard error.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from promedical import messages as m
from promedical_client.address import Address
from promedical_client.cli import doctor
from promedical_client.cli import rubric as rubric_commands
from promedical_client.cli.options import (
    BaseRubricId,
    CallTimeoutS,
    Columns,
    Cut,
    Details,
    ExpectedFingerprint,
    ExpectedRubrics,
    Format,
    Output,
    Priority,
    RubricId,
    TimeoutS,
    Truncation,
    pins_of,
    takes_address,
    takes_reward,
    takes_weights,
)
from promedical_client.cli.output import check_standard_output, printed
from promedical_client.cli.program import run_program, takes_version
from promedical_client.cli.session import SOME_FAILED, expected_errors, opened

if TYPE_CHECKING:
    from rich.console import Console

Asked = TypeVar("Asked", m.ScoreItem, m.RankRequest)

EXIT_CODES: Final = (
    "Exit codes: 0: everything was scored; 1: some items or responses were not scored; 2: bad usage, or bad input, "
    "whether found here or by the service, or results that cannot be written; 3: the service cannot be reached, or "
    "refused to answer; 130: interrupted; 141: the reader of the output closed the pipe."
)
OUT_HELP: Final = (
    "Write outcomes to this file, in input order: .jsonl, .json, .csv or .parquet. Until the job is done, answers are "
    "kept in OUT.partial, and the same command resumes."
)

ScoreOutput = Annotated[
    Format | None, typer.Option("--format", help="How to print outcomes. Default: a table, or nothing with --out.")
]

app = typer.Typer(
    help="Ask the ProMedical reward oracle.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


app.add_typer(rubric_commands.app, name="rubric")
app.command(epilog=doctor.EXIT_CODES)(doctor.doctor)


takes_version(app)


@app.command(epilog=EXIT_CODES)
@expected_errors()
@takes_address()
@takes_reward()
def score(  # noqa: PLR0913 - one parameter per option
    file: Annotated[
        str,
        typer.Argument(
            help="JSON lines, JSON, Parquet or CSV: items of the API, labelled data (criteria, pairs, healthbench), or "
            "columns (see --column). May be gzipped; - is stdin."
        ),
    ],
    *,
    address: Address,
    rubric_id: RubricId = None,
    base_rubric_id: BaseRubricId = None,
    reward: dict[str, Any],
    expected_fingerprint: ExpectedFingerprint = None,
    expected_rubrics: ExpectedRubrics = None,
    priority: Priority = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Score only the first LIMIT items.")] = None,
    out: Annotated[Path | None, typer.Option(help=OUT_HELP)] = None,
    output: ScoreOutput = None,
    truncation: Truncation = Cut.NONE,
    timeout_s: CallTimeoutS = 600.0,
    columns: Columns = None,
    details: Details = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop what an earlier run of this command has kept.")] = False,
) -> None:
    """Score the items of a file. Answers are kept as they come: a job that ended early resumes."""
    from promedical_client.cli.scoring import Job, run_job, summary_of  # noqa: PLC0415 - see `opened`
    from promedical_client.jsonl import read_items  # noqa: PLC0415

    pins = pins_of(expected_rubrics)
    read = read_items(file, limit=limit, columns=columns or ())
    items = [_judged_by(item, rubric_id, base_rubric_id) for item in read]
    _check_rubrics(items)
    if output or not out:
        check_standard_output()
    options = {
        **reward,
        "expected_fingerprint": expected_fingerprint,
        "priority": priority.value if priority else None,
        "truncation": truncation.value,
        "expected_rubrics": pins,
    }
    scored = run_job(Job(items=items, options=options, timeout_s=timeout_s, out=out, fresh=fresh), address)
    if output or not out:
        with printed(*scored.outcomes):
            _print_outcomes(scored.outcomes, output or Format.TABLE, scored.info, details=details)
    scored.kept.forget()
    typer.echo(summary_of(scored, _counts(scored.outcomes)), err=True)
    _exit_by(scored.outcomes)


@app.command(epilog=EXIT_CODES)
@expected_errors()
@takes_address()
@takes_weights()
def rank(  # noqa: PLR0913 - one parameter per option
    file: Annotated[str | None, typer.Argument(help="A rank request of the API, as JSON; - is stdin.")] = None,
    *,
    prompt: Annotated[str | None, typer.Option(help="The question, instead of a file.")] = None,
    response: Annotated[
        list[str] | None, typer.Option(help="A response to the prompt; give this option once per response.")
    ] = None,
    address: Address,
    rubric_id: RubricId = None,
    base_rubric_id: BaseRubricId = None,
    weights: dict[str, Any],
    expected_fingerprint: ExpectedFingerprint = None,
    expected_rubrics: ExpectedRubrics = None,
    priority: Priority = None,
    truncation: Annotated[Cut | None, typer.Option(help="Which part of a text that is too long may be cut.")] = None,
    output: Output = Format.TABLE,
    timeout_s: TimeoutS = 120.0,
    details: Details = False,
) -> None:
    """Put the responses to one prompt in order, best first."""
    from promedical_client.cli.result_files import marked_json, oracle_of  # noqa: PLC0415 - see `opened`
    from promedical_client.jsonl import read_rank_request  # noqa: PLC0415

    _check_question(file, prompt, response or [])
    asked = read_rank_request(file) if file else m.RankRequest(prompt=prompt or "", responses=tuple(response or ()))
    asked = _judged_by(asked, rubric_id, base_rubric_id)
    check_standard_output()
    with opened(address, timeout_s) as client:
        answer = client.rank(
            asked.prompt,
            asked.responses,
            rubric=asked.rubric,
            rubric_id=asked.rubric_id,
            base_rubric_id=asked.base_rubric_id,
            reward_weights=replace(asked.reward_weights, **weights),
            expected_fingerprint=expected_fingerprint or asked.expected_fingerprint,
            priority=priority.value if priority else asked.priority,
            truncation=truncation.value if truncation else asked.truncation,
            expected_rubrics=pins_of(expected_rubrics) or asked.expected_rubrics,
        )
        info = client.model(oracle=answer.model.fingerprint)
    outcome = m.ItemOutcome(id="rank", error=answer.error, result=answer.result)
    with printed(answer):
        if output is Format.JSONL:
            typer.echo(marked_json(answer, oracle_of(info)))
        else:
            _print_outcomes((outcome,), output, info, details=details)
            typer.echo(f"best: {', '.join(map(str, answer.best)) or 'none, nothing was scored'}")
    _exit_by((outcome,))


@app.command(epilog=EXIT_CODES)
@expected_errors()
@takes_address()
def rubrics(
    name: Annotated[str | None, typer.Argument(metavar="[ID]", help="id@version, or id for the newest one.")] = None,
    *,
    address: Address,
    output: Output = Format.TABLE,
    timeout_s: TimeoutS = 30.0,
) -> None:
    """List the rubrics that the service knows, or show the criteria of one."""
    with opened(address, timeout_s) as client:
        found = (client.rubric(name),) if name else client.rubrics()
    from promedical_client.cli import tables as cli_tables  # noqa: PLC0415 - see `opened`

    with printed():
        if output is Format.JSONL:
            return _print_json(found)
        _console().print(cli_tables.rubric_table(found[0]) if name else cli_tables.rubrics_table(found))
        if name:
            typer.echo(f"to pin it: --expected-rubric {found[0].pin.name}={found[0].sha256}")
    return None


@app.command(epilog=EXIT_CODES)
@expected_errors()
@takes_address()
def model(
    *,
    address: Address,
    output: Output = Format.TABLE,
    timeout_s: TimeoutS = 30.0,
) -> None:
    """Show what the oracle is: its fingerprint, whether it is trained, its limits."""
    with opened(address, timeout_s) as client:
        info = client.model()
    from promedical_client.cli import tables as cli_tables  # noqa: PLC0415 - see `opened`

    with printed():
        if output is Format.JSONL:
            _print_json((info,))
        else:
            _console().print(cli_tables.model_table(info))


def main() -> None:
    """Run the command line."""
    run_program(app, "promedical", extra="data")


def _check_rubrics(items: list[m.ScoreItem]) -> None:
    """Refuse a file without any criteria if no rubric is named either: every item of it would fail."""
    if not any(item.rubric or item.rubric_id or item.base_rubric_id for item in items):
        raise typer.BadParameter(
            "no item has criteria: name one of the service with --rubric-id, such as general-medical (promedical "
            "rubrics lists them), or add criteria to the file"
        )


def _judged_by(asked: Asked, rubric_id: str | None, base_rubric_id: str | None) -> Asked:
    if rubric_id:
        asked = replace(asked, rubric=None, rubric_id=rubric_id)
    return replace(asked, base_rubric_id=base_rubric_id) if base_rubric_id else asked


def _console() -> "Console":
    from rich.console import Console  # noqa: PLC0415 - see `opened`

    return Console()


def _print_json(values: Iterable[object]) -> None:
    from promedical_client.jsonl import to_json  # noqa: PLC0415 - see `opened`

    for value in values:
        typer.echo(to_json(value))


def _print_outcomes(outcomes: tuple[m.ItemOutcome, ...], output: Format, info: m.ModelInfo, *, details: bool) -> None:
    if output is Format.JSONL:
        from promedical_client.cli.result_files import marked_json, oracle_of  # noqa: PLC0415 - see `opened`

        for outcome in outcomes:
            typer.echo(marked_json(outcome, oracle_of(info)))
        return
    from promedical_client.cli.verdict_tables import outcome_tables  # noqa: PLC0415 - see `opened`

    console = _console()
    for each in outcome_tables(outcomes, info, console.width, details=details):
        console.print(each)


def _check_question(file: str | None, prompt: str | None, responses: list[str]) -> None:
    """Refuse a question that is given twice, or not whole."""
    if file is not None and (prompt is not None or responses):
        raise typer.BadParameter("FILE holds the prompt and the responses; leave out --prompt and --response")
    if file is None and prompt is None and not responses:
        raise typer.BadParameter("nothing to rank: give FILE, or --prompt and at least one --response")
    if file is None and prompt is None:
        raise typer.BadParameter("--prompt is missing: the question that the responses answer")
    if file is None and not responses:
        raise typer.BadParameter("--response is missing: give it once per response to --prompt")


def _counts(outcomes: tuple[m.ItemOutcome, ...]) -> tuple[int, int]:
    """Responses scored, and items or responses that failed."""
    answers = [response for outcome in outcomes if outcome.result for response in outcome.result.responses]
    failed = sum(outcome.error is not None for outcome in outcomes) + sum(a.error is not None for a in answers)
    return sum(answer.scores is not None for answer in answers), failed


def _exit_by(outcomes: tuple[m.ItemOutcome, ...]) -> None:
    if _counts(outcomes)[1]:
        raise typer.Exit(SOME_FAILED)
