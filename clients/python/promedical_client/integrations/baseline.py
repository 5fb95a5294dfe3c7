"""For frameworks that cannot leave a sample out: the reward that leaves its group's baseline as it is."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import fmean

from promedical.messages import ResponseScores
from promedical_client.integrations.grader import Grade


def group_means(groups: Sequence[Hashable], grades: Sequence[Grade]) -> dict[Hashable, float]:
    """Mean reward of what was scored, by group; a group of which nothing was scored is absent.

    Args:
        groups: Of each sample, in order.
        grades: Of each sample.
    """
    rewards: dict[Hashable, list[float]] = defaultdict(list)
    for group, grade in zip(groups, grades, strict=True):
        if isinstance(grade, ResponseScores):
            rewards[group].append(grade.reward)
    return {group: fmean(found) for group, found in rewards.items()}
