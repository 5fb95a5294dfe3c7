"""What the bench needs from a task. A task knows its data and its formulas, but no service and no report."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import pandas as pd

from promedical_bench.answers import Answer, Answers
from promedical_bench.cases import Case
from promedical_bench.silence import silent
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
        responses_path: The file of answers to judge, if there is one.
        digest: The hash of the bytes of both files.
        skipped: What was left out, and why.
        notes: What a reader of the numbers must know.
        pair_cap: The most pairs per prompt and criterion, if pairs are counted.
        unread_answers: How many rows of the file of answers could not be read: the score does not show them.
        unanswered: How many prompts the file of answers does not answer: the score does not show them either.
        of_cases: How many cases the data have, if only the first ones are asked.
    """

    path: Path
    responses_path: Path | None
    digest: str
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()
    pair_cap: int | None = None
    unread_answers: int = 0
    unanswered: int = 0
    of_cases: int | None = None


class Task(Protocol):
    """A task with its data. `answers` may lack responses: these were not scored, and do not count."""

    @property
    def name(self) -> str:
        """The task's name on the command line."""

    @property
    def title(self) -> str:
        """What is measured, for people."""

    @property
    def headline(self) -> str:
        """The metric at the top of the report."""

    @property
    def main(self) -> tuple[str, ...]:
        """The metrics that every reader should see, the headline first."""

    @property
    def of_one_response(self) -> Collection[str]:
        """The metrics that do not compare responses, which a judge without the responses can have."""

    @property
    def of_policy(self) -> bool:
        """Whether the responses are a policy's to be measured, of which an empty one counts; see `silence`."""

    @property
    def chance(self) -> float | None:
        """The value of the headline that guessing gets, if that means something."""

    @property
    def titles(self) -> Mapping[str, str]:
        """Titles of metrics, by their names."""

    @property
    def facts(self) -> Facts:
        """What was read."""

    @property
    def cases(self) -> Sequence[Case]:
        """All cases that the oracle is asked about."""

    def limited(self, cases: int) -> "Task":
        """The same task on its first cases only."""

    def tallies(self, answers: Answers) -> Tallies:
        """Every metric, by name and then by group, before it is computed."""

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The same metrics for judges that read nothing and for people, on the responses that have answers."""

    def agreement(self, answers: Answers) -> Tallies:
        """Measures of agreement with the labels; empty if there are no labels."""

    def labels(self, answers: Answers) -> pd.DataFrame | None:
        """Labels with answers, in the columns of `predictions.COLUMNS`; None if there are no labels."""


def shortened(facts: Facts, asked: int, cases: int) -> Facts:
    """The facts of a task of which only the first cases are asked."""
    return facts if asked >= cases else replace(facts, of_cases=cases)


LEAVE_OUT: Final = "--without-criterion errata"
"""How criteria with a wrong sign are left out."""


def without(facts: Facts, names: Collection[str]) -> Facts:
    """The facts of a task that leaves out these criteria, which is another task than the whole one."""
    if not names:
        return facts
    listed = ", ".join(sorted(names))
    digest = hashlib.sha256(f"{facts.digest} without {listed}".encode()).hexdigest()
    return replace(facts, digest=digest, notes=(*facts.notes, f"Criteria left out by --without-criterion: {listed}."))


def facts_of(content: Content, skipped: tuple[Skipped, ...], *others: Content, notes: Iterable[str] = ()) -> Facts:
    """The facts of a task that was read from these files."""
    digest = hashlib.sha256("".join(each.sha256 for each in (content, *others)).encode()).hexdigest()
    path = others[0].path if others else None
    return Facts(path=content.path, responses_path=path, digest=digest, skipped=skipped, notes=tuple(notes))


def silent_in(task: Task) -> Mapping[str, tuple[bool, ...]]:
    """Which responses are a policy's empty answers, by case."""
    found = silent(task.cases)
    return found if task.of_policy else {case: (False,) * len(empty) for case, empty in found.items()}


def count_silent(task: Task) -> int:
    """How many of a policy's answers are empty."""
    return sum(map(sum, silent_in(task).values()))


def answered(case: Case, answers: Answers) -> Sequence[Answer | None]:
    """The answers to a case, one per response."""
    return answers.get(case.id, (None,) * len(case.responses))


def by_group(frame: pd.DataFrame, metrics: Mapping[str, Metric], column: str = "group") -> Tallies:
    """Every metric over all rows and, if there are several groups, over each group in the order of their names."""
    parts = {str(name): part for name, part in frame.groupby(column)}
    groups = {OVERALL: frame} | (parts if len(parts) > 1 else {})
    return {name: {group: tally(metric, part) for group, part in groups.items()} for name, metric in metrics.items()}


def tally(metric: Metric, frame: pd.DataFrame) -> Tally:
    """The metric before it is computed, even if there are no data."""
    return NOTHING if frame.empty else metric(frame)


def id_of(text: str) -> str:
    """An id for a row that has none in its file."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:14]
