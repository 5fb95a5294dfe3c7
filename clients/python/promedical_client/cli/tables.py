"""What the command line shows of named rubrics and of the model. See `verdict_tables` for scores."""

from collections.abc import Iterable
from typing import Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from promedical import messages as m
from promedical_client.cli.checkup import Finding
from promedical_client.cli.exam import Exam
from promedical_client.cli.trial import Trial

_STYLES: Final = {"ok": "green", "look": "yellow", "bad": "red"}


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
