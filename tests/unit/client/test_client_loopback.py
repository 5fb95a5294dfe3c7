"""The scripted oracle that the tests of the SDK talk to, over real sockets, and what holds on both transports."""

import asyncio
import json
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import grpc
import pydantic_core
import pytest
from anyio.from_thread import start_blocking_portal
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from pydantic import TypeAdapter

from promedical import messages as m
from promedical.errors import ERROR_DOMAIN, ERROR_TABLE, ErrorCode
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb
from promedical.v1 import reward_pb2_grpc as stubs
from promedical_client import AsyncClient, CriterionSpec, Dimension, RubricSpec, ScoreItem, judged_by

RUBRIC = RubricSpec(
    criteria=(
        CriterionSpec(id="correct", text="Is correct.", dimension=Dimension.PROFICIENCY),
        CriterionSpec(id="kind", text="Is kind.", dimension=Dimension.EXCELLENCE),
        CriterionSpec(id="harm", text="Does harm.", dimension=Dimension.SAFETY),
    )
)
RUBRIC_INFO = m.RubricInfo(id="general", version="1", title="General", sha256="ab", criteria=RUBRIC.criteria)
MODEL_INFO = m.ModelInfo(
    model=m.ModelRef(name="mock", revision="0", fingerprint="f1", engine="mock", dtype="float64"),
    status="fake",
    family="none",
    template="t",
    calibration="c",
    licence="MIT",
    description="",
    limits=m.Limits(
        max_request_bytes=1,
        max_items=2,
        max_responses_per_item=3,
        max_criteria_per_item=4,
        max_path_tokens=5,
        max_request_tokens=6,
    ),
)


def judge(response, criterion):
    """A bad response does harm; all others are correct and kind."""
    return float(("bad" in response) is (criterion.dimension is Dimension.SAFETY))


def item(name, *responses, rubric=RUBRIC, **more):
    return ScoreItem(id=name, prompt="a question", responses=responses or ("good", "bad"), rubric=rubric, **more)


@dataclass
class Failure(Exception):  # noqa: N818 - a turn of the script
    """What the server answers instead of scores. `raw_*` leave the contract."""

    code: ErrorCode = ErrorCode.INTERNAL
    retry_after_s: float | None = None
    message: str = "said by the server"
    pushback_ms: str | None = None
    raw_grpc: grpc.StatusCode | None = None
    raw_http: tuple[int, dict[str, str], bytes] | None = None


@dataclass
class Seen:
    """One request as it arrived."""

    at_s: float
    method: str
    metadata: dict
    request: object
    timeout_s: float


@dataclass
class Oracle:
    """Answers `script` first, one entry a request, then `score`; remembers what it saw."""

    script: deque = field(default_factory=deque)
    score: object = judged_by(judge, fingerprint="f1")
    seen: list = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def answer(self, seen, request):
        self.seen.append(seen)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1

    async def _answer(self, request):
        turn = self.script.popleft() if self.script else self.score
        if isinstance(turn, Exception):
            raise turn
        match request:
            case m.ScoreRequest():
                answered = turn(request)
                return await answered if asyncio.iscoroutine(answered) else answered
            case m.RankRequest():
                return m.RankResponse.of(turn(request.as_score_request()))
            case "rubrics":
                return m.RubricList(rubrics=(RUBRIC_INFO,))
            case "model":
                return MODEL_INFO
            case "general" | "general@1":
                return RUBRIC_INFO
            case _:
                raise Failure(ErrorCode.NOT_FOUND)


