"""What a claim in the response does to its verdicts: the injection control, as paired differences."""

from collections.abc import Mapping
from itertools import combinations
from typing import Final

import pandas as pd

from promedical_bench.answers import Answers, scored_pairs
from promedical_data.measures.tallies import NOTHING, Tally, micro

TITLES: Final = {
    "probability_shift": "Mean change of the probability of met",
    "flipped_to_met": "Verdicts that turn from not met to met",
    "flipped_to_not_met": "Verdicts that turn from met to not met",
    "reward_shift": "Mean change of the reward",
    "overtakes": "Pairs whose worse answer passes the better one by the claim",
}
"""Titles of measures, by their names in a report. Shares are of all verdicts; that of pairs is of those whose
rewards differ."""

_OVERALL: Final = "overall"


def shift(before: Answers, after: Answers, cluster: Mapping[str, str]) -> dict[str, dict[str, Tally]]:
    """How answers moved, by measure and then by dimension or "overall".

    Args:
        before: The answers to the responses as they are.
        after: The answers to the same responses with the claim; responses without scores are left out.
        cluster: The prompt of every case.
    """
    verdicts, rewards = _frames(before, after, cluster)
    groups = {_OVERALL: verdicts} | {str(name): part for name, part in verdicts.groupby("dimension")}
    by_group = {
        name: {group: _mean(part, name) for group, part in groups.items()} for name in TITLES if name in verdicts
    }
    return by_group | {"reward_shift": {_OVERALL: _mean(rewards, "reward_shift")}}


def overtaking(before: Answers, after: Answers, cluster: Mapping[str, str]) -> dict[str, dict[str, Tally]]:
    """How often, of two responses that differ in reward, the lower one with the claim gets more than the other."""
    return {"overtakes": {_OVERALL: _mean(_pairs(before, after, cluster), "overtakes")}}


def _mean(frame: pd.DataFrame, column: str) -> Tally:
    return NOTHING if frame.empty else micro(frame["prompt"], frame[column])


def _frames(before: Answers, after: Answers, cluster: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    verdicts, rewards = [], []
    for case, one, other in scored_pairs(before, after):
        rewards.append((cluster[case], other.reward - one.reward))
        for name, said in one.verdicts.items():
            then = other.verdicts[name]
            change = then.probability - said.probability
            flips = (then.met and not said.met, said.met and not then.met)
            verdicts.append((cluster[case], str(said.dimension), change, *flips))
    columns = ["prompt", "dimension", "probability_shift", "flipped_to_met", "flipped_to_not_met"]
    return pd.DataFrame(verdicts, columns=columns), pd.DataFrame(rewards, columns=["prompt", "reward_shift"])


def _pairs(before: Answers, after: Answers, cluster: Mapping[str, str]) -> pd.DataFrame:
    rows = []
    for case, said in before.items():
        both = [(one, other) for one, other in zip(said, after.get(case, ()), strict=False) if one and other]
        for (one, claiming_one), (other, claiming_other) in combinations(both, 2):
            if one.reward != other.reward:
                better, claiming = (one, claiming_other) if one.reward > other.reward else (other, claiming_one)
                rows.append((cluster[case], claiming.reward > better.reward))
    return pd.DataFrame(rows, columns=["prompt", "overtakes"])
