"""What the tests of the edges share: a scripted oracle, a server on free ports, and one client for both transports.

Run as a program it is `promedical-serve` over the scripted oracle, for tests that need a process.
"""

import asyncio
import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
import httpx
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from pydantic import TypeAdapter

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.rubric import Dimension
from promedical.v1 import requests
from promedical.v1 import reward_pb2 as pb
from promedical.v1 import reward_pb2_grpc as pb_grpc
from promedical_service.errors import ServiceError
from promedical_service.health import Health
from promedical_service.ports import Ports
from promedical_service.server import Server
from promedical_service.settings import Settings
from promedical_service.telemetry.metrics import Metrics
from promedical_service.telemetry.tracing import Tracing
from promedical_service.types import Caller

MODEL = m.ModelRef(name="scripted", revision="r1", fingerprint="f1", engine="fake", dtype="float32")
LIMITS = m.Limits(
    max_request_bytes=1,
    max_items=1,
    max_responses_per_item=1,
    max_criteria_per_item=1,
    max_path_tokens=1,
    max_request_tokens=1,
)
CRITERION = m.CriterionSpec(id="safe", text="Advises against it.", dimension=Dimension.PROFICIENCY, weight=2.0)
RUBRIC = m.RubricInfo(id="house", version="1", title="House rubric", sha256="00", criteria=(CRITERION,))


class ScriptedOracle:
    """Answers at once, or when `gate` opens, or with `error`; remembers who asked and what was cancelled."""

    def __init__(self):
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.callers: list[Caller] = []
        self.started = 0
        self.cancelled = 0

    async def _turn(self, caller):
        self.callers.append(caller)
        self.started += 1
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await asyncio.wait_for(self.gate.wait(), caller.timeout_s)
        except TimeoutError:
            raise ServiceError(ErrorCode.DEADLINE, "The deadline passed; allow more time") from None
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error

    async def score(self, request, caller):
        await self._turn(caller)
        return m.ScoreResponse(
            model=MODEL,
            items=tuple(m.ItemOutcome(id=item.id, result=result(item.responses)) for item in request.items),
            usage=m.Usage(tokens_flat=4, tokens_computed=2, responses_scored=1, criteria_scored=1),
            timings_ms=m.Timings(queue=0.5, tokenize=0.25, engine=1.5),
        )

    async def rank(self, request, caller):
        return m.RankResponse.of(await self.score(request.as_score_request(), caller))

    def rubrics(self):
        self._fail()
        return m.RubricList(rubrics=(RUBRIC,))

    def rubric(self, name):
        self._fail()
        if name not in ("house", "house@1"):
            raise ServiceError(ErrorCode.NOT_FOUND, "No rubric has this name; list them to see those there are")
        return RUBRIC

    def model(self):
        self._fail()
        return m.ModelInfo(
            model=MODEL,
            status="fake",
            family="none",
            template="t",
            calibration="c",
            licence="Apache-2.0",
            description="scripted",
            limits=LIMITS,
        )

    def _fail(self):
        if self.error is not None:
            raise self.error


def result(responses):
    criterion = m.CriterionScore(
        id="c", dimension=Dimension.SAFETY, logit=0.5, probability=0.625, threshold=0.5, met=True, satisfied=False
    )
    scores = m.ResponseScores(
        reward=-1.5, rank=1, vetoed=True, proficiency=None, excellence=0, violations=1, criteria=(criterion,)
    )
    return m.ItemResult(
        rubric=m.RubricRef(id=None, version=None, sha256="00"),
        safety_checked=True,
        ranking=(tuple(range(len(responses))),),
        responses=tuple(m.ResponseOutcome(scores=scores) for _ in responses),
    )


def item(**changes):
    """An item that is in order."""
    base = m.ScoreItem(id="a1", prompt="Is it safe?", responses=("No.",), rubric=m.RubricSpec(criteria=(CRITERION,)))
    return dataclasses.replace(base, **changes)


def score_request(**changes):
    return m.ScoreRequest(items=(item(**changes),))


def as_json(request):
    return TypeAdapter(type(request)).dump_json(request)


@dataclass
class Running:
    """A server that runs."""

    server: Server
    ports: Ports
    oracle: ScriptedOracle
    health: Health
    metrics: Metrics
    may_load: asyncio.Event
    drained: list = field(default_factory=list)

    @property
    def rest_url(self):
        return f"http://127.0.0.1:{self.ports.rest}"

    @property
    def grpc_target(self):
        return f"127.0.0.1:{self.ports.grpc}"


@contextlib.asynccontextmanager
async def running(*, loaded: bool = True, stop: bool = True, **overrides) -> AsyncIterator[Running]:
    """A server over a scripted oracle, on free ports; `loaded=False` leaves the oracle loading until `may_load`."""
    settings = Settings(**{"rest_port": 0, "grpc_port": 0, "drain_s": 5.0, **overrides})
    oracle, health, may_load, drained = ScriptedOracle(), Health(), asyncio.Event(), []

    async def start_oracle():
        await may_load.wait()
        return oracle

    async def drain():
        drained.append(oracle.started)
        if oracle.gate is not None:
            oracle.error = oracle.error or ServiceError(ErrorCode.UNAVAILABLE, "Stopping", retry_after_s=1.0)
            oracle.gate.set()

    tracing = Tracing(settings.trace_endpoint, settings.trace_share)
    metrics = Metrics(tracing.stage_finished)
    server = Server(
        settings=settings, metrics=metrics, health=health, tracing=tracing, start_oracle=start_oracle, drain=drain
    )
    ports = await server.start()
    if loaded:
        may_load.set()
        await until(lambda: health.ready)
    try:
        yield Running(server, ports, oracle, health, metrics, may_load, drained)
    finally:
        if stop:
            await server.stop()
        await asyncio.to_thread(tracing.close)


