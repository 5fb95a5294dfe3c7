"""No patient text leaves: a canary in every place of a request, every way to fail, on both transports."""

import asyncio
import io
import json
import logging

import grpc
import httpx
import pytest
import structlog
from edges_kit import client_of, item, running, score_request, until

from promedical import messages as m
from promedical.errors import ERROR_TABLE
from promedical.rubric import Dimension
from promedical.v1 import requests
from promedical_service.errors import ServiceError
from promedical_service.telemetry.logs import configure_logs, log_loop_errors

CANARY = "zebra-patient-4711"
CANARY_ITEM = item(
    id=CANARY,
    prompt=(m.Message(role="user", content=CANARY),),
    responses=(CANARY,),
    rubric=m.RubricSpec(criteria=(m.CriterionSpec(id=CANARY, text=CANARY, dimension=Dimension.SAFETY),)),
)
REQUEST = m.ScoreRequest(items=(CANARY_ITEM,), expected_fingerprint=CANARY)

FAILURES = [
    *(ServiceError(code, "Do this instead", retry_after_s=1.0) for code in ERROR_TABLE),
    RuntimeError(CANARY),
    KeyError(CANARY),
    UnicodeEncodeError("utf-8", CANARY, 0, 1, CANARY),
    ExceptionGroup(CANARY, [ValueError(CANARY)]),
]

JSON_BODIES = [
    f'{{"{CANARY}": 1}}',
    f'{{"items": [{{"id": "a", "prompt": "p", "responses": ["r"], "{CANARY}": "x"}}]}}',
    f'{{"items": [{{"{CANARY}": {{"{CANARY}": 1}}}}]}}',
    f'{{"items": "{CANARY}"}}',
    f'{{"items": [{{"id": {{"{CANARY}": 1}}, "prompt": ["{CANARY}"], "responses": {{"{CANARY}": 2}}}}]}}',
    f'{{"items": [], "priority": "{CANARY}", "truncation": "{CANARY}"}}',
    f'{{"items": [{{"id": "a", "prompt": [{{"role": "{CANARY}", "content": "c", "{CANARY}": 1}}]}}]}}',
    f'{{"items": [{{"rubric": {{"criteria": [{{"dimension": "{CANARY}", "weight": "{CANARY}"}}]}}}}]}}',
    f'{{"items": [], "items": [], "reward_weights": {{"excellence_cap": "{CANARY}"}}}}',
    f'{{"items": [], "{CANARY}": NaN, "{CANARY}": 2}}',
    f'{{"items": {CANARY}}}',
    f'{{"items": "{CANARY}',
    f'"{CANARY}"',
]


@pytest.fixture
def json_logs():
    """Logs as they leave in production."""
    stream, root = io.StringIO(), logging.getLogger()
    level = root.level
    configure_logs(level="debug", log_format="json", stream=stream)
    ours = list(root.handlers)
    yield stream.getvalue
    root.handlers = [handler for handler in root.handlers if handler not in ours]
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_no_failure_of_the_oracle_quotes_the_request(transport, json_logs):
    seen = []
    async with running() as server, client_of(transport, server) as client:
        for server.oracle.error in FAILURES:
            for rpc, request in (("ScoreBatch", REQUEST), ("GetRubric", CANARY), ("GetModel", None)):
                seen.append((await client.ask(rpc, request)).raw)
        server.oracle.error = None
        seen.append((await client.ask("GetRubric", CANARY)).raw)
        insane = await client.ask("ScoreBatch", REQUEST, headers={"x-request-id": f"{{{CANARY}}}"})
        assert insane.request_id.isalnum()
        seen.append(server.metrics.exposition().decode())
    logs = json_logs()
    assert CANARY not in "".join(seen)
    assert CANARY not in logs
    assert sum(line["event"] == "unexpected error" for line in json_lines(logs)) == 12


