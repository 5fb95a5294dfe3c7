"""ms-swift: a plugin file with `orms["promedical"] = PromedicalORM`, then `--reward_funcs promedical`.

ms-swift runs each step's rewards in an event loop of its own, so connections are closed with the step. Criteria
travel in a column `rubric`, `criteria`, `rubrics` or `rubric_id`.

ms-swift cannot leave a sample out: it counts None as 0, which may be the best reward of a group. A response that could
not be scored gets the mean of the scored ones of its group in the same process, so that the baseline stays the same.
If none of them was scored, the reward function raises and the step fails, unless you choose a reward
(`unscored_reward`).
"""

from collections.abc import Sequence
from typing import Any

from promedical_client.integrations.grader import Grader
from promedical_client.integrations.samples import labels_of
from promedical_client.integrations.shared import chosen_grader
from promedical_client.integrations.unscored import chosen_reward, group_means, reward_or


class PromedicalORM:
    """An asynchronous reward function with the shape of `swift.rewards.AsyncORM`, which is all that ms-swift needs.

    Args:
        args: The arguments that ms-swift passes to every reward function.
        grader: The grader to use instead of the one that the settings and the environment describe.
        unscored_reward: What a response gets if nothing of its group was scored; None to raise.
        settings: The settings of `shared_grader`, such as `url` and `proficiency_mode`.

    Raises:
        MisconfiguredError: A setting is not known, or cannot be used.
    """

    def __init__(
        self, args: Any = None, *, grader: Grader | None = None, unscored_reward: float | None = None, **settings: Any
    ) -> None:
        self.args = args
        self._grader = chosen_grader(grader, settings)
        self._unscored_reward = chosen_reward(unscored_reward, self._grader)

    async def __call__(
        self,
        completions: Sequence[str],
        messages: Sequence[Sequence[Any]],
        **columns: Any,
    ) -> list[float]:
        """One reward per completion; `messages` are conversations that end with it, `columns` those of the data.

        Raises:
            MisconfiguredError: A column of criteria is misspelt.
            UnscoredError: Nothing of a group was scored.
            PromedicalError: The call was not answered.
        """
        oracle = self._grader
        prompts = [_before_the_answer(conversation) for conversation in messages]
        labels = labels_of(len(completions), columns)
        grades = await oracle.closing(oracle.grade(oracle.samples(prompts, completions, labels)))
        groups = [repr(question) for question in zip(prompts, labels, strict=True)]
        means = group_means(groups, grades)
        return [
            reward_or(grade, means.get(group, self._unscored_reward))
            for group, grade in zip(groups, grades, strict=True)
        ]


def _before_the_answer(conversation: Any) -> Any:
    """The prompt; what is no conversation stays as it is, for the error that names it."""
    return conversation[:-1] if isinstance(conversation, list | tuple) else conversation
