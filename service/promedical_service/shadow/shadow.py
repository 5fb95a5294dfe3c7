"""The shadow: which requests the candidate scores too, how they get there, and what is told of the comparison.

Nothing here makes a caller wait. `offer` is called in the event loop after the answer, and puts the request into a
bounded queue or drops it. Threads ask the candidate, compare, count and record.
"""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final, Literal, Protocol

from promedical.errors import ErrorCode
from promedical.hashes import prompt_hash
from promedical.messages import ItemOutcome, ModelRef, ScoreRequest
from promedical.shadow import REQUEST_ID, ComparedResponse, compared, question, sampled, shadow_id
from promedical.shadow_records import Comparison
from promedical_service.audit.audit_log import AuditLog
from promedical_service.audit.records import ids_of
from promedical_service.shadow.candidate import Candidate, CandidateError
from promedical_service.shadow.recorded import RecordedComparison
from promedical_service.shadow.waiting import Answered, Waiting
from promedical_service.telemetry.logs import describe_error, get_logger
from promedical_service.types import Caller

AT_ONCE: Final = 4
"""Calls to the candidate at the same time. Where it hangs, this many wait for its deadline and the rest is dropped."""

RequestOutcome = Literal["sampled", "dropped", "failed", "compared"]


class ShadowEvents(Protocol):
    """Hooks that `telemetry.shadow_metrics` implements. None may raise or block; threads call them."""

    def requests(self, outcome: RequestOutcome, count: int = 1) -> None:
        """So many requests were sampled, or ended in one of the other ways."""

    def candidate_failed(self, code: ErrorCode) -> None:
        """The candidate gave no answer to a request."""

    def candidate_answered(self, model: ModelRef) -> None:
        """This oracle is the candidate now."""

    def response_compared(self, response: ComparedResponse) -> None:
        """Both answers to one response are there."""


class Shadow:
    """Scores a share of the requests a second time.

    Args:
        candidate: Who is asked.
        events: It is told what happens.
        share: The share of requests.
        most_bytes: How much may wait.
        under_load: Whether this service itself is short of room; then nothing may wait here.
        log: Where comparisons are recorded; None for nowhere.
        salt: The secret of the hashes in records; by default one of this process.
    """

    def __init__(
        self,
        candidate: Candidate,
        events: ShadowEvents,
        *,
        share: float,
        most_bytes: int,
        under_load: Callable[[], bool],
        log: AuditLog | None = None,
        salt: bytes | None = None,
    ) -> None:
        self._candidate = candidate
        self._events = events
        self._share = share
        self._under_load = under_load
        self._records = log
        self._salt = salt or secrets.token_bytes(32)
        self._waiting = Waiting(most_bytes)
        self._failing: ErrorCode | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._log = get_logger("promedical.shadow")
        self._threads = [threading.Thread(target=self._run, name="shadow", daemon=True) for _ in range(AT_ONCE)]
        for thread in self._threads:
            thread.start()

    def offer(self, request: ScoreRequest, outcomes: tuple[ItemOutcome, ...], model: ModelRef, caller: Caller) -> None:
        """Take an answered request if it is in the sample and there is room; this neither waits nor fails."""
        if len(self._waiting) and self._under_load():
            self._events.requests("dropped", self._waiting.shed())
        if _is_shadow(caller) or not sampled(request, self._share):
            return
        self._events.requests("sampled")
        answered = Answered(
            request=request, outcomes=outcomes, model=model, caller=caller.key, request_ids=caller.request_ids
        )
        if self._under_load() or not self._waiting.put(answered):
            self._events.requests("dropped")

    def close(self, timeout_s: float) -> None:
        """Drop what waits, cancel what is in flight, and write the records that are there, if the time allows it."""
        ends = time.monotonic() + timeout_s
        self._closed = True
        self._events.requests("dropped", self._waiting.close())
        self._candidate.close()
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        if self._records is not None:
            self._records.close(max(0.0, ends - time.monotonic()))

    def _run(self) -> None:
        while (answered := self._waiting.get()) is not None:
            try:
                self._compare(answered)
            except CandidateError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it is
                self._failed(CandidateError(ErrorCode.INTERNAL), **describe_error(error))

    def _compare(self, answered: Answered) -> None:
        asked = question(answered.request)
        answer = self._candidate.score(asked, shadow_id(next(iter(answered.request_ids), "")))
        found = compared(asked.items, answered.outcomes, answer.items)
        self._failing = None
        self._events.candidate_answered(answer.model)
        for response in found:
            self._events.response_compared(response)
        if self._records is not None:
            comparison = Comparison(
                id=secrets.token_hex(8),
                at=time.time(),
                caller=answered.caller,
                request_ids=ids_of(answered.request_ids, answered.count),
                items=tuple(item.id for item in asked.items),
                prompt_hashes=tuple(prompt_hash(item, self._salt) for item in asked.items),
                live=answered.model,
                candidate=answer.model,
                responses=found,
            )
            self._records.put(RecordedComparison(comparison))
        self._events.requests("compared")

    def _failed(self, error: CandidateError, **detail: object) -> None:
        """Count it; the log has one line until the reason changes or an answer comes."""
        self._events.candidate_failed(error.code)
        self._events.requests("failed")
        with self._lock:
            is_news, self._failing = self._failing != error.code, error.code
        if is_news and not self._closed:
            self._log.warning("the candidate does not answer", code=str(error.code), reason=error.reason, **detail)


def _is_shadow(caller: Caller) -> bool:
    return any(each.startswith(REQUEST_ID) for each in caller.request_ids)
