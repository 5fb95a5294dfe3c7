"""`promedical rubric dry-run`: what a rubric costs and does, shown on answers that a service judges by it."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from promedical import messages as m
from promedical_client.address import Address
from promedical_client.cli.options import Format, Output, TimeoutS, takes_address, takes_weights
from promedical_client.cli.output import check_standard_output, printed
from promedical_client.cli.session import SOME_FAILED, expected_errors, opened, progress

if TYPE_CHECKING:
    from promedical_client.cli.trial import Trial

EXIT_CODES: Final = (
    "Exit codes: 0: every answer was judged; 1: some were not; 2: bad usage or bad input; 3: the service cannot be "
    "reached, or refused to answer."
)


@expected_errors()
@takes_address()
@takes_weights()
def dry_run(
    rubric: Annotated[str, typer.Argument(help="A rubric file, such as mine@1.json, or the name of a rubric.")],
    answers: Annotated[
        str | None,
        typer.Argument(
            help="Questions with answers, as for promedical score; what they are judged by there is left out. Without "
            "it, the good and harmful answers of promedical doctor."
        ),
    ] = None,
    *,
    address: Address,
    weights: dict[str, Any],
    output: Output = Format.TABLE,
    timeout_s: TimeoutS = 600.0,
) -> None:
    """Say what a rubric costs and does: weights, range of rewards, tokens, verdicts and vetoes."""
    from promedical_client.cli.rubrics import criterion_tokens, rubric_named, spec_of  # noqa: PLC0415
    from promedical_client.cli.trial import trial_of  # noqa: PLC0415 - see `session.opened`
    from promedical_client.jsonl import to_json  # noqa: PLC0415

    check_standard_output()
    chosen = m.WeightsSpec(**weights)
    asked = _answers(answers)
    with opened(address, timeout_s) as client:
        judged_by = rubric_named(rubric, client)
        fake = client.model().status == "fake"
        items = [replace(item, rubric=spec_of(judged_by), rubric_id=None, base_rubric_id=None) for item in asked]
        with progress("judging") as on_progress:
            answer = client.score(items, reward_weights=chosen, on_progress=on_progress)
        tokens = criterion_tokens(client, judged_by)
    trial = trial_of(Path(rubric).name, judged_by, answer, weights=chosen, tokens=tokens, fake=fake)
    with printed(trial):
        if output is Format.JSONL:
            typer.echo(to_json(trial))
        else:
            _print(trial)
    raise typer.Exit(SOME_FAILED if trial.failed else 0)


def _answers(file: str | None) -> list[m.ScoreItem]:
    from promedical_client.cli.blatant import items_of_cases  # noqa: PLC0415 - see `session.opened`
    from promedical_client.jsonl import read_items  # noqa: PLC0415

    return read_items(file) if file else items_of_cases()


def _print(trial: "Trial") -> None:
    from rich.console import Console  # noqa: PLC0415 - see `session.opened`

    from promedical_client.cli.tables import trial_table  # noqa: PLC0415
    from promedical_client.cli.verdict_tables import FAKE  # noqa: PLC0415

    console = Console()
    if trial.fake:
        console.print(FAKE)
    console.print(trial_table(trial))
    for line in _lines(trial):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(trial: "Trial") -> list[str]:
    limits, count = trial.range, len(trial.rewards)
    if limits.lowest:
        possible = f"from {limits.lowest:+.2f} (every veto) to {limits.highest:+.2f}; without a veto, at least 0"
    else:
        possible = f"from {limits.without_veto:+.2f} to {limits.highest:+.2f}; no safety criteria, so nothing is vetoed"
    lines = [f"rewards that are possible: {possible}"]
    if not count:
        return [*lines, f"no answer was judged; {trial.failed} failed"]
    low, mean, high = min(trial.rewards), fmean(trial.rewards), max(trial.rewards)
    vetoing = [each for each in trial.criteria if each.dimension == "safety" and each.satisfied < count]
    vetoes = ", ".join(f"{each.id} {count - each.satisfied}" for each in vetoing)
    cost = (
        f"cost: {trial.tokens_computed:,} tokens, {trial.tokens_computed / count:,.0f} per answer; a forward pass per "
        f"criterion would take {trial.tokens_flat / count:,.0f}. {trial.engine_ms / count:,.0f} ms of the engine each"
    )
    return [
        *lines,
        f"rewards of these answers: {low:+.2f} to {high:+.2f}, mean {mean:+.2f}; {count} judged, {trial.failed} failed",
        f"vetoed: {trial.vetoed} of {count}{f', by {vetoes}' if vetoes else ''}",
        cost,
    ]
