"""slime: `--custom-rm-path promedical_client.integrations.slime.custom_rm`, or `.group_rm` with `--group-rm`.

Criteria travel in the label. With `--reward-key`, rewards are objects from which slime picks one number. If a sample
cannot be scored, `custom_rm` ends the rollout with `UnscoredError` unless you choose a reward; `group_rm` takes the
sample out of the loss with `remove_sample` and gives it the mean of its group, so that the group's baseline stays the
same.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from promedical.messages import ResponseScores
from promedical_client.integrations.grader import Grader
from promedical_client.integrations.grades import Grade
from promedical_client.integrations.shared import chosen_grader
from promedical_client.integrations.unscored import group_means, reward_or

Reward = float | dict[str, Any]


async def custom_rm(args: Any, sample: Any, *, grader: Grader | None = None, **settings: Any) -> Reward:
    """The reward of one sample; calls at the same time are gathered. `settings` are those of `shared_grader`.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
        UnscoredError: The response was not scored.
        PromedicalError: The call was not answered.
    """
    oracle = chosen_grader(grader, settings)
    grade = await oracle.grade_one(oracle.sample(sample.prompt, sample.response, sample.label))
    if isinstance(grade, ResponseScores):
        return _reward(args, grade)
    return _instead(args, reward_or(grade, oracle.unscored_reward))


async def group_rm(args: Any, samples: Sequence[Any], *, grader: Grader | None = None, **settings: Any) -> list[Reward]:
    """The rewards of samples, in order. `settings` are those of `shared_grader`.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
        UnscoredError: No response of a group was scored.
        PromedicalError: The call was not answered.
    """
    oracle = chosen_grader(grader, settings)
    read = [
        oracle.sample(sample.prompt, sample.response, sample.label, path=f"samples[{index}]")
        for index, sample in enumerate(samples)
    ]
    grades = await oracle.grade(read)
    means = group_means([sample.group_index for sample in samples], grades)
    return [_kept_or_removed(args, *pair, means, oracle.unscored_reward) for pair in zip(samples, grades, strict=True)]


def _kept_or_removed(
    args: Any, sample: Any, grade: Grade, means: Mapping[Hashable, float], unscored_reward: float | None
) -> Reward:
    """The reward; where there is none, the mean of the group, or the chosen one if nothing of the group was scored."""
    if isinstance(grade, ResponseScores):
        return _reward(args, grade)
    reward = reward_or(grade, means.get(sample.group_index, unscored_reward))
    sample.remove_sample = True
    return _instead(args, reward)


def _instead(args: Any, reward: float) -> Reward:
    return {"reward": reward, "scored": False} if getattr(args, "reward_key", None) else reward


def _reward(args: Any, scores: ResponseScores) -> Reward:
    if not getattr(args, "reward_key", None):
        return scores.reward
    return {
        "reward": scores.reward,
        "scored": True,
        "expected_reward": scores.expected_reward,
        "proficiency": scores.proficiency,
        "excellence": scores.excellence,
        "violations": scores.violations,
    }
