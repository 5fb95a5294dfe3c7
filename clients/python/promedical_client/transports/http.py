"""The wire over REST: one request, one HTTP exchange. Statuses and httpx's exceptions become ours here."""

import asyncio
import dataclasses
import importlib.util
import math
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import pydantic_core
from pydantic import TypeAdapter, ValidationError

from promedical import messages as m
from promedical.errors import ERROR_TABLE
from promedical.pins import routed_by
from promedical_client.address import Address
from promedical_client.errors import (
    DeadlineError,
    InvalidRequestError,
    MisconfiguredError,
    PromedicalError,
    ProtocolError,
    UnavailableError,
    closed_in_call,
    code_of,
    code_of_http_status,
    error_class,
)
from promedical_client.per_loop import PerLoop
from promedical_client.transports.base import Call
from promedical_client.transports.proxies import Proxy, proxy_for
from promedical_client.transports.reaching import explained
from promedical_client.transports.tls import tls_context

T = TypeVar("T")

_CONNECT_S: Final = 5.0
"""A connection that takes longer is given up while there is still time to try another."""
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=100)
"""No limit: a call that waited here would spend its deadline where the service cannot say that it is full."""

_NEWER_FIELDS: Final = {"expected_rubrics", "unscored_reward"}

_SCORE: Final = TypeAdapter(m.ScoreResponse)
_RANK: Final = TypeAdapter(m.RankResponse)
_RUBRICS: Final = TypeAdapter(m.RubricList)
_RUBRIC: Final = TypeAdapter(m.RubricInfo)
_MODEL: Final = TypeAdapter(m.ModelInfo)


class HttpTransport:
    """Calls the REST API; the URL may have a path where a proxy adds one."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._url = address.url.rstrip("/")
        self._tls = tls_context(address)
        self._proxy = proxy_for(address)
        _check_name(f"url is {self._url!r}", self._url)
        if self._proxy:
            _check_name(f"the proxy in {self._proxy.variable} cannot be used", self._proxy.url)
        _check_socks(self._proxy)
        self._authorization = {"authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        self._pools = PerLoop(self._open)

    async def score(self, request: m.ScoreRequest, call: Call) -> m.ScoreResponse:
        """POST /v1/score."""
        return await self._ask("POST", "/v1/score", _SCORE, call, request)

    async def rank(self, request: m.RankRequest, call: Call) -> m.RankResponse:
        """POST /v1/rank."""
        return await self._ask("POST", "/v1/rank", _RANK, call, request)

    async def list_rubrics(self, call: Call) -> m.RubricList:
        """GET /v1/rubrics."""
        return await self._ask("GET", "/v1/rubrics", _RUBRICS, call)

    async def get_rubric(self, name: str, call: Call) -> m.RubricInfo:
        """GET /v1/rubrics/{name}."""
        return await self._ask("GET", f"/v1/rubrics/{quote(name, safe='@')}", _RUBRIC, call)

    async def get_model(self, call: Call) -> m.ModelInfo:
        """GET /v1/model."""
        return await self._ask("GET", "/v1/model", _MODEL, call)

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        pool = self._pools.take()
        if pool is not None:
            await pool.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        adapter: TypeAdapter[T],
        call: Call,
        request: m.ScoreRequest | m.RankRequest | None = None,
    ) -> T:
        body = None if request is None else _encoded(request)
        answer = await self._send(method, path, body, call)
        if not answer.is_success:
            raise error_from_answer(answer, call.request_id)
        try:
            return adapter.validate_json(answer.content)
        except ValidationError as error:
            raise ProtocolError(
                f"{path} sent an answer that this version cannot read: {_first(error)}", request_id=call.request_id
            ) from None

    async def _send(self, method: str, path: str, body: bytes | None, call: Call) -> httpx.Response:
        headers = {
            "content-type": "application/json",
            "x-request-id": call.request_id,
            "x-request-timeout-ms": str(max(1, math.floor(call.timeout_s * 1000))),
            **routed_by(call.oracle),
            **self._authorization,
        }
        timeout = httpx.Timeout(call.timeout_s, connect=min(call.timeout_s, _CONNECT_S))
        pool = self._pools.get()
        try:
            # httpx limits each read and write; the outer limit is for all of them together.
            async with asyncio.timeout(call.timeout_s):
                return await pool.request(method, path, content=body, headers=headers, timeout=timeout)
        except TimeoutError:
            raise DeadlineError(ERROR_TABLE[DeadlineError.code].title, request_id=call.request_id) from None
        except httpx.HTTPError as error:
            if pool.is_closed:
                raise closed_in_call(call.request_id) from None
            failure = error_from_httpx(error, call.request_id, self._proxy)
            raise (failure if self._proxy else explained(failure, self._address)) from None

    def _open(self) -> httpx.AsyncClient:
        proxy = self._proxy.url if self._proxy else None
        return httpx.AsyncClient(base_url=self._url, verify=self._tls, limits=_LIMITS, proxy=proxy, trust_env=False)


def error_from_answer(answer: httpx.Response, request_id: str | None = None) -> PromedicalError:
    """The exception for an answer that is not a success, in the server's words if it speaks the contract."""
    problem = _problem(answer)
    code = code_of(problem.get("code"))
    # Without a code of ours the body is somebody else's, and may quote the request.
    said = problem.get("detail") if code else None
    code = code or code_of_http_status(answer.status_code)
    return error_class(code)(
        str(said or f"{ERROR_TABLE[code].title} (HTTP {answer.status_code})"),
        retry_after_s=_seconds(problem.get("retry_after_s")) or _seconds(answer.headers.get("retry-after")),
        request_id=request_id,
    )


