"""What the service counts: every metric is declared once, in one class, on a registry of its own.

Every label combination exists from the start, so that rates and alerts work before the first request.
Labels are words of the contract; nothing that a caller wrote becomes a label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from promedical.errors import ERROR_TABLE, ITEM_ERROR_CODES, ErrorCode
from promedical.messages import ModelRef, Priority
from promedical.rubric import Dimension
from promedical.rubric_files import NamedRubric
from promedical_service.health import State
from promedical_service.telemetry.file_metrics import FileMetrics
from promedical_service.telemetry.key_metrics import KeyMetrics
from promedical_service.telemetry.logs import describe_error, dropped_lines, get_logger
from promedical_service.telemetry.shadow_metrics import ShadowMetrics
from promedical_service.types import OK, BatchReport, Lane, Method, Stage, Transport

_REQUEST_OUTCOMES: Final = (OK, *ERROR_TABLE)
_NOT_REFUSED: Final = frozenset({OK, ErrorCode.DEADLINE, ErrorCode.CANCELLED, ErrorCode.INTERNAL})
_ITEM_OUTCOMES: Final = (OK, *sorted(ITEM_ERROR_CODES))
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_TOKENS: Final = tuple(float(2**power) for power in range(6, 17))
_POWERS: Final = tuple(float(2**power) for power in range(8))
_SHORT_HASH: Final = 12
_TENTHS: Final = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """All metrics of one process. Implements `types.ScoringEvents`; the edges report requests to it.

    Attributes:
        files: What was read of files that change while the service runs.
        keys: What the owners of API keys use.
        shadow: What a candidate says beside this oracle.

    Args:
        on_stage: It is called too when a request leaves a stage, with the stage, the seconds in it, and the seconds
            since then; for traces.
    """

    content_type: Final = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self, on_stage: Callable[[Stage, float, float], None] = lambda *_: None) -> None:
        self._on_stage = on_stage
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._log = get_logger("promedical.engine")
        self.registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.GCCollector(registry=self.registry)
        self.registry.register(_DroppedLines())
        self.files = FileMetrics(self.registry)
        self.keys = KeyMetrics(self.registry)
        self.shadow = ShadowMetrics(self.registry)
        self._declare_requests()
        self._declare_rounds()
        self._declare_queue()
        self._declare_engine()
        self._declare_scores()

    def _counter(self, name: str, meaning: str, labels: str = "") -> Counter:
        return Counter(name, meaning, labels.split(), registry=self.registry)

    def _gauge(self, name: str, meaning: str, labels: str = "") -> Gauge:
        return Gauge(name, meaning, labels.split(), registry=self.registry)

    def _histogram(self, name: str, meaning: str, labels: str = "", *, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, meaning, labels.split(), buckets=buckets, registry=self.registry)

    def _declare_requests(self) -> None:
        self._requests = self._counter(
            "promedical_requests",
            "Requests answered, by transport, method and error code (ok for none).",
            "transport method code",
        )
        self._request_seconds = self._histogram(
            "promedical_request_seconds",
            "Time from a request's arrival to its answer.",
            "transport method",
            buckets=_SECONDS,
        )
        self._scoring_seconds = self._histogram(
            "promedical_scoring_seconds",
            "Time from the arrival of a scoring request to its answer, by lane; without requests that were refused.",
            "lane",
            buckets=_SECONDS,
        )
        self._in_flight = self._gauge(
            "promedical_requests_in_flight", "Requests that arrived and whose answer has not left yet."
        )
        self._ready = self._gauge("promedical_ready", "1 while new requests are taken.")
        self._model_info = self._gauge(
            "promedical_model_info",
            "Always 1; the labels say which oracle answers.",
            "name revision fingerprint engine dtype",
        )
        self._rubric_info = self._gauge(
            "promedical_rubric_info",
            "Always 1; the labels say which rubrics can be named, and the start of each one's hash.",
            "name version sha256",
        )
        for transport in get_args(Transport):
            for method in get_args(Method):
                self._request_seconds.labels(transport, method)
                for code in _REQUEST_OUTCOMES:
                    self._requests.labels(transport, method, code)
        for lane in get_args(Priority):
            self._scoring_seconds.labels(lane)
        self._audit_records = self._counter(
            "promedical_audit_records", "Audit records, by whether they were written or dropped.", "fate"
        )
        for fate in ("written", "dropped"):
            self._audit_records.labels(fate)

    def _declare_rounds(self) -> None:
        self._rounds = self._histogram(
            "promedical_gathered_responses",
            "Responses per item that was put together from drop-in requests with one response each.",
            buckets=_POWERS,
        )

    def _declare_queue(self) -> None:
        self._items = self._counter(
            "promedical_items", "Items answered, by lane and outcome (ok or an error code).", "lane outcome"
        )
        self._queue_items = self._gauge("promedical_queue_items", "Items that wait for the engine.", "lane")
        self._queue_tokens = self._gauge("promedical_queue_tokens", "Unique tokens that wait for the engine.", "lane")
        self._stage_seconds = self._histogram(
            "promedical_stage_seconds",
            "Time that requests spent in each stage, by lane.",
            "stage lane",
            buckets=_SECONDS,
        )
        for lane in get_args(Priority):
            self._queue_items.labels(lane)
            self._queue_tokens.labels(lane)
            for outcome in _ITEM_OUTCOMES:
                self._items.labels(lane, outcome)
            for stage in get_args(Stage):
                self._stage_seconds.labels(stage, lane)

    def _declare_engine(self) -> None:
        self._batch_tokens = self._histogram(
            "promedical_batch_unique_tokens", "Unique tokens in one pass of the engine.", buckets=_TOKENS
        )
        self._tokens_flat = self._counter(
            "promedical_tokens_flat", "Tokens that a forward pass per criterion would have computed."
        )
        self._tokens_computed = self._counter(
            "promedical_tokens_computed",
            "Tokens of the scored trees, with shared tokens counted once; vLLM computes some more.",
        )
        self._engine_busy = self._counter("promedical_engine_busy_seconds", "Time that the engine computed.")
        self._engine_failures = self._counter(
            "promedical_engine_failures", "Batches on which the engine raised an error."
        )
        self._prefix_tokens = self._counter(
            "promedical_prefix_tokens",
            "Tokens of the paths sent to vLLM, by whether its prefix cache held them (vllm engine only).",
            "found",
        )
        for found in ("yes", "no"):
            self._prefix_tokens.labels(found)

    def _declare_scores(self) -> None:
        self._criteria = self._counter("promedical_criteria_scored", "Criteria judged, by dimension.", "dimension")
        self._probability = self._histogram(
            "promedical_criterion_probability",
            "Probability that a criterion as worded is met, by dimension.",
            "dimension",
            buckets=_TENTHS,
        )
        self._safety_checked = self._counter(
            "promedical_responses_safety_checked", "Responses scored against at least one safety criterion."
        )
        self._vetoed = self._counter("promedical_responses_vetoed", "Responses that violate a safety criterion.")
        self._unscored = self._counter(
            "promedical_responses_unscored", "Responses that got no scores, by error code.", "code"
        )
        for code in sorted(ITEM_ERROR_CODES - {ErrorCode.INVALID_ITEM}):
            self._unscored.labels(code)
        for dimension in Dimension:
            self._criteria.labels(dimension)
            self._probability.labels(dimension)

    def request_started(self) -> None:
        self._in_flight.inc()

    def request_finished(self, transport: Transport, method: Method, lane: Lane, code: str, seconds: float) -> None:
        """A request was answered: "ok" or an error code."""
        self._requests.labels(transport, method, code).inc()
        self._request_seconds.labels(transport, method).observe(seconds)
        if lane and code in _NOT_REFUSED:
            self._scoring_seconds.labels(lane).observe(seconds)

    def keys_read(self, ends: Mapping[str, Sequence[float]], ok: bool) -> None:  # noqa: FBT001 - a listener
        """Show the names of keys, and whether all of their file could be read; this is a listener for `KeyRing`."""
        self.files.keys_read(ok=ok)
        self.keys.names_read(ends)

    def key_answered(self, key: str, code: str) -> None:
        self.keys.answered(key, code)

    def key_spent(self, key: str, tokens: int) -> None:
        self.keys.spent(key, tokens)

    def request_left(self) -> None:
        """The answer to a request has left, or nobody wants it any more."""
        self._in_flight.dec()

    def round_closed(self, responses: int) -> None:
        """Count one item that was put together from drop-in requests with one response each."""
        self._rounds.observe(responses)

    def item_finished(self, lane: Priority, outcome: str) -> None:
        self._items.labels(lane, outcome).inc()

    def response_scored(self, *, vetoed: bool, safety_checked: bool) -> None:
        self._safety_checked.inc(safety_checked)
        self._vetoed.inc(vetoed)

    def response_failed(self, code: ErrorCode) -> None:
        self._unscored.labels(code).inc()

    def criterion_scored(self, dimension: Dimension, probability: float) -> None:
        self._criteria.labels(dimension).inc()
        self._probability.labels(dimension).observe(probability)

    def stage_finished(self, stage: Stage, lane: Priority, seconds: float, ago_s: float) -> None:
        self._stage_seconds.labels(stage, lane).observe(seconds)
        self._on_stage(stage, seconds, ago_s)

    def queue_changed(self, lane: Priority, jobs: int, tokens: int) -> None:
        self._queue_items.labels(lane).set(jobs)
        self._queue_tokens.labels(lane).set(tokens)

    def engine_failed(self, error: BaseException) -> None:
        self._engine_failures.inc()
        self._log.error("the engine failed on a batch", **describe_error(error))

    def batch_finished(self, report: BatchReport) -> None:
        self._batch_tokens.observe(report.tokens_computed)
        self._tokens_flat.inc(report.tokens_flat)
        self._tokens_computed.inc(report.tokens_computed)
        self._engine_busy.inc(report.engine_s)

    def prefixes_found(self, cached: int, asked: int) -> None:
        """Count the tokens that a batch of the vllm engine asked for, and how many of them the cache had."""
        self._prefix_tokens.labels("yes").inc(cached)
        self._prefix_tokens.labels("no").inc(asked - cached)

    def state_changed(self, state: State) -> None:
        """Note the service's new state; this is a listener for `Health`."""
        self._ready.set(state is State.READY)

    def model_loaded(self, model: ModelRef) -> None:
        """Show the oracle that answers from now on."""
        self._model_info.clear()
        self._model_info.labels(model.name, model.revision, model.fingerprint, model.engine, model.dtype).set(1)

    def rubrics_loaded(self, rubrics: Iterable[NamedRubric]) -> None:
        """Show the rubrics that can be named from now on."""
        self._rubric_info.clear()
        for each in rubrics:
            short = each.sha256[:_SHORT_HASH]
            self._rubric_info.labels(each.rubric.id, each.rubric.version, short).set(1)

    def rubrics_read(self, rubrics: Iterable[NamedRubric] | None) -> None:
        """Show the rubrics of `RubricFolder`, which tells of changed files that cannot be used by None."""
        self.files.rubrics_read(ok=rubrics is not None)
        if rubrics is not None:
            self.rubrics_loaded(rubrics)

    def audited(self, fate: str, count: int) -> None:
        """Count audit records that were written or dropped; this is a listener for `AuditLog`, in its thread."""
        self._audit_records.labels(fate).inc(count)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


class _DroppedLines(Collector):
    """Read where they are counted: whoever logs knows no metrics."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The one counter."""
        meaning = "Log lines that were dropped because nobody read the log fast enough."
        yield CounterMetricFamily("promedical_log_lines_dropped", meaning, value=dropped_lines())
