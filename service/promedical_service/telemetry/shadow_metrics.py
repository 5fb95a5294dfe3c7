"""What a candidate says beside the live oracle, in counts."""

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical.messages import ModelRef
from promedical.rubric import Dimension
from promedical.shadow import ComparedResponse, Flip, Outcome, VetoChange

_OUTCOMES: Final = ("sampled", "dropped", "failed", "compared")
_CHANGES: Final = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 3.0)
_BUCKETS: Final = (*(-bound for bound in reversed(_CHANGES)), *_CHANGES)
"""Around 0, so that a quantile of rewards that do not change is 0."""


class ShadowMetrics:
    """Counters on the service's registry. Implements `shadow.ShadowEvents`; every label exists from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, label: str, *more: str) -> Counter:
            return Counter(f"promedical_shadow_{name}", meaning, [label, *more], registry=registry)

        self._requests = counter(
            "requests",
            "Requests for the candidate: sampled, and of those dropped for want of room, failed or compared.",
            "outcome",
        )
        self._failures = counter("failures", "Requests that the candidate did not answer, by error code.", "code")
        self._responses = counter(
            "responses",
            "Responses that both services answered, by whether both, one or neither scored them by the same criteria.",
            "outcome",
        )
        self._verdicts = counter(
            "verdicts",
            "Verdicts of compared responses, by dimension and what the candidate turns them into (none: they agree).",
            "dimension",
            "flip",
        )
        self._vetoes = counter(
            "vetoes", "Compared responses, by what the candidate does to the veto (none: they agree).", "change"
        )
        self._reward = Histogram(
            "promedical_shadow_reward_change",
            "The candidate's reward less the live one, of compared responses.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._candidate = Gauge(
            "promedical_shadow_candidate_info",
            "1 for the oracle that is the candidate; 0 without a name until one has answered.",
            ["name", "fingerprint"],
            registry=registry,
        )
        self._records = counter(
            "records", "Records of compared responses, by whether they were written or dropped.", "fate"
        )
        self._shown: ModelRef | None = None
        self._begin()

    def _begin(self) -> None:
        for counter, values in (
            (self._requests, _OUTCOMES),
            (self._failures, tuple(ERROR_TABLE)),
            (self._responses, tuple(Outcome)),
            (self._vetoes, get_args(VetoChange)),
            (self._records, ("written", "dropped")),
        ):
            for value in values:
                counter.labels(value)
        self._candidate.labels("", "").set(0)
        for dimension in Dimension:
            for flip in get_args(Flip):
                self._verdicts.labels(dimension, flip)

    def requests(self, outcome: str, count: int = 1) -> None:
        self._requests.labels(outcome).inc(count)

    def candidate_failed(self, code: ErrorCode) -> None:
        self._failures.labels(code).inc()

    def candidate_answered(self, model: ModelRef) -> None:
        if model != self._shown:
            self._candidate.clear()
            self._candidate.labels(model.name, model.fingerprint).set(1)
            self._shown = model

    def response_compared(self, response: ComparedResponse) -> None:
        self._responses.labels(response.outcome).inc()
        if response.outcome is not Outcome.COMPARED:
            return
        self._vetoes.labels(response.veto).inc()
        self._reward.observe(response.reward_change)
        for verdict, flip in response.verdicts:
            self._verdicts.labels(verdict.dimension, flip).inc()

    def recorded(self, fate: str, count: int) -> None:
        """Count records; this is a listener for `AuditLog`, in its thread."""
        self._records.labels(fate).inc(count)
