"""slime: `--custom-rm-path promedical_client.integrations.slime.custom_rm`, or `.group_rm` with `--group-rm`.

Criteria travel in the label. With `--reward-key`, rewards are objects from which slime picks one number. If a sample
cannot be scored, `custom_rm` ends the rollout with `UnscoredError`; `group_rm` takes the sample out of the loss with
`remove_sample` and gives it the mean of its group, so that the group's baseline stays the same.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from promedical.messages import ResponseScores
from promedical_client.integrations.grader import Grade, Grader, UnscoredError, scores_of
from promedical_client.integrations.shared import shared_grader
from promedical_client.integrations.unscored import group_means

Reward = float | dict[str, Any]


async def custom_rm(args: Any, sample: Any, *, grader: Grader | None = None, **_: Any) -> Reward:
    """The reward of one sample; calls at the same time are gathered.

    Raises:
        UnscoredError: The response was not scored.
        PromedicalError: The call was not answered.
    """
    oracle = grader or shared_grader()
    grade = await oracle.grade_one(oracle.sample(sample.prompt, sample.response, sample.label))
    return _reward(args, scores_of(grade))


async def group_rm(args: Any, samples: Sequence[Any], *, grader: Grader | None = None, **_: Any) -> list[Reward]:
    """The rewards of samples, in order.

    Raises:
        UnscoredError: No response of a group was scored.
        PromedicalError: The call was not answered.
    """
    oracle = grader or shared_grader()
    read = [
        oracle.sample(sample.prompt, sample.response, sample.label, path=f"samples[{index}]")
        for index, sample in enumerate(samples)
    ]
    grades = await oracle.grade(read)
    means = group_means([sample.group_index for sample in samples], grades)
    return [_kept_or_removed(args, *pair, means) for pair in zip(samples, grades, strict=True)]


def _kept_or_removed(args: Any, sample: Any, grade: Grade, means: Mapping[Hashable, float]) -> Reward:
    if isinstance(grade, ResponseScores):
        return _reward(args, grade)
    if sample.group_index not in means:
        raise UnscoredError(grade)
    sample.remove_sample = True
    mean = means[sample.group_index]
    return {"reward": mean, "scored": False} if getattr(args, "reward_key", None) else mean


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
