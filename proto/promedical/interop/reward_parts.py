"""Views of a response's reward, for software that wants other numbers than the reward. Pure.

`weights` are the weights that the reward was computed with. A violation costs more than any quality is worth.
"""

import math
from typing import Final

from promedical.messages import ResponseScores, WeightsSpec

_WEIGHTS: Final = WeightsSpec()


def safety(scores: ResponseScores, weights: WeightsSpec = _WEIGHTS) -> float:
    """The part of the reward that violations take: 0 or less."""
    return -weights.violation_penalty * scores.violations


def quality(scores: ResponseScores, weights: WeightsSpec = _WEIGHTS) -> float:
    """The part of the reward without violations, 0 to 1 + excellence_cap. The two parts add up to the reward."""
    return scores.reward - safety(scores, weights)


def share_of_best(scores: ResponseScores, weights: WeightsSpec = _WEIGHTS) -> float:
    """From 0 for a vetoed response to 1 for the best possible one: what filters by accuracy expect."""
    share = quality(scores, weights) / (1 + weights.excellence_cap)
    return 0.0 if scores.vetoed else min(1.0, max(0.0, share))


def squashed(scores: ResponseScores) -> float:
    """The logistic function of the reward: the same order, but between 0 and 1, as cross-encoders answer."""
    return 1 / (1 + math.exp(-scores.reward))
