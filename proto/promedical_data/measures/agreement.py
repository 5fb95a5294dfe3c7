"""How far two raters agree beyond chance: the oracle and the labels, or physicians among themselves.

The formulas stand here: scikit-learn's kappa takes milliseconds, too long for every replicate of a bootstrap, and is
what tests compare with; the packages that have Gwet's AC1 and Krippendorff's alpha pin an old scipy, are under the GPL,
or know no order of levels. Measures of agreement need both levels:
where only one was ever used, kappa and alpha are not defined.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from promedical_data.measures.tallies import NOTHING, Numbers, Tally

REPLICATES: Final = 250
"""Replicates of the bootstrap: a table is made for each."""

TITLES: Final = {
    "raw_agreement": "Raw agreement",
    "kappa": "Cohen's kappa",
    "kappa_linear": "Cohen's kappa, linear weights",
    "kappa_quadratic": "Cohen's kappa, quadratic weights",
    "gwet_ac1": "Gwet's AC1",
    "krippendorff_alpha": "Krippendorff's alpha",
}
"""Titles of measures, by their names in a report."""

Level: TypeAlias = Literal["nominal", "ordinal"]
Measure: TypeAlias = Callable[[Numbers], float]
"""From a table of counts, first rater by second rater, to a number; NaN where it is not defined."""

_TWO: Final = 2


def agreement(ratings: pd.DataFrame, levels: int = _TWO) -> dict[str, Tally]:
    """Every measure of agreement, before it is computed.

    Args:
        ratings: One row per pair of ratings, with `prompt` and the levels that `first` and `second` gave, from 0.
            Levels are in order.
        levels: How many there are. Weights of kappa make a difference from three on, and stand there only then.
    """
    if ratings.empty:
        return dict.fromkeys(_measures(levels), NOTHING)
    cells = ratings["first"].astype(int) * levels + ratings["second"].astype(int)
    sums = pd.crosstab(ratings["prompt"], cells).reindex(columns=range(levels**2), fill_value=0).astype(float)
    return {
        name: Tally(sums=sums, formula=_over_replicates(measure, levels), n=len(ratings))
        for name, measure in _measures(levels).items()
    }


def raw_agreement(table: Numbers) -> float:
    """Share of the pairs of ratings that are equal."""
    return float(np.trace(table) / table.sum()) if table.sum() else float("nan")


def kappa(table: Numbers, weights: Literal["linear", "quadratic"] | None = None) -> float:
    """Cohen's kappa (1960), weighted (1968) if asked: 1 - (weighted disagreement) / (that by chance)."""
    if _one_level(table):
        return float("nan")
    apart = np.abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table)))).astype(np.float64)
    cost = {None: np.sign(apart), "linear": apart, "quadratic": apart**2}[weights]
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(1 - (cost * table).sum() / (cost * by_chance).sum())


def gwet_ac1(table: Numbers) -> float:
    """Gwet's AC1 (2008): (p - e) / (1 - e) with e = sum of q (1 - q) / (levels - 1), q the mean share of a level."""
    if not table.sum():
        return float("nan")
    shares = (table.sum(axis=0) + table.sum(axis=1)) / (2 * table.sum())
    chance = float((shares * (1 - shares)).sum() / (len(table) - 1))
    return (raw_agreement(table) - chance) / (1 - chance)


def krippendorff_alpha(table: Numbers, level: Level = "nominal") -> float:
    """Krippendorff's alpha of two raters."""
    first, second = np.indices(table.shape).reshape(2, -1)
    one_vote = np.eye(len(table))
    return alpha_of_units(one_vote[first] + one_vote[second], table.ravel(), level)


def alpha_of_units(counts: Numbers, times: Numbers, level: Level = "nominal") -> float:
    """Krippendorff's alpha of any number of raters, from values by units (Krippendorff 2011, sections C and D).

    Units with fewer than two ratings say nothing of agreement and are left out.

    Args:
        counts: How many raters gave each level to each unit, of shape (units, levels).
        times: How often each unit occurs, of shape (units,).
        level: Whether levels are in order.
    """
    raters = counts.sum(axis=1)
    pairable = (raters >= _TWO) & (times > 0)
    counts, times, raters = counts[pairable], times[pairable], raters[pairable]
    totals = times @ counts
    if (totals > 0).sum() < _TWO:
        return float("nan")
    distances = _squared_distances(totals, level)
    observed = (distances * ((counts.T * times / (raters - 1)) @ counts)).sum()
    expected = (distances * np.outer(totals, totals)).sum() / (totals.sum() - 1)
    return float(1 - observed / expected)


def votes_alpha(votes: pd.DataFrame) -> Tally:
    """Krippendorff's alpha among all raters of each unit.

    Args:
        votes: One row per unit, with `prompt`, `met` (how many raters said met) and `raters` (how many there were).
    """
    if votes.empty:
        return NOTHING
    sums = pd.crosstab(votes["prompt"], [votes["met"].astype(int), votes["raters"].astype(int)]).astype(float)
    met, raters = sums.columns.to_frame().to_numpy(dtype=np.float64).T
    kinds = np.stack([raters - met, met], axis=1)

    def formula(counts: Numbers) -> Numbers:
        return _rowwise(counts, lambda row: alpha_of_units(kinds, row))

    return Tally(sums=sums, formula=formula, n=len(votes))


def _measures(levels: int) -> dict[str, Measure]:
    if levels == _TWO:
        found: dict[str, Measure] = {"raw_agreement": raw_agreement, "kappa": kappa}
        return found | {"gwet_ac1": gwet_ac1, "krippendorff_alpha": krippendorff_alpha}
    return {
        "raw_agreement": raw_agreement,
        "kappa": kappa,
        "kappa_linear": lambda table: kappa(table, "linear"),
        "kappa_quadratic": lambda table: kappa(table, "quadratic"),
        "gwet_ac1": gwet_ac1,
        "krippendorff_alpha": lambda table: krippendorff_alpha(table, "ordinal"),
    }


def _squared_distances(totals: Numbers, level: Level) -> Numbers:
    """Between levels: 1 if they differ, or for levels in order the ratings between their middles."""
    if level == "nominal":
        return 1 - np.eye(len(totals))
    middles = totals.cumsum() - totals / 2
    return np.subtract.outer(middles, middles) ** 2


def _over_replicates(measure: Measure, levels: int) -> Callable[[Numbers], Numbers]:
    def formula(sums: Numbers) -> Numbers:
        return _rowwise(sums, lambda row: measure(row.reshape(levels, levels)))

    return formula


def _rowwise(sums: Numbers, measure: Callable[[Numbers], float]) -> Numbers:
    rows = sums.reshape(-1, sums.shape[-1])
    return np.array([measure(row) for row in rows]).reshape(sums.shape[:-1])


def _one_level(table: Numbers) -> bool:
    """Both raters gave one and the same level only, so that chance explains everything."""
    used = (table.sum(axis=0) > 0) | (table.sum(axis=1) > 0)
    return int(used.sum()) < _TWO
