"""Traces of the real service, as a collector gets them: OTLP over HTTP, decoded by OpenTelemetry's own messages."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import grpc
import httpx
import pytest
from edges_kit import client_of, running, score_request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gated import CONTRACT_REQUEST
from promedical.v1 import requests
from promedical.v1 import reward_pb2_grpc as pb_grpc
from promedical_service.command_line import load_settings
from promedical_service.settings import ConfigurationError
from serving import running_server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
NOT_TRACED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
STAGES = ["tokenize", "queue", "engine"]


class Collector:
    """Takes traces over HTTP and keeps them."""

    def __init__(self):
        self.exports: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                unpacked = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                assert self.path == "/v1/traces"
                collector.exports.append(ExportTraceServiceRequest.FromString(unpacked))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def spans(self):
        return [
            span
            for export in self.exports
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def raw(self):
        return b"".join(export.SerializeToString() for export in self.exports)


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


def attributes(span):
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_calls_are_spans_of_the_callers_trace_with_their_stages(collector):
    with running_server("--engine=fake", f"--trace-endpoint={collector.url}") as server:
        answer = httpx.post(f"{server.rest_url}/v1/score", json=CONTRACT_REQUEST, headers=TRACED)
        assert answer.status_code == 200
        with grpc.insecure_channel(server.grpc_target) as channel:
            request = requests.encode_score_request(score_request())
            pb_grpc.RewardServiceStub(channel).ScoreBatch(request, metadata=tuple(TRACED.items()))

    calls = [span for span in collector.spans if span.name == "promedical ScoreBatch"]
    assert [attributes(call)["rpc.system"] for call in calls] == ["rest", "grpc"]
    for call in calls:
        assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
        assert attributes(call)["promedical.code"] == "ok"
        assert attributes(call)["promedical.items"] >= 1
        stages = [span for span in collector.spans if span.parent_span_id == call.span_id]
        assert [span.name for span in stages] == STAGES
        assert {span.trace_id.hex() for span in stages} == {TRACE}
        moments = [moment for span in stages for moment in (span.start_time_unix_nano, span.end_time_unix_nano)]
        slack = 1_000_000  # two clocks
        assert all(later >= earlier - slack for earlier, later in pairwise(moments))
        assert call.start_time_unix_nano - slack <= moments[0]
        assert moments[-1] <= call.end_time_unix_nano + slack
    resource = {
        each.key: each.value.string_value for each in collector.exports[0].resource_spans[0].resource.attributes
    }
    assert resource["service.name"] == "promedical"


def test_traces_hold_no_text(collector):
    with running_server("--engine=fake", f"--trace-endpoint={collector.url}") as server:
        httpx.post(f"{server.rest_url}/v1/score", json=CONTRACT_REQUEST, headers=TRACED | {"tracestate": "x=my secret"})
        httpx.post(f"{server.rest_url}/v1/score", content=b'{"items": [{"prompt": "my secret"')

    assert {attributes(span).get("promedical.code") for span in collector.spans} >= {"ok", "invalid_request"}
    texts = ["my secret"]
    for item in CONTRACT_REQUEST["items"]:
        texts += item["responses"] + [each["text"] for each in (item.get("rubric") or {}).get("criteria", [])]
    assert not [text for text in texts if text and text.encode() in collector.raw]


async def test_failed_calls_are_errors_with_their_code(collector):
    async with running(trace_endpoint=collector.url, loaded=False) as server, client_of("grpc", server) as client:
        await client.ask("ScoreBatch", score_request())

    (span,) = collector.spans
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "unavailable")
    assert not span.events


@pytest.mark.parametrize(("share", "headers", "expected"), [(0, {}, 0), (0, TRACED, 1), (1, NOT_TRACED, 0), (1, {}, 1)])
async def test_caller_decides_for_its_own_trace_and_the_share_for_others(collector, share, headers, expected):
    async with (
        running(trace_endpoint=collector.url, trace_share=share) as server,
        client_of("rest", server) as client,
    ):
        assert (await client.ask("ScoreBatch", score_request(), headers=headers)).code == "ok"

    assert len(collector.spans) == expected


async def test_collector_that_is_away_harms_no_call():
    async with running(trace_endpoint="http://127.0.0.1:9") as server, client_of("rest", server) as client:
        assert (await client.ask("ScoreBatch", score_request(), headers=TRACED)).code == "ok"


async def test_broken_trace_context_counts_as_none(collector):
    async with running(trace_endpoint=collector.url) as server, client_of("rest", server) as client:
        assert (await client.ask("GetModel", headers={"traceparent": "00-zz-1"})).code == "ok"

    assert [span.parent_span_id for span in collector.spans] == [b""]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--trace-endpoint=collector:4317", "--trace-endpoint"),
        ("--trace-share=2", "--trace-share: Input should be less"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(flag, said):
    with pytest.raises(ConfigurationError, match=said):
        load_settings([flag], {})
