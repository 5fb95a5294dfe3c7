"""A run's report: read the folder, put the content together, write one page."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from promedical_curation.asking.store import Spending, open_store
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.run_folder import store_of
from promedical_curation.report import flow, judges, near_thresholds, questions, review
from promedical_curation.report.content import Bar, Content, Line, Table, share
from promedical_curation.report.run_view import RunView, view_run
from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.pages import page

_STORE: Final = "answers.sqlite"


def write_report(path: Path, to: Path, store: str | None) -> None:
    """Write the report of a run, finished or not.

    Args:
        path: The run's folder.
        to: The file.
        store: The address of the response store, for what was spent; None for the file in the run's folder.

    Raises:
        CurationError: The folder holds no run, a file of it is broken, or the report cannot be written.
    """
    run = view_run(path)
    spending = _spending(run, store)
    text = page("promedical_curation.report", "report.html.j2", content=content_of(run, spending))
    try:
        with output_file(to) as stream:
            stream.write(text)
    except DataError as error:
        raise CurationError(str(error)) from None


def content_of(run: RunView, spending: Mapping[str, Spending] | None) -> Content:
    """What the report of a run says.

    Args:
        run: The run.
        spending: By stage, what it spent; None if that is not known.
    """
    rounds = review.estimates(run)
    tables = [
        flow.funnel(run),
        flow.losses(run),
        questions.difficulties(run),
        *questions.categories(run),
        *judges.agreement(run),
        review.pass_rates(rounds),
        _costs(run, spending) if spending else None,
    ]
    return Content(
        title="Curation run",
        subtitle=f"{run.path.absolute().name}, run {run.run.id}",
        warnings=tuple(_warnings(run, spending)),
        tiles=tuple(_tiles(run, spending, rounds)),
        tables=tuple(table for table in tables if table is not None and table.lines),
        examples=near_thresholds.near_thresholds(run),
        sources=flow.licences(run),
        facts=tuple(_facts(run)),
    )


def _spending(run: RunView, store: str | None) -> dict[str, Spending] | None:
    """What the run has spent; None if its store is somewhere else and was not named."""
    if store is None and (run.run.store is not None or not (run.path / _STORE).is_file()):
        return None
    address = store or store_of(run.path, run.run, None)
    with closing(open_store(address)) as opened:
        return opened.spending(run.run.id)


def _warnings(run: RunView, spending: Mapping[str, Spending] | None) -> list[str]:
    due = [f"{state.stage} ({state.why})" for state in run.states if state.why]
    found = [f"The run is not finished, or out of date: {'; '.join(due)}."] if due else []
    if spending is None:
        place = run.run.store or "answers.sqlite in its folder"
        found.append(f"What was spent is not shown: the response store is {place}; name it by --store.")
    return found


def _tiles(
    run: RunView, spending: Mapping[str, Spending] | None, rounds: Mapping[int, review.RoundEstimate | None]
) -> list[tuple[str, str, str]]:
    tiles = []
    if run.stages:
        first, last = run.stages[0].manifest, run.stages[-1].manifest
        tiles.append(
            (f"rows after {last.stage}", f"{last.kept:,}", f"{share(last.kept, first.rows_in)} of {first.rows_in:,}")
        )
    if spending:
        total = _sum(spending.values())
        tiles.append(("answers", f"{total.calls:,}", f"{total.attempts:,} calls"))
        tiles.append(("tokens", f"{total.input_tokens + total.output_tokens:,}", f"{total.output_tokens:,} written"))
        tiles.append(("cost", f"${total.cost:,.2f}", "by the prices of the endpoints"))
    if known := [each.estimate for each in rounds.values() if each is not None and each.estimate is not None]:
        last_rate = known[-1]
        tiles.append(("strict pass rate", f"{last_rate.value:.3f}", f"{last_rate.low:.3f} to {last_rate.high:.3f}"))
    return tiles


def _costs(run: RunView, spending: Mapping[str, Spending]) -> Table:
    names = [name for name in run.run.stages if name in spending]
    most = max((spending[name].attempts for name in names), default=0)
    lines = [_cost_line(name, spending[name], most) for name in names]
    if len(lines) > 1:
        lines.append(_cost_line("all", _sum(spending.values()), 0))
    return Table(
        title="Calls, tokens and cost",
        columns=("stage", "answers", "calls", "tokens in", "tokens out", "cost", "seconds per answer"),
        lines=tuple(lines),
        note="Answers that were in the store already cost nothing and are not counted. A bar is the number of calls.",
    )


def _cost_line(name: str, spent: Spending, most: int) -> Line:
    numbers = [f"{each:,}" for each in (spent.calls, spent.attempts, spent.input_tokens, spent.output_tokens)]
    seconds = f"{spent.seconds / spent.calls:.2f}" if spent.calls else "-"
    return Line(
        cells=(name, *numbers, f"${spent.cost:,.4f}", seconds), bar=Bar(high=spent.attempts / most) if most else None
    )


def _sum(spending: Iterable[Spending]) -> Spending:
    each = list(spending)
    return Spending(**{name: sum(getattr(one, name) for one in each) for name in Spending.__dataclass_fields__})


def _facts(run: RunView) -> list[tuple[str, str]]:
    return [
        ("run", run.run.id),
        ("response store", run.run.store or "answers.sqlite in the run's folder"),
        *(
            (f"models of {stage.name}", models)
            for stage in run.stages
            if (models := _models(stage.manifest.fingerprint))
        ),
        ("seconds", ", ".join(f"{stage.name} {stage.manifest.seconds:,.1f}" for stage in run.stages) or "-"),
    ]


def _models(parts: Mapping[str, str]) -> str:
    return ", ".join(value for name, value in parts.items() if name.startswith("model."))