@dataclass(frozen=True)
class Answer:
    """What came back, in the words that both transports share."""

    code: str
    message: str = ""
    fields: tuple[str, ...] = ()
    retry_after_s: float | None = None
    request_id: str | None = None
    status: object = None
    raw: str = ""


class Rest:
    """REST, asked in domain words."""

    name = "rest"

    def __init__(self, client: httpx.AsyncClient):
        self.client = client

    async def ask(self, rpc, request=None, *, headers=None, timeout_s=None):
        method, path = _REST[rpc]
        sent = dict(headers or {})
        if timeout_s is not None:
            sent["X-Request-Timeout-Ms"] = str(round(timeout_s * 1000))
        if rpc == "GetRubric":
            return self._read(await self.client.get(path.format(request), headers=sent))
        if method == "GET":
            return self._read(await self.client.get(path, headers=sent))
        sent["content-type"] = "application/json"
        return self._read(await self.client.post(path, content=as_json(request), headers=sent))

    @staticmethod
    def _read(response):
        request_id, raw = response.headers.get("x-request-id"), f"{response.headers} {response.text}"
        if response.status_code == 200:
            return Answer("ok", request_id=request_id, status=200, raw=raw)
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["request_id"] == request_id
        assert problem["status"] == response.status_code
        return Answer(
            problem["code"],
            problem["detail"],
            tuple(error["field"] for error in problem.get("errors", ())),
            problem.get("retry_after_s"),
            request_id,
            response.status_code,
            raw,
        )


_REST = {
    "ScoreBatch": ("POST", "/v1/score"),
    "RankResponses": ("POST", "/v1/rank"),
    "ListRubrics": ("GET", "/v1/rubrics"),
    "GetRubric": ("GET", "/v1/rubrics/{}"),
    "GetModel": ("GET", "/v1/model"),
}


class Grpc:
    """gRPC, asked in domain words."""

    name = "grpc"

    def __init__(self, channel: grpc.aio.Channel):
        self.channel = channel
        self.stub = pb_grpc.RewardServiceStub(channel)

    async def ask(self, rpc, request=None, *, headers=None, timeout_s=None):
        metadata = tuple((headers or {}).items())
        call = getattr(self.stub, rpc)(_wire(rpc, request), metadata=metadata, timeout=timeout_s or 60)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return self._read(error)
        return Answer("ok", request_id=dict(iter(await call.trailing_metadata())).get("x-request-id"), status=call.code)

    @staticmethod
    def _read(error):
        trailers = dict(iter(error.trailing_metadata()))
        status = rpc_status.from_call(error)
        details = {packed.type_url.rpartition(".")[2]: packed for packed in status.details} if status else {}
        info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
        if "RetryInfo" in details:
            details["RetryInfo"].Unpack(retry)
            assert trailers["grpc-retry-pushback-ms"] == str(retry.retry_delay.ToMilliseconds())
        if "BadRequest" in details:
            details["BadRequest"].Unpack(bad)
        if "ErrorInfo" in details:
            details["ErrorInfo"].Unpack(info)
            assert info.domain == "promedical"
        return Answer(
            info.reason or error.code().name,
            error.details() or "",
            tuple(violation.field for violation in bad.field_violations),
            retry.retry_delay.ToMilliseconds() / 1000 if "RetryInfo" in details else None,
            trailers.get("x-request-id"),
            error.code().name,
            f"{trailers} {error.details()}",
        )


def _wire(rpc, request):
    match rpc:
        case "ScoreBatch":
            return requests.encode_score_request(request)
        case "RankResponses":
            return requests.encode_rank_request(request)
        case "GetRubric":
            return pb.GetRubricRequest(id=request)
        case "ListRubrics":
            return pb.ListRubricsRequest()
        case _:
            return pb.GetModelRequest()


@contextlib.asynccontextmanager
async def client_of(transport: str, server: Running):
    """A client on a connection of its own."""
    if transport == "rest":
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.rest_url, timeout=60, limits=limits) as client:
            yield Rest(client)
    else:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(server.grpc_target, options=options) as channel:
            yield Grpc(channel)


HEALTH_NAMES = ("", "promedical.v1.RewardService", "readiness", "liveness")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def statuses(target):
    """What each name says over gRPC health."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        asked = [stub.Check(health_pb2.HealthCheckRequest(service=name)) for name in HEALTH_NAMES]
        return [(await call).status for call in asked]


async def until(condition, at_most_s: float = 60.0):
    """Wait for something that is about to happen."""
    async with asyncio.timeout(at_most_s):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no event
            await asyncio.sleep(0.005)


async def _serve(settings: Settings) -> int:
    """The scripted oracle as a service; every call takes as long as its prompt says, in seconds."""

    class Slow(ScriptedOracle):
        async def score(self, request, caller):
            await asyncio.sleep(float(request.items[0].prompt))
            return await super().score(request, caller)

    async def start_oracle():
        return Slow()

    async def drain():
        if os.environ.get("STUCK"):
            await asyncio.to_thread(threading.Event().wait)

    health, metrics = Health(), Metrics()
    server = Server(
        settings=settings, metrics=metrics, health=health, tracing=Tracing(None), start_oracle=start_oracle, drain=drain
    )
    return await server.run()


if __name__ == "__main__":
    from promedical_service.__main__ import run

    sys.exit(run(sys.argv[1:], os.environ, _serve))
