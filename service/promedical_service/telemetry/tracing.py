"""Traces by OpenTelemetry: one span per call, in the caller's trace if it sent one, and one per stage of scoring.

Spans hold ids, codes, counts and times, never text. Without a collector, nothing is recorded or sent.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import promedical
from promedical_service.types import Stage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_HEADERS: Final = ("traceparent",)
"""`tracestate` is left out: it is free text, which the library logs if it is malformed and exports otherwise."""
_EXPORT_TIMEOUT_S: Final = 5
_NANOSECONDS: Final = 1_000_000_000


class Tracing:
    """Makes the spans of one process.

    Args:
        endpoint: The collector that takes OTLP over HTTP, such as "http://collector:4318"; None for no traces. The
            usual OTEL_ variables set the rest, such as headers and attributes of the resource.
        share: The share of calls that are traced, 0 to 1; a caller that sends a trace decides for itself.
    """

    def __init__(self, endpoint: str | None, share: float = 1.0) -> None:
        self._provider = None if endpoint is None else _provider(endpoint, share)
        self._tracer = (self._provider or NoOpTracerProvider()).get_tracer("promedical", promedical.__version__)

    @contextmanager
    def call(self, transport: str, method: str, parent: Mapping[str, str]) -> Iterator[Span]:
        """The span of a call while it is answered; it is the current span.

        Args:
            transport: The transport of the call.
            method: The method that is called.
            parent: What `trace_headers` found.
        """
        context = _PROPAGATOR.extract(parent)
        attributes = {"rpc.system": transport, "rpc.method": method}
        with self._tracer.start_as_current_span(
            f"promedical {method}",
            context,
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    def stage_finished(self, stage: Stage, seconds: float, ago_s: float) -> None:
        """Record a stage of the current call that ended `ago_s` seconds ago."""
        end = time.time_ns() - round(ago_s * _NANOSECONDS)
        span = self._tracer.start_span(stage, start_time=end - round(seconds * _NANOSECONDS))
        span.end(end)

    def close(self) -> None:
        """Send what is left. This blocks, for half a minute if the collector is away."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The trace that a request belongs to, from its headers (names in lower case); a malformed one counts as none."""
    return {name: headers[name] for name in _HEADERS if name in headers}


def finish(span: Span, *, code: str, ok: bool, request_id: str, caller: str, items: int | None) -> None:
    """What is known about a call at its end."""
    span.set_attributes({"promedical.code": code, "promedical.request_id": request_id, "promedical.key": caller})
    if items is not None:
        span.set_attribute("promedical.items", items)
    if not ok:
        span.set_status(Status(StatusCode.ERROR, code))


def _provider(endpoint: str, share: float) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only if used
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    resource = Resource.create({"service.name": "promedical", "service.version": promedical.__version__})
    sampler = ParentBased(TraceIdRatioBased(share))
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