async def test_no_refused_json_is_quoted(json_logs):
    seen = []
    async with running(max_request_bytes=4096) as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        for body in [*JSON_BODIES, f'"{CANARY * 1000}"']:
            for path in ("/v1/score", "/v1/rank"):
                answer = await client.post(path, content=body, headers={"content-type": "application/json"})
                assert answer.status_code in (413, 422)
                seen.append(f"{answer.headers} {answer.text}")
        for path in (f"/{CANARY}", f"/v1/rubrics/{CANARY}", f"/v1/score?{CANARY}={CANARY}"):
            answer = await client.get(path, headers={"x-request-timeout-ms": CANARY, "content-type": CANARY})
            seen.append(f"{answer.headers} {answer.text}")
        headers = {"x-request-timeout-ms": CANARY, "content-type": "application/json"}
        answer = await client.post("/v1/score", content=JSON_BODIES[0], headers=headers)
        assert answer.status_code == 422
        seen.append(answer.text + server.metrics.exposition().decode())
    assert CANARY not in "".join(seen)
    assert CANARY not in json_logs()


async def test_no_refused_protobuf_is_quoted(json_logs):
    wire = requests.encode_score_request(REQUEST).SerializeToString()
    unknown = requests.encode_score_request(REQUEST)
    unknown.items[0].rubric.criteria[0].dimension = 9
    seen = []
    async with running(max_request_bytes=4096) as server, grpc.aio.insecure_channel(server.grpc_target) as channel:
        score = channel.unary_unary("/promedical.v1.RewardService/ScoreBatch")  # type: ignore[call-arg]  # bytes
        for body in (wire[:-5], CANARY.encode(), wire + b"\xff", unknown.SerializeToString(), wire * 40):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await score(body)
            seen.append(f"{caught.value.details()} {caught.value.trailing_metadata()}")
        seen.append(server.metrics.exposition().decode())
    assert CANARY not in "".join(seen)
    assert CANARY not in json_logs()


@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_cancelled_and_late_calls_are_not_quoted(transport, json_logs):
    async with running(drain_s=0.1) as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        asking = asyncio.create_task(client.ask("ScoreBatch", REQUEST))
        await until(lambda: server.oracle.started == 1)
        asking.cancel()
        late = await client.ask("ScoreBatch", REQUEST, timeout_s=0.1)
        await until(lambda: server.server._desk.in_flight == 0)
        assert CANARY not in late.raw
    assert CANARY not in json_logs()


@pytest.mark.parametrize("state", [f"vendor={CANARY}", f"{CANARY}, not one = {CANARY} at all", f"a={CANARY}," * 40])
@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_state_of_a_trace_is_not_quoted(transport, state, json_logs):
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": state}
    async with running() as server, client_of(transport, server) as client:
        assert (await client.ask("GetModel", headers=headers)).code == "ok"
        await client.ask("GetModel", headers=headers | {"traceparent": CANARY})
    assert CANARY not in json_logs()


async def test_errors_outside_requests_are_logged_without_their_message(json_logs):
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)
    loop.call_soon(_raise)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        _raise()
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    logs = json_logs()
    assert CANARY not in logs
    assert [line["error_type"] for line in json_lines(logs)] == ["ValueError", "ValueError"]
    loop.set_exception_handler(None)


def _raise():
    raise ValueError(CANARY)


async def test_an_access_line_holds_what_operators_need_and_nothing_else(json_logs):
    async with running() as server, client_of("rest", server) as client:
        await client.ask("ScoreBatch", score_request(), headers={"x-request-id": "trace-1"})
    lines = [line for line in json_lines(json_logs()) if line["event"] == "request"]
    assert len(lines) == 1
    assert {**lines[0], "ms": 0, "timestamp": ""} == {
        "event": "request",
        "level": "info",
        "logger": "promedical.access",
        "request_id": "trace-1",
        "transport": "rest",
        "method": "ScoreBatch",
        "code": "ok",
        "ms": 0,
        "items": 1,
        "key": "anonymous",
        "timestamp": "",
    }
