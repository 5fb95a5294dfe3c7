"""The reward that TRL calls: it sends a batch to the oracle as one request, in which each group is one item.

A failure is never a number and never raises: an exception would end this process and leave the others waiting. A
response that was not scored gets None, and `Failures` counts it for the vote of all processes.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from promedical.errors import ErrorCode
from promedical.messages import ErrorInfo, ResponseScores
from promedical_client import PromedicalError
from promedical_client.integrations import Grader
from promedical_client.integrations.grades import Graded
from promedical_client.integrations.trl import LogExtra, LogMetric, log_grades, rewards

Reward = Callable[..., Awaitable[list[float | None]]]

_HOPELESS: Final = {
    ErrorCode.REVISION_MISMATCH,
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.FORBIDDEN,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.NOT_FOUND,
}
"""Errors with which the next call would end too."""


@dataclass(slots=True)
class Failures:
    """What this process asked since the last vote.

    Attributes:
        asked: Responses that were sent.
        codes: Error codes of the responses without a score.
        hopeless: An error that no later call would change; None if there is none.
    """

    asked: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    hopeless: str | None = None

    def note(self, codes: Sequence[str | None]) -> None:
        """Count a batch, given an error code per response, or None if it has a score."""
        self.asked += len(codes)
        self.codes.update(code for code in codes if code is not None)

    def reset(self) -> None:
        """Start to count again from zero."""
        self.asked, self.codes, self.hopeless = 0, Counter(), None


def oracle_reward(grader: Grader, failures: Failures) -> Reward:
    """The reward function; TRL names its metrics and its column after it."""

    async def oracle(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        rubric: Sequence[str],
        prompt_id: Sequence[str],
        log_metric: LogMetric,
        log_extra: LogExtra,
        **_: Any,
    ) -> list[float | None]:
        began = time.perf_counter()
        try:
            graded = await grader.graded(grader.samples(prompts, completions, rubric))
        except PromedicalError as error:
            graded = Graded(grades=(ErrorInfo(code=error.code, message=error.message),) * len(prompts))
            if error.code in _HOPELESS:
                failures.hopeless = str(error)
        grades = graded.grades
        log_extra("prompt_id", list(prompt_id))
        log_extra("rubric", list(rubric))
        fingerprint = None if graded.model is None else graded.model.fingerprint
        log_grades(grades, fingerprint, log_metric=log_metric, log_extra=log_extra)
        log_metric("oracle/seconds", time.perf_counter() - began)
        log_metric("oracle/service_seconds", _service_seconds(graded))
        failures.note([None if isinstance(grade, ResponseScores) else str(grade.code) for grade in grades])
        return rewards(grades)

    return oracle


def _service_seconds(graded: Graded) -> float:
    """What the service says it needed; the rest of a call is the network and the client."""
    if graded.timings is None:
        return 0.0
    return (graded.timings.queue + graded.timings.tokenize + graded.timings.engine) / 1e3
