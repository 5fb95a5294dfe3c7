"""verifiers: a reward of a task, named in its configuration or called by a method under `@vf.reward`.

Criteria travel in the task's data, as a field `rubric` or `rubric_id`. Rollouts that end at about the same time
are gathered. An exception becomes the rollout's `TaskError`, never a reward.
"""

from typing import Any

from promedical_client.integrations.grader import Grader, scores_of
from promedical_client.integrations.samples import labels_of
from promedical_client.integrations.shared import shared_grader


async def promedical_reward(task: Any, trace: Any, *, grader: Grader | None = None) -> float:
    """The reward of the last answer, given the conversation before it.

    Args:
        task: The task's data.
        trace: The rollout.
        grader: The grader to use instead of the one that the environment describes.

    Raises:
        UnscoredError: The answer was not scored.
        PromedicalError: The call was not answered.
    """
    oracle = grader or shared_grader()
    turns = [_turn(message) for message in trace.messages]
    (label,) = labels_of(1, [getattr(task, "rubric", None)], [getattr(task, "rubric_id", None)])
    grade = await oracle.grade_one(oracle.sample(turns[:-1], turns[-1:], label))
    return scores_of(grade).reward


def _turn(message: Any) -> Any:
    """A message as chat APIs write it; what is no message stays as it is, for the error that names it."""
    if not hasattr(message, "role"):
        return message
    calls = getattr(message, "tool_calls", None)
    turn = {"role": message.role, "content": getattr(message, "content", None)}
    return {**turn, "tool_calls": calls} if calls else turn
