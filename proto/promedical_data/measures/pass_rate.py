"""What a round's decisions say of all rubrics: the strict pass rate with its interval.

A rubric passes strictly if a physician accepted it without an edit. The rate is the Horvitz-Thompson estimate in
Hajek's form; its variance is Hajek's (1964), for draws of fixed size with unequal probabilities. The interval is that
of Korn and Graubard (1998): Clopper and Pearson's, at the sample size that the variance is worth. It is honest where
almost everything passes, which is where the question of stopping comes up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRate:
    """An estimate of the share of all rubrics that would pass strictly.

    Attributes:
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end.
        decided: How many decisions it rests on.
    """

    value: float
    low: float
    high: float
    decided: int


def pass_rate(probability: Mapping[str, float], passed: Mapping[str, bool], *, level: float = LEVEL) -> PassRate:
    """Estimate the strict pass rate.

    Args:
        probability: The probability with which the round drew each of its rubrics, by id.
        passed: By id, whether a physician accepted it without an edit; rubrics without a decision are left out.
        level: The level of the interval, two-sided.

    Raises:
        ValueError: Nothing was decided, or a decision is about a rubric that the round does not hold.
    """
    strangers = sorted(passed.keys() - probability.keys())
    if strangers:
        raise ValueError(f"rubric {strangers[0]} was decided on but is not of this round; import the round it is from")
    if not passed:
        raise ValueError("the round has no decisions yet; import them first")
    chances = np.array([probability[each] for each in passed])
    outcomes = np.array(list(passed.values()), dtype=float)
    weights = 1 / chances
    value = float(weights @ outcomes / weights.sum())
    low, high = _interval(value, _worth(value, outcomes, chances), level)
    return PassRate(value=value, low=low, high=high, decided=len(passed))


def _worth(value: float, outcomes: np.ndarray, chances: np.ndarray) -> float:
    """The size of a simple random sample that would be as precise; never more than decisions there are."""
    weights = 1 / chances
    kish = weights.sum() ** 2 / (weights**2).sum()
    variance = _variance(value, outcomes, chances)
    worth = value * (1 - value) / variance if variance > 0 else kish
    return float(min(max(worth, 1.0), len(outcomes)))


def _variance(value: float, outcomes: np.ndarray, chances: np.ndarray) -> float:
    """Hajek's variance of the rate: residuals over probabilities, spread around their weighted mean."""
    count = len(outcomes)
    if count < 2:  # noqa: PLR2004 - one decision has no spread
        return 0.0
    residuals = (outcomes - value) / chances
    spare = 1 - chances
    if not spare.sum():
        return 0.0
    centre = (spare @ residuals) / spare.sum()
    return float(count / (count - 1) * (spare @ (residuals - centre) ** 2) / (1 / chances).sum() ** 2)


def _interval(value: float, size: float, level: float) -> tuple[float, float]:
    from scipy.stats import beta  # noqa: PLC0415 - scipy is heavy

    tail = (1 - level) / 2
    passes, fails = value * size, (1 - value) * size
    low = float(beta.ppf(tail, passes, fails + 1)) if passes > 0 else 0.0
    high = float(beta.ppf(1 - tail, passes + 1, fails)) if fails > 0 else 1.0
    return low, high
