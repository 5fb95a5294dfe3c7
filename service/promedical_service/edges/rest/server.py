"""The REST edge: routes of five lines over the desk. What all calls share is in the desk."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from promedical import messages
from promedical.errors import ErrorCode
from promedical.rubric import InvalidField
from promedical_service.edges.call import REQUEST_ID_HEADER, Call
from promedical_service.edges.desk import Desk
from promedical_service.edges.dropins.catalog import DROP_INS, check_session
from promedical_service.edges.dropins.endpoint import DropInEndpoint
from promedical_service.edges.dropins.format import DropIn
from promedical_service.edges.dropins.models import ModelList
from promedical_service.edges.dropins.nemo_gym import SEED_SESSION
from promedical_service.edges.json_body import parse_body, read_body
from promedical_service.edges.rest.docs_page import ASSETS, docs_asset, docs_page
from promedical_service.edges.rest.leaving import CountedEndpoint, arrival
from promedical_service.edges.rest.openapi import READY_PATHS, openapi_document
from promedical_service.edges.rest.problems import PROBLEM_TYPE, http_status, problem_body, problem_headers
from promedical_service.errors import ServiceError
from promedical_service.health import Health
from promedical_service.limits import CountLimits
from promedical_service.telemetry.metrics import Metrics
from promedical_service.types import Method, Oracle

TIMEOUT_HEADER: Final = "x-request-timeout-ms"
FINGERPRINT_HEADER: Final = "x-promedical-fingerprint"
RUBRICS_HEADER: Final = "x-promedical-rubrics"
UNSCORED_HEADER: Final = "x-promedical-unscored"
_MAX_TIMEOUT_MS: Final = 86_400_000
_NOT_FOUND: Final = 404

_SCORE_REQUEST: Final = TypeAdapter(messages.ScoreRequest)
_SCORE_RESPONSE: Final = TypeAdapter(messages.ScoreResponse)
_RANK_REQUEST: Final = TypeAdapter(messages.RankRequest)
_RANK_RESPONSE: Final = TypeAdapter(messages.RankResponse)
_RUBRIC_LIST: Final = TypeAdapter(messages.RubricList)
_RUBRIC_INFO: Final = TypeAdapter(messages.RubricInfo)
_MODEL_INFO: Final = TypeAdapter(messages.ModelInfo)
_MODEL_LIST: Final = TypeAdapter(ModelList)

Work = Callable[[Request, Oracle, Call], Awaitable[bytes]]
Answer = TypeVar("Answer")
Asked = TypeVar("Asked")


class RestEdge:
    """The routes, and how answers and problems are sent."""

    def __init__(
        self,
        *,
        desk: Desk,
        drop_ins: DropInEndpoint,
        health: Health,
        metrics: Metrics,
        max_request_bytes: int,
        limits: CountLimits,
        overload_status: int,
        keys_required: bool,
        metrics_need_key: bool = False,
    ) -> None:
        self._desk = desk
        self._drop_ins = drop_ins
        self._health = health
        self._metrics = metrics
        self._max_request_bytes = max_request_bytes
        self._limits = limits
        self._overload_status = overload_status
        self._metrics_need_key = metrics_need_key
        self._openapi = openapi_document(keys_required=keys_required)

    def app(self) -> FastAPI:
        """The ASGI application."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        app.router.routes += self._routes()
        app.add_route("/healthz", self._healthz)
        for path in READY_PATHS:
            app.add_route(path, self._readyz)
        app.add_route("/metrics", self._scrape)
        app.add_exception_handler(HTTPException, self._unrouted)
        return app

    def _routes(self) -> list[Route]:
        """The desk that accounts for the calls."""
        get, post = ["GET"], ["POST"]
        return [
            Route("/v1/score", self._endpoint("ScoreBatch", self._score), methods=post),
            Route("/v1/rank", self._endpoint("RankResponses", self._rank), methods=post),
            Route("/v1/rubrics", self._endpoint("ListRubrics", self._rubrics), methods=get),
            Route("/v1/rubrics/{id}", self._endpoint("GetRubric", self._rubric), methods=get),
            Route("/v1/model", self._endpoint("GetModel", self._model), methods=get),
            Route("/v1/models", self._endpoint("GetModel", self._models), methods=get),
            *(
                Route(path, self._endpoint(drop_in.method, self._drop_in(drop_in)), methods=post)
                for drop_in in DROP_INS
                for path in drop_in.paths
            ),
            Route(SEED_SESSION, self._endpoint("Other", self._seed_session), methods=post),
            Route("/openapi.json", self._page(self._show_openapi), methods=get),
            Route("/docs", self._page(docs_page), methods=get),
            *(Route(f"/docs/{name}", self._page(functools.partial(docs_asset, name)), methods=get) for name in ASSETS),
        ]

    async def _score(self, request: Request, oracle: Oracle, call: Call) -> bytes:
        asked = await self._asked(request, call, _SCORE_REQUEST, messages.ScoreRequest)
        call.items, asked = len(asked.items), call.in_lane(asked)
        return _SCORE_RESPONSE.dump_json(await while_connected(request, oracle.score(asked, call.as_caller())))

    async def _rank(self, request: Request, oracle: Oracle, call: Call) -> bytes:
        asked = await self._asked(request, call, _RANK_REQUEST, messages.RankRequest)
        call.items, asked = 1, call.in_lane(asked)
        return _RANK_RESPONSE.dump_json(await while_connected(request, oracle.rank(asked, call.as_caller())))

    def _drop_in(self, drop_in: DropIn) -> Work:
        async def answer(request: Request, oracle: Oracle, call: Call) -> bytes:
            body = await self._body(request, call)
            query = request.query_params.multi_items()
            return await while_connected(request, self._drop_ins.answer(drop_in, body, query, oracle, call))

        return answer

    async def _seed_session(self, request: Request, _: Oracle, call: Call) -> bytes:
        body = await self._body(request, call)
        await asyncio.to_thread(check_session, body, self._limits)
        return b"{}"

    async def _body(self, request: Request, call: Call) -> bytes:
        call.timeout_s = _timeout_s(request)
        hold = functools.partial(self._desk.hold, call)
        return await read_body(request, self._max_request_bytes, hold, call.remaining_s)

    async def _asked(self, request: Request, call: Call, adapter: TypeAdapter[Asked], shape: type[Asked]) -> Asked:
        body = await self._body(request, call)
        # a large body must not hold the loop
        return await asyncio.to_thread(parse_body, adapter, body, self._limits, shape)

    async def _rubrics(self, _: Request, oracle: Oracle, __: Call) -> bytes:
        return _RUBRIC_LIST.dump_json(oracle.rubrics())

    async def _rubric(self, request: Request, oracle: Oracle, _: Call) -> bytes:
        return _RUBRIC_INFO.dump_json(oracle.rubric(request.path_params["id"]))

    async def _model(self, _: Request, oracle: Oracle, __: Call) -> bytes:
        return _MODEL_INFO.dump_json(oracle.model())

    async def _models(self, _: Request, oracle: Oracle, __: Call) -> bytes:
        return _MODEL_LIST.dump_json(ModelList.of(oracle.model()))

    async def _show_openapi(self) -> Response:
        return JSONResponse(self._openapi)

    async def _healthz(self, request: Request) -> Response:
        return self._probe(request, good=self._health.live)

    async def _readyz(self, request: Request) -> Response:
        return self._probe(request, good=self._health.ready)

    async def _scrape(self, request: Request) -> Response:
        call = arrival("Other", request)
        if self._metrics_need_key:
            try:
                await self._desk.serve_metrics(call)
            except ServiceError as refusal:
                return self._problem(call, refusal)
        return Response(self._metrics.exposition(), media_type=self._metrics.content_type)

    def _endpoint(self, method: Method, work: Work) -> CountedEndpoint:
        async def answer(request: Request, call: Call) -> Response:
            async def held(oracle: Oracle) -> bytes:
                body = await work(request, oracle, call)
                self._desk.hold_answer(call, len(body))
                return body

            try:
                body = await self._desk.serve(call, held)
            except ServiceError as refusal:
                return self._problem(call, refusal)
            return Response(body, media_type="application/json", headers=self._headers(call))

        return CountedEndpoint(desk=self._desk, method=method, answer=answer)

    def _page(self, show: Callable[[], Awaitable[Response]]) -> CountedEndpoint:
        return CountedEndpoint(desk=self._desk, method="Other", answer=lambda _, call: self._shown(call, show))

    async def _shown(self, call: Call, show: Callable[[], Awaitable[Response]]) -> Response:
        try:
            return await self._desk.serve_page(call, show)
        except ServiceError as refusal:
            return self._problem(call, refusal)

    async def _unrouted(self, request: Request, error: Exception) -> Response:
        """Starlette's 404 and 405, after the key is checked."""
        status = error.status_code if isinstance(error, HTTPException) else _NOT_FOUND

        async def refuse() -> Response:
            raise _unrouted_refusal(status)

        answer = await self._shown(arrival("Other", request), refuse)
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    def _probe(self, request: Request, *, good: bool) -> Response:
        if good:
            return JSONResponse({"status": self._health.state})
        refusal = ServiceError(ErrorCode.UNAVAILABLE, f"The service is {self._health.state}", retry_after_s=1.0)
        return self._problem(arrival("Other", request), refusal)

    def _problem(self, call: Call, refusal: ServiceError) -> Response:
        status = http_status(refusal, self._overload_status)
        body = problem_body(refusal, status=status, request_id=call.request_id)
        headers = self._headers(call) | problem_headers(refusal)
        return Response(body, status_code=status, media_type=PROBLEM_TYPE, headers=headers)

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {REQUEST_ID_HEADER: call.request_id, "cache-control": "no-store"}
        headers |= {FINGERPRINT_HEADER: call.fingerprint} if call.fingerprint else {}
        headers |= {RUBRICS_HEADER: call.rubrics} if call.rubrics else {}
        headers |= {} if call.unscored is None else {UNSCORED_HEADER: str(call.unscored)}
        return headers | {"connection": "close"} if self._desk.draining else headers


async def while_connected(request: Request, work: Awaitable[Answer]) -> Answer:
    """Do the work; cancel it when the caller goes away. The body must have been read.

    Raises:
        ServiceError: cancelled.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ServiceError(ErrorCode.CANCELLED, "The caller went away")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _timeout_s(request: Request) -> float | None:
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    milliseconds = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(_MAX_TIMEOUT_MS)) + 1 else 0
    if not 1 <= milliseconds <= _MAX_TIMEOUT_MS:
        raise InvalidField("X-Request-Timeout-Ms", f"expected whole milliseconds from 1 to {_MAX_TIMEOUT_MS}")
    return milliseconds / 1000


def _unrouted_refusal(status: int) -> ServiceError:
    if status == _NOT_FOUND:
        return ServiceError(ErrorCode.NOT_FOUND, "There is nothing at this path; see /docs for the known paths")
    return ServiceError(
        ErrorCode.INVALID_REQUEST, "This path does not allow this method; see the allow header", http_status=status
    )
