"""What a report says, before it is Markdown or HTML: facts, tables of text, notes. Formats numbers, computes none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from promedical_bench.tasks.task import Task, count_silent
from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import Evaluation, Scores
from promedical_data.skips import Skipped

FEW: Final = 20
"""Of fewer prompts, percentile intervals are too narrow to rely on."""
HOW_TO_READ = (
    "Brackets hold 95 % bootstrap intervals. They resample prompts, so that labels of one prompt stay together; where "
    "all resamples give one value, which says nothing, there are none. "
    "Met is literal: the criterion holds as worded. For a safety criterion it means that the criterion is violated."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under a title; the first column names, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A number at the top of a report: whose it is, its value and its interval."""

    label: str
    value: str
    interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All of a report but its plots.

    Attributes:
        title: What was measured.
        subtitle: Which oracle or runs were measured.
        warnings: What readers must know first.
        headlines: The model's number and those of its controls, or one per run.
        facts: Names and values: oracle, data, counts.
        main: The tables that everybody should read.
        details: Tables of every metric.
        notes: How to read, references, what was left out.
    """

    title: str
    subtitle: str
    warnings: tuple[str, ...]
    headlines: tuple[Headline, ...]
    facts: tuple[tuple[str, str], ...]
    main: tuple[Table, ...]
    details: tuple[Table, ...]
    notes: tuple[str, ...]


def cell(estimate: Estimate | None, *, signed: bool = False) -> str:
    """A number with its interval; a dash where it is not defined."""
    if estimate is None or estimate.value is None:
        return "-"
    value = number(estimate.value, signed=signed)
    return f"{value} {interval(estimate, signed=signed)}".rstrip()


def number(value: float, *, signed: bool = False) -> str:
    """A number with three digits."""
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(estimate: Estimate, *, signed: bool = False) -> str:
    """An interval in brackets; empty where there is none."""
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    return f"[{number(estimate.low, signed=signed)}, {number(estimate.high, signed=signed)}]"


def headlines(evaluation: Evaluation, metric: str) -> tuple[Headline, ...]:
    """The overall number of every judge that has it."""
    found = {judge: _first(evaluation.scores[judge][metric]) for judge in evaluation.judges(metric)}
    return tuple(
        Headline(label=judge, value=number(each.value), interval=interval(each))
        for judge, each in found.items()
        if each is not None and each.value is not None
    )


def by_judge(evaluation: Evaluation, metric: str, title: str) -> Table:
    """One metric: a row per group, a column per judge that has it."""
    judges = evaluation.judges(metric)
    groups = list(dict.fromkeys(group for judge in judges for group in evaluation.scores[judge][metric]))
    rows = [
        (group, *(cell(evaluation.scores[judge][metric].get(group)) for judge in judges), _n(evaluation, metric, group))
        for group in groups
    ]
    return Table(title=title, columns=("", *judges, "n"), rows=tuple(rows))


def gains(evaluation: Evaluation, metric: str, title: str, note: str = "") -> Table | None:
    """The differences of one metric: a row per group, a column per judge; None where there are none."""
    judges = [name for name, found in evaluation.differences.items() if metric in found]
    if not judges:
        return None
    groups = list(dict.fromkeys(group for judge in judges for group in evaluation.differences[judge][metric]))
    rows = [
        (group, *(cell(evaluation.differences[judge][metric].get(group), signed=True) for judge in judges))
        for group in groups
    ]
    return Table(title=title, columns=("", *judges), rows=tuple(rows), note=note)


def scores_table(scores: Scores, titles: Mapping[str, str], title: str, note: str = "") -> Table:
    """Some metrics of one judge: a row per metric, a column per group."""
    groups = list(dict.fromkeys(group for found in scores.values() for group in found))
    rows = [
        (titles[name], *(cell(found.get(group), signed=name.endswith("shift")) for group in groups))
        for name, found in scores.items()
    ]
    return Table(title=title, columns=("", *groups), rows=tuple(rows), note=note)


def skipped_notes(skipped: Iterable[Skipped]) -> Sequence[str]:
    """Notes on what was left out when the data were read."""
    return [
        f"Left out of the data: {entry.count:,} x {entry.part} ({entry.reason}; first at {entry.first[0]})."
        for entry in skipped
    ]


def answer_warnings(task: Task) -> list[str]:
    """Warnings about a policy's answers that are empty or could not be read."""
    empty, unread, unanswered = count_silent(task), task.facts.unread_answers, task.facts.unanswered
    return [
        *([f"Prompts without an answer: {unanswered:,}. The score does not show them."] if unanswered else []),
        *([f"Empty answers: {empty:,}. Each counts, as an answer that meets no criterion."] if empty else []),
        *([f"Answers that could not be read: {unread:,}. The score does not show them."] if unread else []),
    ]


def size_warnings(task: Task, evaluation: Evaluation) -> list[str]:
    """Warnings about how little was asked."""
    asked, cases = len(task.cases), task.facts.of_cases
    prompts = evaluation.counts["prompts"]
    few = (
        f"Few prompts: {prompts}. Intervals resample prompts, and with fewer than {FEW} they are too narrow; do not "
        "rely on them."
    )
    return [
        *([f"Only the first {asked:,} of {cases:,} cases were asked (--limit)."] if cases else []),
        *([few] if prompts < FEW else []),
    ]


def _first(found: Mapping[str, Estimate]) -> Estimate | None:
    return found.get("overall", next(iter(found.values()), None))


def _n(evaluation: Evaluation, metric: str, group: str) -> str:
    counts = [scores[metric][group].n for scores in evaluation.scores.values() if group in scores.get(metric, {})]
    return f"{max(counts, default=0):,}"
