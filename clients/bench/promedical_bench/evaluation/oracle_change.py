"""What changes for a policy if one oracle takes the place of another: verdicts, vetoes, order and advantages. Pure.

A policy that is trained with groups of answers learns from their order and from their advantages within the group
(GRPO, arXiv 2402.03300, section 4.1.2), and safety comes first, so these decide whether its training may move over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean, pstdev
from typing import Final

import numpy as np
import pandas as pd

from promedical_bench.answers import Answer, Answers, scored_pairs
from promedical_bench.evaluation.injection import shift
from promedical_data.measures import agreement
from promedical_data.measures.evaluation import OVERALL, Tallies
from promedical_data.measures.tallies import NOTHING, Numbers, Tally, micro, ratio

REVERSED: Final = "reversed"
LIFTED: Final = "vetoes_lifted"
ADDED: Final = "vetoes_added"
ADVANTAGES: Final = "advantage_correlation"
AGREEMENT: Final = "raw_agreement"
UNSCORED: Final = "newly_unscored"

TITLES: Final = {
    REVERSED: "Pairs of a group whose order is reversed",
    LIFTED: "Responses whose veto is lifted",
    ADDED: "Responses that are newly vetoed",
    ADVANTAGES: "Correlation of the advantages within groups",
    "new_ties": "Pairs of a group that were in order and now tie",
    UNSCORED: "Responses that only the old oracle scored",
    "reward_shift": "Mean change of the reward",
    AGREEMENT: "Verdicts that agree",
    "gwet_ac1": "Gwet's AC1 of the verdicts",
    "kappa": "Cohen's kappa of the verdicts",
    "flipped_to_met": "Verdicts that turn from not met to met",
    "flipped_to_not_met": "Verdicts that turn from met to not met",
    "probability_shift": "Mean change of the probability of met",
}
"""Titles of measures, by their names in a report. Shares are shares of all pairs, responses or verdicts."""

_AGREEMENT: Final = (AGREEMENT, "gwet_ac1", "kappa")
_PAIR: Final = 2


def oracle_change(old: Answers, new: Answers, cluster: Mapping[str, str]) -> Tallies:
    """Every measure, by name and then by dimension or "overall".

    Args:
        old: The answers of the oracle of today.
        new: The answers of the one that would follow. What one of them did not score is left out, but for the count
            of what only the old one scored.
        cluster: The prompt of every case.
    """
    pairs, groups = _pairs(old, new, cluster), _groups(old, new, cluster)
    vetoes = _vetoes(old, new, cluster)
    found: Tallies = {
        REVERSED: {OVERALL: _mean(pairs, REVERSED)},
        LIFTED: {OVERALL: _mean(vetoes, LIFTED)},
        ADDED: {OVERALL: _mean(vetoes, ADDED)},
        ADVANTAGES: {OVERALL: _correlation(groups)},
        "new_ties": {OVERALL: _mean(pairs, "new_ties")},
        UNSCORED: {OVERALL: _mean(_scored(old, new, cluster), UNSCORED)},
    }
    moved = shift(old, new, cluster) | _verdicts(old, new, cluster)
    return found | {name: moved[name] for name in TITLES if name in moved}


def _verdicts(old: Answers, new: Answers, cluster: Mapping[str, str]) -> Tallies:
    rows = [
        (cluster[case], str(said.dimension), said.met, other.verdicts[name].met)
        for case, one, other in scored_pairs(old, new)
        for name, said in one.verdicts.items()
    ]
    frame = pd.DataFrame(rows, columns=["prompt", "dimension", "first", "second"])
    parts = {str(name): part for name, part in frame.groupby("dimension")} | {OVERALL: frame}
    by_part = {name: agreement.agreement(part) for name, part in parts.items()}
    return {name: {part: found[name] for part, found in by_part.items()} for name in _AGREEMENT}


def _vetoes(old: Answers, new: Answers, cluster: Mapping[str, str]) -> pd.DataFrame:
    rows = [
        (cluster[case], bool(one.vetoed and not other.vetoed), bool(other.vetoed and not one.vetoed))
        for case, one, other in scored_pairs(old, new)
        if one.vetoed is not None and other.vetoed is not None
    ]
    return pd.DataFrame(rows, columns=["prompt", LIFTED, ADDED])


def _scored(old: Answers, new: Answers, cluster: Mapping[str, str]) -> pd.DataFrame:
    """One row for each response that the old oracle scored, of cases that both were asked about."""
    rows = [
        (cluster[case], other is None)
        for case in old
        if case in new
        for one, other in zip(old[case], new[case], strict=True)
        if one is not None
    ]
    return pd.DataFrame(rows, columns=["prompt", UNSCORED])


def _pairs(old: Answers, new: Answers, cluster: Mapping[str, str]) -> pd.DataFrame:
    """One row for each pair of a group that the old oracle puts in order."""
    rows = [
        (cluster[case], before * after < 0, after == 0)
        for case, group in _in_groups(old, new)
        for (one, other), (then, later) in combinations(group, _PAIR)
        if (before := one.rank - then.rank)
        for after in (other.rank - later.rank,)
    ]
    return pd.DataFrame(rows, columns=["prompt", REVERSED, "new_ties"])


def _groups(old: Answers, new: Answers, cluster: Mapping[str, str]) -> pd.DataFrame:
    """One row for each group: sums of products of its advantages."""
    rows = []
    for case, group in _in_groups(old, new):
        first, second = (_advantages([each[side].reward for each in group]) for side in (0, 1))
        rows.append((cluster[case], first @ second, first @ first, second @ second))
    return pd.DataFrame(rows, columns=["prompt", "product", "old", "new"])


def _in_groups(old: Answers, new: Answers) -> Iterator[tuple[str, Sequence[tuple[Answer, Answer]]]]:
    """The responses that both oracles scored, by case; a case with fewer than two has no order."""
    by_case: dict[str, list[tuple[Answer, Answer]]] = {}
    for case, one, other in scored_pairs(old, new):
        by_case.setdefault(case, []).append((one, other))
    return ((case, group) for case, group in by_case.items() if len(group) >= _PAIR)


def _advantages(rewards: Iterable[float]) -> Numbers:
    """Rewards less their mean, by their spread; zeros for a group without spread, which teaches nothing."""
    values = list(rewards)
    middle, spread = fmean(values), pstdev(values)
    return np.array([(value - middle) / spread if spread else 0.0 for value in values])


def _correlation(groups: pd.DataFrame) -> Tally:
    if groups.empty:
        return NOTHING
    sums = groups.groupby("prompt")[["product", "old", "new"]].sum()

    def formula(found: Numbers) -> Numbers:
        return ratio(found[..., 0], np.sqrt(found[..., 1] * found[..., 2]))

    return Tally(sums=sums, formula=formula, n=len(groups))


def _mean(frame: pd.DataFrame, column: str) -> Tally:
    return NOTHING if frame.empty else micro(frame["prompt"], frame[column])
