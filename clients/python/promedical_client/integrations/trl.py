"""TRL: `GRPOTrainer(reward_funcs=trl_reward, ...)`.

Criteria travel in a column `rubric` (JSON text; Arrow would fill the keys of objects) or `rubric_id`. What could
not be scored is None, which TRL leaves out of the group's baseline. A call that was not answered raises
`PromedicalError`, which ends this rank: set `timeout_s` of the `Grader` far below the process group's timeout.
"""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from promedical.messages import ResponseScores
from promedical_client.integrations.grader import Grade, Grader, labels_of, shared_grader


async def trl_reward(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    *,
    rubric: Sequence[Any] | None = None,
    rubric_id: Sequence[Any] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    grader: Grader | None = None,
    **_: Any,
) -> list[float | None]:
    """One reward per completion. Bind `grader` with `functools.partial` to use one of your own."""
    oracle = grader or shared_grader()
    labels = labels_of(len(prompts), rubric, rubric_id)
    grades = await oracle.grade(
        [
            oracle.exchange(prompt, completion, label, path=f"completions[{index}]")
            for index, (prompt, completion, label) in enumerate(zip(prompts, completions, labels, strict=True))
        ]
    )
    if log_metric is not None:
        _log(grades, log_metric)
    return [grade.reward if isinstance(grade, ResponseScores) else None for grade in grades]


def _log(grades: Sequence[Grade], log_metric: Callable[[str, float], None]) -> None:
    scored = [grade for grade in grades if isinstance(grade, ResponseScores)]
    log_metric("oracle/unscored", 1 - len(scored) / len(grades))
    if scored:
        log_metric("oracle/vetoed", fmean(scores.vetoed for scores in scored))
        log_metric("oracle/excellence", fmean(scores.excellence for scores in scored))
        log_metric("oracle/proficiency", fmean(scores.proficiency or 0.0 for scores in scored))