def error_from_httpx(
    error: httpx.HTTPError, request_id: str | None = None, proxy: Proxy | None = None
) -> PromedicalError:
    """The exception for an exchange that failed. Only connection errors have a text that is safe to repeat."""
    name = type(error).__name__
    way = f" by way of the proxy in {proxy.variable}" if proxy else ""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return UnavailableError(f"cannot connect{way}: {error or name}", request_id=request_id)
        case httpx.TimeoutException():
            return DeadlineError(f"no answer in time ({name})", request_id=request_id)
        case httpx.NetworkError() | httpx.RemoteProtocolError():
            return UnavailableError(f"the connection broke ({name})", request_id=request_id)
        case _:
            return ProtocolError(f"no exchange with this service is possible ({name})", request_id=request_id)


def _encoded(request: m.ScoreRequest | m.RankRequest) -> bytes:
    fields = {each.name: getattr(request, each.name) for each in dataclasses.fields(request)}
    for name in _NEWER_FIELDS & fields.keys():  # services that are older than these refuse them
        if fields[name] in ((), None):
            del fields[name]
    try:
        # NaN stays NaN: a weight of null would silently become the default.
        return pydantic_core.to_json(fields, inf_nan_mode="constants")
    except ValueError as error:
        raise InvalidRequestError(
            f"the request cannot be encoded ({type(error).__name__}); compare its fields with promedical.messages"
        ) from None


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = pydantic_core.from_json(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:  # absent, or the date that proxies may send
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _check_name(what: str, url: str) -> None:
    """Refuse a host whose name cannot be sent, which httpx says in the middle of a call."""
    try:
        _ = httpx.URL(url).host
    except (httpx.InvalidURL, UnicodeError):
        raise MisconfiguredError(f"{what}; expected a host whose name can be looked up") from None


def _check_socks(proxy: Proxy | None) -> None:
    if proxy and proxy.url.startswith("socks") and importlib.util.find_spec("socksio") is None:
        message = f"the proxy in {proxy.variable} speaks SOCKS, for which a package is missing: pip install socksio"
        raise MisconfiguredError(f"{message}. Or name the service's host in no_proxy")