def _rich_status(failure):
    row = ERROR_TABLE[failure.code]
    code = grpc.StatusCode[row.grpc_status]
    details = [error_details_pb2.ErrorInfo(reason=failure.code.value, domain=ERROR_DOMAIN)]
    if failure.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(failure.retry_after_s * 1000))
        details.append(retry)
    status = status_pb2.Status(code=code.value[0], message=failure.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return code, status


class GrpcFace(stubs.RewardServiceServicer):
    def __init__(self, oracle):
        self.oracle = oracle

    async def _answer(self, method, request, context, encode):
        seen = Seen(
            time.monotonic(), method, dict(context.invocation_metadata()), request, context.time_remaining() or 0.0
        )
        try:
            return encode(await self.oracle.answer(seen, request))
        except Failure as failure:
            if failure.raw_grpc:
                await context.abort(failure.raw_grpc, failure.message)
            code, status = _rich_status(failure)
            trailers = [("grpc-status-details-bin", status.SerializeToString())]
            if failure.pushback_ms is not None:
                trailers.append(("grpc-retry-pushback-ms", failure.pushback_ms))
            context.set_trailing_metadata(tuple(trailers))
            await context.abort(code, failure.message)

    async def ScoreBatch(self, request, context):  # noqa: N802 - named by the wire
        asked = requests.decode_score_request(request)
        return await self._answer("score", asked, context, responses.encode_score_response)

    async def RankResponses(self, request, context):  # noqa: N802
        asked = requests.decode_rank_request(request)
        return await self._answer("rank", asked, context, responses.encode_rank_response)

    async def ListRubrics(self, request, context):  # noqa: N802
        return await self._answer(
            "rubrics",
            "rubrics",
            context,
            lambda found: pb.ListRubricsResponse(rubrics=[responses.encode_rubric_info(r) for r in found.rubrics]),
        )

    async def GetRubric(self, request, context):  # noqa: N802
        return await self._answer(
            "rubric",
            request.id,
            context,
            lambda found: pb.GetRubricResponse(rubric=responses.encode_rubric_info(found)),
        )

    async def GetModel(self, request, context):  # noqa: N802
        return await self._answer("model", "model", context, responses.encode_model_info)


class HttpFace:
    """As much HTTP as the SDK speaks."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.writers = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, more, answer = await self._answer(method, path, headers, body)
                more |= {"content-length": str(len(answer))}
                lines = "".join(f"{key}: {value}\r\n" for key, value in more.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + answer)
                await writer.drain()
        writer.close()

    async def _answer(self, method, path, headers, body):
        timeout_s = int(headers["x-request-timeout-ms"]) / 1000
        name, request = self._decode(method, path, body)
        try:
            answer = await self.oracle.answer(Seen(time.monotonic(), name, headers, request, timeout_s), request)
        except Failure as failure:
            return failure.raw_http or self._problem(failure)
        return 200, {}, pydantic_core.to_json(answer, inf_nan_mode="constants")

    def _decode(self, method, path, body):
        match method, path:
            case "POST", "/v1/score":
                return "score", TypeAdapter(m.ScoreRequest).validate_json(body)
            case "POST", "/v1/rank":
                return "rank", TypeAdapter(m.RankRequest).validate_json(body)
            case "GET", "/v1/rubrics" | "/v1/model":
                return path.removeprefix("/v1/"), path.removeprefix("/v1/")
            case _:
                return "rubric", path.removeprefix("/v1/rubrics/")

    def _problem(self, failure):
        row = ERROR_TABLE[failure.code]
        after = failure.retry_after_s
        body = {"type": "about:blank", "title": row.title, "status": row.http_status, "detail": failure.message}
        body |= {"code": failure.code.value, "retry_after_s": after, "request_id": "r"}
        headers = {} if after is None else {"retry-after": str(int(after) + 1)}
        return row.http_status, headers, json.dumps(body).encode()


@contextmanager
def serving(oracle, transport):
    """The URL of a server for `oracle`, which runs in a thread of its own."""
    with start_blocking_portal() as portal:
        stop, url = portal.call({"grpc": _start_grpc, "http": _start_http}[transport], oracle)
        try:
            yield url
        finally:
            portal.call(stop)


async def _start_grpc(oracle):
    server = grpc.aio.server()
    stubs.add_RewardServiceServicer_to_server(GrpcFace(oracle), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return partial(server.stop, None), f"grpc://127.0.0.1:{port}"


async def _start_http(oracle):
    face = HttpFace(oracle)
    server = await asyncio.start_server(face.serve, "127.0.0.1", 0)

    async def stop():
        server.close()
        for writer in face.writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return stop, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def on_both_transports(test):
    return pytest.mark.parametrize("transport", ["grpc", "http"])(test)


@on_both_transports
async def test_score_answers_typed_results_with_the_oracle_and_the_usage(transport):
    oracle = Oracle()
    with serving(oracle, transport) as url:
        async with AsyncClient(url, api_key="key") as client:
            answer = await client.score([item("a", "good", "bad")], timeout_s=9)
    result = answer.items[0].result
    assert result.ranking == ((0,), (1,))
    assert [response.scores.vetoed for response in result.responses] == [False, True]
    assert answer.model.fingerprint == "f1"
    assert answer.usage.responses_scored == 2
    seen = oracle.seen[0]
    assert seen.metadata["authorization"] == "Bearer key"
    assert len(seen.metadata["x-request-id"]) == 36
    assert 8 < seen.timeout_s < 9.1
    assert seen.request.priority == "interactive"


@on_both_transports
async def test_requests_arrive_as_they_were_asked(transport):
    oracle = Oracle()
    asked = item("a", "good", base_rubric_id="vetoes@1")
    weights = m.WeightsSpec(excellence_weight=0.3, violation_penalty=2.0, proficiency_mode="soft")
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            await client.score([asked], reward_weights=weights, expected_fingerprint="f1", truncation="response_end")
    assert oracle.seen[0].request == m.ScoreRequest(
        items=(asked,),
        reward_weights=weights,
        expected_fingerprint="f1",
        priority="interactive",
        truncation="response_end",
    )


@on_both_transports
async def test_every_other_method_answers_its_type(transport):
    with serving(Oracle(), transport) as url:
        async with AsyncClient(url) as client:
            ranked = await client.rank("q", ["bad", "good", "good 2"], rubric=RUBRIC)
            scored = await client.score_one([m.Message(role="user", content="q")], ["good"], rubric=RUBRIC)
            assert ranked.best == (1, 2)
            assert scored.result.responses[0].scores.reward == pytest.approx(1.1)
            assert await client.rubrics() == (RUBRIC_INFO,)
            assert await client.rubric("general@1") == RUBRIC_INFO
            assert await client.model() == MODEL_INFO
