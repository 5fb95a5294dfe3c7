"""Tasks that ask for the best of some responses: which are right, and whether the oracle puts them on top. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from promedical_bench.answers import Answer, Answers
from promedical_bench.cases import Case
from promedical_bench.quality.metrics import Metric
from promedical_bench.quality.tallies import micro
from promedical_bench.tasks.task import answered

COLUMNS: Final = ("prompt", "id", "group", "margin", "spread", "places")
"""Of a frame of choices: `margin` is the reward of the worst right response minus that of the best wrong one, and
`places` the same of lexicographic ranks; above 0 is right, 0 a tie, which counts as wrong. `spread` is the best right
response minus the worst."""

_DIGITS: Final = 9
"""Rewards that differ less are equal: S1 is rounded so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A case whose first responses are right, the rest wrong.

    Attributes:
        case: What is asked.
        id: Of the row in its file.
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
"""Of a frame of choices, by name in a report."""

TITLES: Final = {
    "accuracy": "The right response has the highest reward",
    "ties": "Tied for the highest reward (counted as wrong)",
    "accuracy_ranked": "The right response is first in lexicographic order",
    "ties_ranked": "Tied for first in lexicographic order (counted as wrong)",
}
