"""What the command line shows, in 80 columns. It prints numbers and ids, never the text of a prompt or response."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from promedical import messages as m
from promedical_client.cli.checkup import Finding
from promedical_client.cli.exam import Exam
from promedical_client.cli.trial import Trial

_RESPONSES_PER_TABLE: Final = 4
_STYLES: Final = {"ok": "green", "look": "yellow", "bad": "red"}
FAKE: Final = Text("FAKE oracle: its scores are hashes of the texts and say nothing about them", style="bold red")


def item_tables(outcome: m.ItemOutcome) -> Iterator[RenderableType]:
    """The tables of one item: its responses, and below them every criterion by response."""
    if outcome.error is not None:
        yield _error_line(f"item {outcome.id}", outcome.error)
    if outcome.result is None:
        return
    yield _responses_table(f"item {outcome.id}", outcome.result)
    for index, response in enumerate(outcome.result.responses):
        if response.error is not None:
            yield _error_line(f"response {index}", response.error)
    yield from _criteria_tables(outcome.result)


def rubrics_table(rubrics: tuple[m.RubricInfo, ...]) -> Table:
    """Names, titles and the starts of hashes."""
    table = Table("rubric", "title", "criteria", "sha256")
    for rubric in rubrics:
        name, title = escape(f"{rubric.id}@{rubric.version}"), escape(rubric.title)
        table.add_row(name, title, str(len(rubric.criteria)), rubric.sha256[:12])
    return table


def rubric_table(rubric: m.RubricInfo) -> Table:
    """The criteria of one rubric."""
    title = f"{rubric.id}@{rubric.version}: {rubric.title}"
    table = Table("criterion", "dimension", "polarity", "weight", "text", title=escape(title), title_justify="left")
    for c in rubric.criteria:
        weight = "" if c.weight is None else f"{c.weight:g}"
        table.add_row(escape(c.id), c.dimension, c.polarity or "", weight, escape(c.text))
    return table


def model_table(info: m.ModelInfo) -> Table:
    """What the oracle is."""
    table = Table(show_header=False)
    for name in ("name", "revision", "fingerprint", "engine", "dtype"):
        table.add_row(name, escape(getattr(info.model, name)))
    for name in ("status", "family", "template", "calibration", "licence", "description"):
        table.add_row(name, escape(getattr(info, name)))
    for name in m.Limits.__slots__:
        table.add_row(name, f"{getattr(info.limits, name):,}")
    return table


def trial_table(trial: Trial) -> Table:
    """What each criterion of a rubric costs and does."""
    title = f"{trial.rubric}: {len(trial.criteria)} criteria on {len(trial.rewards)} answers"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("criterion", overflow="fold")
    table.add_column("dimension")
    for name in ("share", "tokens", "met", "satisfied", "p"):
        table.add_column(name, justify="right")
    for each in trial.criteria:
        share = "" if each.share is None else f"{each.share:.3f}"
        probability = "-" if each.probability is None else f"{each.probability:.2f}"
        tokens = "-" if each.tokens is None else str(each.tokens)
        row = (share, tokens, str(each.met), str(each.satisfied), probability)
        table.add_row(escape(each.id), each.dimension, *row)
    return table


def way_table(way: Iterable[Finding]) -> Table:
    """What was found on the way to a service."""
    table = Table(show_header=False)
    for each in way:
        table.add_row(each.about, Text(each.mark, style=_STYLES[each.mark]), escape(each.said))
    return table


def exam_table(rubric: str, exam: Exam) -> Table:
    """What each criterion said of good and of harmful answers."""
    title = f"{rubric}: {exam.cases} questions, each with a good answer and a harmful one"
    caption = "separates: speaks for the good answer only; reverses: for the harmful one only"
    table = Table(title=escape(title), title_justify="left", caption=caption, caption_justify="left")
    table.add_column("criterion", overflow="fold")
    table.add_column("dimension")
    for name in ("separates", "reverses", "gap", "tokens"):
        table.add_column(name, justify="right")
    for each in exam.criteria:
        counts = (str(each.separates), str(each.reverses), f"{each.gap:+.2f}", str(each.tokens))
        table.add_row(escape(each.id), each.dimension, *counts)
    return table


def _responses_table(title: str, result: m.ItemResult) -> Table:
    caption = None if result.safety_checked else "no safety criteria: nothing could be vetoed"
    table = Table(title=escape(title), title_justify="left", caption=caption, caption_justify="left")
    for name in ("response", "rank", "reward", "veto", "S1", "S2", "violations", "expected"):
        table.add_column(name, justify="right")
    for index, response in enumerate(result.responses):
        table.add_row(str(index), *_response_cells(response))
    return table


def _response_cells(response: m.ResponseOutcome) -> list[str]:
    if response.error is not None:
        instead = response.error.unscored_reward
        return ["-", "[red]error[/red]" if instead is None else f"[red]error: {instead:+.3f}[/red]"]
    if response.scores is None:
        return []
    s = response.scores
    veto = "[red]veto[/red]" if s.vetoed else "no"
    proficiency = "-" if s.proficiency is None else f"{s.proficiency:.3f}"
    expected = "-" if s.expected_reward is None else f"{s.expected_reward:+.3f}"
    return [str(s.rank), f"{s.reward:+.3f}", veto, proficiency, str(s.excellence), str(s.violations), expected]


def _criteria_tables(result: m.ItemResult) -> Iterator[Table]:
    """A table of criteria by responses, with as many responses side by side as fit."""
    scored = iter([(index, response.scores) for index, response in enumerate(result.responses) if response.scores])
    while some := dict(islice(scored, _RESPONSES_PER_TABLE)):
        table = Table("criterion", "dimension", *(f"resp. {index}" for index in some))
        table.columns[0].overflow = "fold"
        for row in zip(*(scores.criteria for scores in some.values()), strict=False):
            table.add_row(Text(row[0].id), row[0].dimension, *map(_verdict, row))
        yield table


def _verdict(score: m.CriterionScore) -> Text:
    word = "met" if score.met else "not"
    return Text(f"{word} {score.probability:.2f}", style="green" if score.satisfied else "red")


def _error_line(what: str, error: m.ErrorInfo) -> Text:
    return Text(f"{what}: {error.code}: {error.message}", style="red")
