"""Tasks that ask for the best of some responses: which are right, and whether the oracle ranks them first. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import pandas as pd

from promedical_bench.answers import Answer, Answers, longer_is_better
from promedical_bench.cases import Case
from promedical_bench.tasks.task import Facts, answered, by_group, shortened
from promedical_data.measures.controls import LONGER
from promedical_data.measures.evaluation import Tallies
from promedical_data.measures.metrics import Metric
from promedical_data.measures.tallies import Tally, micro

COLUMNS: Final = ("prompt", "id", "group", "margin", "spread", "places")
"""Columns of a frame of choices. `margin` is the reward of the worst right response minus that of the best wrong one;
`places` is the same for ranks. Above 0 is right; 0 is a tie, which counts as wrong. `spread` is the reward of the
best right response minus that of the worst one."""

_DIGITS: Final = 9
"""Rewards that differ by less are equal, since S1 is rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A case whose first responses are right and whose other responses are wrong.

    Attributes:
        case: The question.
        id: The id of the row in its file.
        group: The subset that the row belongs to.
        right: How many responses are right.
    """

    case: Case
    id: str
    group: str
    right: int


def choice_frame(choices: Sequence[Choice], answers: Answers) -> pd.DataFrame:
    """One row per choice all of whose responses were scored, with the columns of `COLUMNS`."""
    rows = [_row(choice, list(answered(choice.case, answers))) for choice in choices]
    return pd.DataFrame([row for row in rows if row], columns=list(COLUMNS))


def _row(choice: Choice, answers: list[Answer | None]) -> tuple[str, str, str, float, float, int] | None:
    said = [answer for answer in answers if answer is not None]
    if len(said) < len(answers):
        return None
    right, wrong = said[: choice.right], said[choice.right :]
    rewards = [each.reward for each in right]
    margin = round(min(rewards) - max(each.reward for each in wrong), _DIGITS)
    places = min(each.rank for each in wrong) - max(each.rank for each in right)
    return choice.case.cluster, choice.id, choice.group, margin, round(max(rewards) - min(rewards), _DIGITS), places


METRICS: Final[dict[str, Metric]] = {
    "accuracy": lambda frame: micro(frame["prompt"], frame["margin"] > 0),
    "ties": lambda frame: micro(frame["prompt"], frame["margin"] == 0),
    "accuracy_ranked": lambda frame: micro(frame["prompt"], frame["places"] > 0),
    "ties_ranked": lambda frame: micro(frame["prompt"], frame["places"] == 0),
}
"""The metrics of a frame of choices, by their names in a report."""

TITLES: Final = {
    "accuracy": "The right response has the highest reward",
    "ties": "Tied for the highest reward (counted as wrong)",
    "accuracy_ranked": "The right response is ranked first",
    "ties_ranked": "Tied for first rank (counted as wrong)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceTask:
    """A task of choices; `Task` says what its attributes mean. Such tasks differ in their headline.

    Attributes:
        headline_title: The title of the headline.
        formula: Computes the headline of a frame of choices, by group.
        choices: The choices, one per row of the file.
    """

    name: str
    title: str
    headline: str
    headline_title: str
    chance: float | None
    formula: Callable[[pd.DataFrame], dict[str, Tally]]
    choices: tuple[Choice, ...]
    facts: Facts

    of_one_response: ClassVar[Collection[str]] = ()
    of_policy: ClassVar[bool] = False

    @property
    def main(self) -> tuple[str, ...]:
        """The headline, and how often the right response is best."""
        return (self.headline, "accuracy")

    @property
    def titles(self) -> Mapping[str, str]:
        """Titles of metrics, by their names."""
        return {self.headline: self.headline_title} | TITLES

    @property
    def cases(self) -> Sequence[Case]:
        return [choice.case for choice in self.choices]

    def limited(self, cases: int) -> "ChoiceTask":
        facts = shortened(self.facts, cases, len(self.choices))
        return replace(self, choices=self.choices[:cases], facts=facts)

    def tallies(self, answers: Answers) -> Tallies:
        """The headline, and accuracy by subset."""
        frame = choice_frame(self.choices, answers)
        return {self.headline: self.formula(frame)} | by_group(frame, METRICS)

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The control "the longer answer wins"; choices have no majority class."""
        scored = [choice.case for choice in self.choices if all(answers.get(choice.case.id, (None,)))]
        return {LONGER: self.tallies(longer_is_better(scored))} if scored else {}

    def agreement(self, answers: Answers) -> Tallies:  # noqa: ARG002 - the Protocol's
        """Nothing, since choices have no labels."""
        return {}

    def labels(self, answers: Answers) -> pd.DataFrame | None:  # noqa: ARG002 - the Protocol's
        """Nothing, since choices have no labels."""
        return None


def numbered(found: Iterable[Choice]) -> tuple[Choice, ...]:
    """Choices whose cases are named by their places in the file, since ids of rows may repeat."""
    return tuple(
        replace(each, case=replace(each.case, id=f"{number}:{each.id}")) for number, each in enumerate(found, start=1)
    )
