"""TRL: `GRPOTrainer(reward_funcs=trl_reward, ...)`.

Criteria travel in a column `rubric`, `criteria` or `rubrics` (JSON text, since Arrow adds keys to objects), or
`rubric_id`. A response that
could not be scored, or a row that cannot be read, gets None, which TRL leaves out of the group's baseline. A call that
was not answered raises `PromedicalError`, which ends this rank: set `timeout_s` of the `Grader` far below the process
group's timeout.
"""

import json
import logging
from collections.abc import Callable, Sequence, Sized
from statistics import fmean
from typing import Any, Final

from promedical.messages import CriterionScore, ResponseScores
from promedical_client.integrations.grader import Grader
from promedical_client.integrations.grades import Grade
from promedical_client.integrations.samples import labels_of
from promedical_client.integrations.settings import SETTINGS
from promedical_client.integrations.shared import chosen_grader

LogMetric = Callable[[str, float], None]
"""TRL's `log_metric`: a number of this batch."""
LogExtra = Callable[[str, list[Any]], None]
"""TRL's `log_extra`: a column of the table of completions."""
_OF_TRL: Final = {"completion_ids", "trainer_state", "environments"}
"""What TRL passes beside columns and its two logs, and what is not needed here."""
_LOG: Final = "trl.trainer.grpo_trainer"
_NO_REWARD: Final = "All reward functions returned None"


async def trl_reward(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    *,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    grader: Grader | None = None,
    **given: Any,
) -> list[float | None]:
    """One reward per completion. Bind `grader`, or settings of `shared_grader`, with `functools.partial`.

    Args:
        prompts: Text or messages.
        completions: Text or messages.
        log_metric: TRL's.
        log_extra: TRL's.
        grader: The grader to use instead of the one that the settings and the environment describe.
        given: The columns of the data set, with a value per row; what TRL passes beside them; and settings.

    Raises:
        MisconfiguredError: A setting is not known or cannot be used, or a column of criteria is misspelt.
        PromedicalError: The call was not answered.
    """
    keep_texts_out_of_the_log()
    columns = {name: value for name, value in given.items() if _is_column(name, value)}
    settings = {name: value for name, value in given.items() if name not in columns and name not in _OF_TRL}
    oracle = chosen_grader(grader, settings)
    graded = await oracle.graded(oracle.samples(prompts, completions, labels_of(len(prompts), columns)))
    fingerprint = None if graded.model is None else graded.model.fingerprint
    log_grades(graded.grades, fingerprint, log_metric=log_metric, log_extra=log_extra)
    return rewards(graded.grades, oracle.unscored_reward)


def _is_column(name: str, value: Any) -> bool:
    """Whether it has a value per row; a setting may be several pins."""
    is_pins = name in SETTINGS and isinstance(value, tuple)
    return isinstance(value, Sized) and not isinstance(value, str) and not is_pins


def keep_texts_out_of_the_log() -> None:
    """Make TRL's warning about a completion without a reward quote neither the completion nor its prompt."""
    logging.getLogger(_LOG).addFilter(_without_quotes)


def _without_quotes(record: logging.LogRecord) -> bool:
    if _NO_REWARD in str(record.msg):
        record.msg, record.args = f"{_NO_REWARD} for a completion; oracle/unscored is the share of such completions", ()
    return True


def rewards(grades: Sequence[Grade], unscored_reward: float | None = None) -> list[float | None]:
    """The rewards as TRL takes them: None for a response that was not scored, unless a reward was chosen for it."""
    return [grade.reward if isinstance(grade, ResponseScores) else unscored_reward for grade in grades]


def log_grades(
    grades: Sequence[Grade], fingerprint: str | None, *, log_metric: LogMetric | None, log_extra: LogExtra | None
) -> None:
    """Log means to TRL's metrics and every sample to its table: enough to compute each reward again.

    Args:
        grades: The grades of a batch.
        fingerprint: The fingerprint of the oracle that gave them; None if no oracle answered.
        log_metric: It gets `oracle/unscored`, `oracle/vetoed`, `oracle/proficiency` (S1) and `oracle/excellence` (S2).
        log_extra: It gets `unscored` (an error code), `proficiency`, `excellence`, `violations`, `criteria` (the
            verdicts as JSON) and `fingerprint`: one value per completion, None where it is not known.
    """
    if log_metric is not None:
        _log_means(grades, log_metric)
    if log_extra is not None:
        scores = [grade if isinstance(grade, ResponseScores) else None for grade in grades]
        for name in ("proficiency", "excellence", "violations"):
            log_extra(name, [each and getattr(each, name) for each in scores])
        log_extra("criteria", [each and json.dumps([_verdict(said) for said in each.criteria]) for each in scores])
        log_extra("unscored", [None if isinstance(grade, ResponseScores) else str(grade.code) for grade in grades])
        log_extra("fingerprint", [fingerprint] * len(grades))


def _log_means(grades: Sequence[Grade], log_metric: LogMetric) -> None:
    scored = [grade for grade in grades if isinstance(grade, ResponseScores)]
    log_metric("oracle/unscored", 1 - len(scored) / len(grades))
    if scored:
        log_metric("oracle/vetoed", fmean(scores.vetoed for scores in scored))
        log_metric("oracle/excellence", fmean(scores.excellence for scores in scored))
    proficiency = [scores.proficiency for scores in scored if scores.proficiency is not None]
    if proficiency:
        log_metric("oracle/proficiency", fmean(proficiency))


def _verdict(said: CriterionScore) -> dict[str, Any]:
    return {"id": said.id, "logit": said.logit, "probability": said.probability, "met": said.met}
