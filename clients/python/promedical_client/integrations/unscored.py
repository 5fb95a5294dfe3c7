"""What frameworks that cannot leave a sample out get in the place of a missing reward."""

import logging
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Final

from promedical.errors import ErrorCode
from promedical.messages import ResponseScores
from promedical_client.integrations.grader import Grader
from promedical_client.integrations.grades import Grade, scores_of
from promedical_client.integrations.settings import checked_unscored_reward

_LOG: Final = logging.getLogger(__name__)
_PARTS: Final = ("proficiency", "excellence", "violations", "vetoed")
LOGS: Final = ("scored", *_PARTS)


def chosen_reward(unscored_reward: float | None, grader: Grader) -> float | None:
    """What the user says that a response without a reward is worth: to the reward function, else to the grader.

    Raises:
        MisconfiguredError: It is not a finite number.
    """
    return grader.unscored_reward if unscored_reward is None else checked_unscored_reward(unscored_reward)


def reward_or(grade: Grade, unscored_reward: float | None) -> float:
    """The reward, or what the user says that a response without one is worth.

    Raises:
        UnscoredError: There is no reward, and the user did not choose one.
    """
    if isinstance(grade, ResponseScores) or unscored_reward is None:
        return scores_of(grade).reward
    if grade.code is ErrorCode.INVALID_ITEM:
        _warn_once(grade.message)
    return float(unscored_reward)


@lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    """A fault of the data is no answer of the policy: do not let the chosen reward hide it."""
    _LOG.warning("a sample cannot be scored and gets the chosen reward: %s", message)


def parts_of(grade: Grade) -> dict[str, float]:
    """The parts of the reward for logs, and `scored`: 1, or 0 if the parts are NaN. The keys are `LOGS`."""
    if not isinstance(grade, ResponseScores):
        return {"scored": 0.0, **dict.fromkeys(_PARTS, math.nan)}
    return {"scored": 1.0, **{name: float(getattr(grade, name) or 0.0) for name in _PARTS}}


def group_means(groups: Sequence[Hashable], grades: Sequence[Grade]) -> dict[Hashable, float]:
    """The mean reward of the scored samples of each group, which leaves the group's baseline as it is.

    Args:
        groups: The group of each sample, in order.
        grades: The grade of each sample.

    Returns:
        The means by group, without groups in which nothing was scored.
    """
    rewards: dict[Hashable, list[float]] = defaultdict(list)
    for group, grade in zip(groups, grades, strict=True):
        if isinstance(grade, ResponseScores):
            rewards[group].append(grade.reward)
    return {group: fmean(found) for group, found in rewards.items()}
