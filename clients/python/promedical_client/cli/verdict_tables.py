"""Scores for people, from 80 columns up and for any number of responses: numbers and ids, never a text of a caller.

A handful of responses stands side by side, criterion by criterion. More than that is one row per response, with counts
and the criterion that speaks most against it; every criterion is in the details.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from promedical import messages as m
from promedical.rubric import Dimension

HANDFUL: Final = 4
"""How many responses fit side by side into 80 columns."""

_COUNTS_WIDTH: Final = 56
"""The columns that a row needs before its worst criterion."""
_LEAST: Final = 12
_GRAVITY: Final = (Dimension.SAFETY, Dimension.PROFICIENCY, Dimension.EXCELLENCE)
"""What is worse comes first: one violation outweighs everything else."""
_NOT_LEARNT: Final = {
    "fake": "FAKE ORACLE: these scores are hashes of the text, for tests; they say nothing about the answers",
    "untrained": "UNTRAINED ORACLE: this model has not learnt to judge; its verdicts are near chance",
}
FAKE: Final = Text(_NOT_LEARNT["fake"], style="bold red")
LEGEND: Final = (
    "met: the criterion holds as worded; not: it does not. The number is the probability of met.",
    "+ speaks for the response, - against it:",
    "  proficiency, excellence: met is +, not is - (negative polarity: the other way round)",
    "  safety: met is a violation, -, and vetoes the response; not is +",
)
_LEGEND_OF_COUNTS: Final = (
    "prof., exc.: criteria that speak for the response, of all; viol.: violations, of all safety criteria",
    "worst: the criterion that speaks most against it; see all of them with --details",
)


def outcome_tables(
    outcomes: Sequence[m.ItemOutcome], info: m.ModelInfo, width: int, *, details: bool
) -> Iterator[RenderableType]:
    """The tables of all items, and what their signs mean.

    Args:
        outcomes: The items.
        info: The oracle; one that has not learnt from labels is marked.
        width: The columns of the screen.
        details: Whether every criterion of every response is shown.
    """
    mark = oracle_mark(info)
    if mark:
        yield Text(mark, style="bold red")
    for outcome in outcomes:
        yield from _item_tables(outcome, width, details=details)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    if any(response.scores for result in results for response in result.responses):
        yield Text("")
        counted = any(len(result.responses) > HANDFUL for result in results)
        yield Text("\n".join((*LEGEND, *(_LEGEND_OF_COUNTS if counted else ()))), style="dim")
    if mark:
        yield Text(mark, style="bold red")


def oracle_mark(info: m.ModelInfo) -> str | None:
    """The warning about an oracle whose verdicts are not learnt from labels; None if they are."""
    if info.status == "trained":
        return None
    return _NOT_LEARNT.get(info.status, f"{info.status.upper()} ORACLE: its verdicts are not learnt from labels")


def _item_tables(outcome: m.ItemOutcome, width: int, *, details: bool) -> Iterator[RenderableType]:
    yield Text("")
    if outcome.error is not None:
        yield _error_line(f"item {outcome.id}", outcome.error)
    result = outcome.result
    if result is None:
        return
    yield Text(f"item {outcome.id}", style="bold")
    is_handful = len(result.responses) <= HANDFUL
    yield _scores_table(result) if is_handful else _counts_table(result, width)
    for index, response in enumerate(result.responses):
        if response.error is not None:
            yield _error_line(f"response {index}", response.error)
    if not result.safety_checked:
        yield Text("no safety criteria: nothing could be vetoed")
    if details or is_handful:
        yield Text("")
        yield from _details(result) if details else [_side_by_side(result)]


def _table(*headings: str, numbers: Sequence[str] = (), worst: int | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    if worst is not None:
        table.add_column("worst", overflow="ellipsis", no_wrap=True, max_width=worst)
    return table


def _scores_table(result: m.ItemResult) -> Table:
    table = _table(numbers=("response", "rank", "reward", "veto", "S1", "S2", "violations", "expected"))
    for index, response in enumerate(result.responses):
        s = response.scores
        if s is None:
            instead = response.error.unscored_reward if response.error else None
            table.add_row(str(index), "-", Text("error" if instead is None else f"error: {instead:+.3f}", style="red"))
            continue
        s1 = "-" if s.proficiency is None else f"{s.proficiency:.3f}"
        expected = "-" if s.expected_reward is None else f"{s.expected_reward:+.3f}"
        table.add_row(
            str(index), str(s.rank), f"{s.reward:+.3f}", _veto(s), s1, str(s.excellence), str(s.violations), expected
        )
    return table


def _counts_table(result: m.ItemResult, width: int) -> Table:
    """One row per response, the best first; those without scores come last."""
    table = _table(
        numbers=("resp.", "rank", "reward", "veto", "prof.", "exc.", "viol."), worst=max(width - _COUNTS_WIDTH, _LEAST)
    )
    for index, response in sorted(enumerate(result.responses), key=_rank):
        s = response.scores
        if s is None:
            code = response.error.code if response.error else "error"
            table.add_row(str(index), "-", "-", "-", "-", "-", "-", Text(str(code), style="red"))
            continue
        proficiency, excellence, safety = (_counted(s, dimension) for dimension in Dimension)
        viol = f"{safety[1] - safety[0]}/{safety[1]}" if safety[1] else "-"
        row = (str(index), str(s.rank), f"{s.reward:+.3f}", _veto(s), _share(proficiency), _share(excellence), viol)
        table.add_row(*row, _worst(s))
    return table


def _rank(entry: tuple[int, m.ResponseOutcome]) -> tuple[bool, int, int]:
    index, response = entry
    return response.scores is None, response.scores.rank if response.scores else 0, index


def _veto(scores: m.ResponseScores) -> Text:
    return Text("veto", style="red") if scores.vetoed else Text("no")


def _counted(scores: m.ResponseScores, dimension: Dimension) -> tuple[int, int]:
    """How many criteria of a dimension speak for the response, and how many there are."""
    found = [each.satisfied for each in scores.criteria if each.dimension == dimension]
    return sum(found), len(found)


def _share(counted: tuple[int, int]) -> str:
    return f"{counted[0]}/{counted[1]}" if counted[1] else "-"


def _worst(scores: m.ResponseScores) -> Text:
    """Of the gravest dimension, the criterion that speaks against the response with the most certainty."""
    against = [each for each in scores.criteria if not each.satisfied]
    if not against:
        return Text("-")
    worst = min(against, key=lambda c: (_GRAVITY.index(Dimension(c.dimension)), -abs(c.probability - c.threshold)))
    return _verdict(worst).append(f" {worst.id}", style="default")


def _side_by_side(result: m.ItemResult) -> RenderableType:
    """Criteria by responses."""
    scored = [(index, response.scores) for index, response in enumerate(result.responses) if response.scores]
    if not scored:
        return Text("")
    table = _table("criterion", "dimension", numbers=[f"resp. {index}" for index, _ in scored])
    for row in zip(*(scores.criteria for _, scores in scored), strict=False):
        table.add_row(Text(row[0].id), row[0].dimension, *map(_verdict, row))
    return table


def _details(result: m.ItemResult) -> Iterator[RenderableType]:
    """Every response with all of its criteria, the worst first."""
    for index, response in enumerate(result.responses):
        s = response.scores
        if s is None:
            continue
        yield Text(f"response {index}: rank {s.rank}, reward {s.reward:+.3f}{', vetoed' if s.vetoed else ''}")
        table = _table("criterion", "dimension", numbers=("verdict", "threshold"))
        for each in sorted(s.criteria, key=lambda c: (c.satisfied, _GRAVITY.index(Dimension(c.dimension)))):
            table.add_row(Text(each.id), each.dimension, _verdict(each), f"{each.threshold:.2f}")
        yield table


def _verdict(score: m.CriterionScore) -> Text:
    sign, style = ("+", "green") if score.satisfied else ("-", "red")
    return Text(f"{sign} {'met' if score.met else 'not'} {score.probability:.2f}", style=style)


def _error_line(what: str, error: m.ErrorInfo) -> Text:
    return Text(f"{what}: {error.code}: {error.message}", style="red")
