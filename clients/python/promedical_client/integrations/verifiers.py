"""verifiers: a reward of a task, named in its configuration or called by a method under `@vf.reward`.

Criteria travel in the task's data, as a field `rubric`, `criteria`, `rubrics` or `rubric_id`. Rollouts that end at
about the same time are gathered. An exception becomes the rollout's `TaskError`, never a reward.
"""

from typing import Any

from promedical_client.integrations.grader import Grader
from promedical_client.integrations.samples import LABEL_COLUMNS, labels_of
from promedical_client.integrations.shared import chosen_grader
from promedical_client.integrations.unscored import reward_or


async def promedical_reward(task: Any, trace: Any, *, grader: Grader | None = None, **settings: Any) -> float:
    """The reward of the last answer, given the conversation before it.

    Args:
        task: The task's data.
        trace: The rollout.
        grader: The grader to use instead of the one that the settings and the environment describe.
        settings: The settings of `shared_grader`, such as `url` and `unscored_reward`.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
        UnscoredError: The answer was not scored.
        PromedicalError: The call was not answered.
    """
    oracle = chosen_grader(grader, settings)
    turns = [_turn(message) for message in trace.messages]
    (label,) = labels_of(1, {name: [getattr(task, name, None)] for name in LABEL_COLUMNS})
    grade = await oracle.grade_one(oracle.sample(turns[:-1], turns[-1:], label))
    return reward_or(grade, oracle.unscored_reward)


def _turn(message: Any) -> Any:
    """A message as chat APIs write it; what is no message stays as it is, for the error that names it."""
    if not hasattr(message, "role"):
        return message
    calls = getattr(message, "tool_calls", None)
    turn = {"role": message.role, "content": getattr(message, "content", None)}
    return {**turn, "tool_calls": calls} if calls else turn
