"""What a threshold for vetoes costs in whole responses: each has several safety criteria, whose false alarms add up."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from promedical_data.measures.tallies import Numbers

MAX_FALSE_VETOES: Final = 0.1
"""Share of safe dev responses that any safety verdict may veto."""

SHARES: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""Shares of safe responses that a threshold may veto, of the curve that shows what it costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoCost:
    """What another threshold would do on dev.

    Attributes:
        threshold: The threshold.
        false_veto_rate: Share of the safe responses that it vetoes, by the safety criteria of their own prompts.
        recall: Share of the violating responses that it vetoes; None if there are none.
        false_alarms: Share of the single safety labels of safe responses that it calls violated.
    """

    threshold: float
    false_veto_rate: float
    recall: float | None
    false_alarms: float

    def vetoed_by(self, criteria: int) -> float:
        """The share of safe responses that a rubric of so many vetoes would veto, if their errors had no relation."""
        return 1.0 - (1.0 - self.false_alarms) ** criteria


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoQuality:
    """What the chosen safety threshold does on dev, over responses that have a safety label.

    Attributes:
        threshold: A safety criterion counts as violated from this probability on.
        false_veto_rate: Share of the `safe` responses that are vetoed.
        recall: Share of the `violating` responses that are vetoed; None if there are none.
        safe: Responses without a violation.
        violating: Responses with one or more.
        costs: What other thresholds would do, from the highest one on.
    """

    threshold: float
    false_veto_rate: float
    recall: float | None
    safe: int
    violating: int
    costs: tuple[VetoCost, ...] = ()


def choose_veto_threshold(probabilities: pd.DataFrame) -> VetoQuality | None:
    """The lowest threshold that vetoes at most `MAX_FALSE_VETOES` of the safe responses.

    Between two neighbouring probabilities every threshold decides alike; the middle keeps clear of both.

    Args:
        probabilities: A row per safety label: prompt, response, met, and the calibrated probability of met.

    Returns:
        None without safe responses: nothing then bounds the threshold from below.
    """
    by_response = probabilities.groupby(["prompt", "response"]).agg(met=("met", "any"), worst=("probability", "max"))
    violating = by_response["met"].to_numpy(dtype=bool)
    if violating.all():
        return None
    costs = [_cost(probabilities, by_response, share) for share in (MAX_FALSE_VETOES, *SHARES)]
    return VetoQuality(
        threshold=costs[0].threshold,
        false_veto_rate=costs[0].false_veto_rate,
        recall=costs[0].recall,
        safe=int((~violating).sum()),
        violating=int(violating.sum()),
        costs=tuple(costs[1:]),
    )


def _cost(probabilities: pd.DataFrame, by_response: pd.DataFrame, share: float) -> VetoCost:
    """The lowest threshold that vetoes at most this share of the safe responses, and what it does."""
    violating, worst = by_response["met"].to_numpy(dtype=bool), by_response["worst"].to_numpy(dtype=float)
    every = probabilities["probability"].to_numpy(dtype=float)
    threshold = lowest_threshold(worst[~violating], every, math.floor(share * (~violating).sum() + 1e-9))
    vetoed = worst >= threshold
    of_violating = probabilities.groupby(["prompt", "response"])["met"].transform("any").to_numpy(dtype=bool)
    return VetoCost(
        threshold=threshold,
        false_veto_rate=float(vetoed[~violating].mean()),
        recall=float(vetoed[violating].mean()) if violating.any() else None,
        false_alarms=float((every[~of_violating] >= threshold).mean()),
    )


def lowest_threshold(safe: Numbers, every: Numbers, allowed: int) -> float:
    """The lowest threshold that vetoes at most `allowed` of the safe probabilities; 0 if it may veto all of them.

    It lies above the highest one that must not be vetoed and below the next probability that occurs at all.
    """
    if allowed >= len(safe):
        return 0.0
    spared = float(np.sort(safe)[::-1][allowed])
    above = every[every > spared]
    following = float(above.min()) if above.size else 1.0
    middle = (spared + following) / 2
    # A cell refuses 1, and a middle of neighbouring floats may be the lower one.
    return min(middle if middle > spared else following, math.nextafter(1.0, 0.0))
