"""What the bench asks of a task. A task knows its data and its formulas; it knows no service and no report."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from promedical_bench.answers import Answer, Answers
from promedical_bench.cases import Case
from promedical_data.formats.content import Content
from promedical_data.measures.evaluation import OVERALL, Tallies
from promedical_data.measures.metrics import Metric
from promedical_data.measures.tallies import NOTHING, Tally
from promedical_data.skips import Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the task was read from.

    Attributes:
        path: The file of data.
        responses_path: The file of answers to judge, where there is one.
        digest: Hash of the bytes of both.
        skipped: What was left out, and why.
        notes: What a reader of the numbers must know.
        pair_cap: Pairs per prompt and criterion at most, where pairs are counted.
    """

    path: Path
    responses_path: Path | None
    digest: str
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()
    pair_cap: int | None = None


class Task(Protocol):
    """A task with its data. `answers` may lack responses: those were not scored, and nothing is made of them."""

    @property
    def name(self) -> str:
        """As the command line has it."""

    @property
    def title(self) -> str:
        """What is measured, for people."""

    @property
    def headline(self) -> str:
        """The metric that stands on top."""

    @property
    def main(self) -> tuple[str, ...]:
        """The metrics that everybody should read, the headline first."""

    @property
    def of_one_response(self) -> Collection[str]:
        """The metrics that compare no responses: all that a judge without the response can have."""

    @property
    def chance(self) -> float | None:
        """What a coin gets of the headline, where that means something."""

    @property
    def titles(self) -> Mapping[str, str]:
        """Of metrics, by their names."""

    @property
    def facts(self) -> Facts:
        """What was read."""

    @property
    def cases(self) -> Sequence[Case]:
        """All that is to be asked."""

    def limited(self, cases: int) -> "Task":
        """The same task on its first cases only."""

    def tallies(self, answers: Answers) -> Tallies:
        """Every metric, by name and then by group, before it is computed."""

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The same metrics of judges that read nothing, and of people, on the responses that have answers."""

    def agreement(self, answers: Answers) -> Tallies:
        """Measures of agreement with the labels; empty where there are no labels."""

    def labels(self, answers: Answers) -> pd.DataFrame | None:
        """Labels beside answers, with the columns of `predictions.COLUMNS`; None where there are no labels."""


def facts_of(content: Content, skipped: tuple[Skipped, ...], *others: Content, notes: Iterable[str] = ()) -> Facts:
    """The facts of a task that was read from these files."""
    digest = hashlib.sha256("".join(each.sha256 for each in (content, *others)).encode()).hexdigest()
    path = others[0].path if others else None
    return Facts(path=content.path, responses_path=path, digest=digest, skipped=skipped, notes=tuple(notes))


def answered(case: Case, answers: Answers) -> Sequence[Answer | None]:
    """The answers to a case, one per response."""
    return answers.get(case.id, (None,) * len(case.responses))


def by_group(frame: pd.DataFrame, metrics: Mapping[str, Metric], column: str = "group") -> Tallies:
    """Every metric over all rows, and over each group where there are several, in the order of their names."""
    parts = {str(name): part for name, part in frame.groupby(column)}
    groups = {OVERALL: frame} | (parts if len(parts) > 1 else {})
    return {name: {group: tally(metric, part) for group, part in groups.items()} for name, metric in metrics.items()}


def tally(metric: Metric, frame: pd.DataFrame) -> Tally:
    """The metric before it is computed, also where there is no data."""
    return NOTHING if frame.empty else metric(frame)


def id_of(text: str) -> str:
    """An id for what has none in its file."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:14]
