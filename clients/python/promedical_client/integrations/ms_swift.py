"""ms-swift: a plugin file with `orms["promedical"] = PromedicalORM`, then `--reward_funcs promedical`.

ms-swift runs each step's rewards in an event loop of its own, so connections are closed with the step. Criteria
travel in a column `rubric` or `rubric_id`. What could not be scored is None, which ms-swift leaves out of the
group's baseline.
"""

from collections.abc import Sequence
from typing import Any

from promedical.messages import ResponseScores
from promedical_client.integrations.grader import Grader, labels_of, shared_grader


class PromedicalORM:
    """An asynchronous reward function; `swift.rewards.AsyncORM` by its shape, which is all that ms-swift asks."""

    def __init__(self, args: Any = None, *, grader: Grader | None = None, **_: Any) -> None:
        self.args = args
        self._grader = grader

    async def __call__(
        self,
        completions: Sequence[str],
        messages: Sequence[Sequence[Any]],
        rubric: Sequence[Any] | None = None,
        rubric_id: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """One reward per completion; `messages` are conversations that end with it.

        Raises:
            PromedicalError: The call was not answered.
        """
        oracle = self._grader or shared_grader()
        labels = labels_of(len(completions), rubric, rubric_id)
        exchanges = [
            oracle.exchange(conversation[:-1], completion, label, path=f"completions[{index}]")
            for index, (completion, conversation, label) in enumerate(zip(completions, messages, labels, strict=True))
        ]
        grades = await oracle.closing(oracle.grade(exchanges))
        return [grade.reward if isinstance(grade, ResponseScores) else None for grade in grades]
