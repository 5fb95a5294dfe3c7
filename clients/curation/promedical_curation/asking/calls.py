"""One call to one endpoint, over a client of the openai package: an answer, or an error of `failures`.

There is one client per endpoint, process and event loop. The package's own retries are off, redirects are not
followed, and nothing is logged that a caller wrote.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI

from promedical_client.per_loop import PerLoop
from promedical_curation.asking.answers import Answer, read_completion
from promedical_curation.asking.bodies import body_of
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import AskError, FinalError, RetriableError, UnusedEndpointError
from promedical_curation.asking.pace import retry_after_s
from promedical_curation.asking.requests import Request

_CONNECT_S: Final = 10.0
_DETAIL_CHARACTERS: Final = 300
_RETRIABLE: Final = {408, 409, 425, 429}
_UNUSABLE: Final = {401, 403, 404, 405}
_TOO_LONG: Final = ("context_length", "context length", "context size", "context_size", "maximum context", "too long")
_FILTERED: Final = ("content_filter", "content_policy", "content management policy", "responsibleai")


class Caller:
    """Calls one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._key = endpoint.key()
        self._clients: PerLoop[AsyncOpenAI] = PerLoop(self._client)

    async def call(self, request: Request) -> Answer:
        """Send the request once.

        Raises:
            AskError: There is no answer.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):  # a slow drip never passes a timeout per read
                body = await self._post(body_of(self.endpoint, request))
        except TimeoutError:
            raise RetriableError("timeout", f"no complete answer within {self.endpoint.timeout_s:g} s") from None
        answer = read_completion(body, reasoning_field=self.endpoint.reasoning_field)
        return replace(answer, seconds=time.monotonic() - started, at=time.time())

    async def close(self) -> None:
        """Close the running loop's connections."""
        if (client := self._clients.take()) is not None:
            await client.close()

    async def _post(self, body: dict[str, Any]) -> Any:
        try:
            return await self._clients.get().post("/chat/completions", cast_to=object, body=body)
        except APITimeoutError:
            raise RetriableError("timeout", "the server did not answer in time") from None
        except APIConnectionError as error:
            reason = type(error.__cause__).__name__ if error.__cause__ else "unknown"
            raise RetriableError("connection", f"the connection failed ({reason})") from None
        except APIStatusError as error:
            raise error_of(error, self._key) from None
        except UnicodeEncodeError:
            raise FinalError("bad_text", "the prompt holds half a surrogate pair, which no request can hold") from None
        except ValueError:
            raise RetriableError("broken_answer", "the server's answer is not JSON") from None

    def _client(self) -> AsyncOpenAI:
        for name in ("openai", "httpx2", "httpcore2"):  # at level debug they log requests, prompts included
            logging.getLogger(name).setLevel(logging.WARNING)
        limits = httpx2.Limits(
            max_connections=self.endpoint.max_in_flight, max_keepalive_connections=self.endpoint.max_in_flight
        )
        timeout = httpx2.Timeout(self.endpoint.timeout_s, connect=min(_CONNECT_S, self.endpoint.timeout_s))
        return AsyncOpenAI(
            base_url=self.endpoint.base_url,
            api_key=self._key or "none",
            max_retries=0,
            http_client=httpx2.AsyncClient(limits=limits, timeout=timeout, follow_redirects=False),
        )


def error_of(error: APIStatusError, key: str | None = None) -> AskError:
    """What an HTTP error means for the request.

    The server's own words may quote the prompt, so they are in `detail` only, which is for questions of our own.
    """
    found = _error_of(error.status_code, " ".join(_words(error)).lower(), _wait_of(error))
    found.detail = " ".join(_words(error)[2:])[:_DETAIL_CHARACTERS].replace(key or "\0", "***")
    return found


def _error_of(status: int, said: str, wait_s: float | None) -> AskError:
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and wait_s is not None):
        return RetriableError("rate_limited", f"the server answered {status}", retry_after_s=wait_s)
    if status in _RETRIABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RetriableError("server_error", f"the server answered {status}", retry_after_s=wait_s)
    if status in _UNUSABLE or HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return UnusedEndpointError("unusable", f"the server answered {status}{_hint(status)}")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or any(words in said for words in _TOO_LONG):
        return FinalError("too_long", f"the server answered {status}: the prompt is too long for the model")
    if any(words in said for words in _FILTERED):
        return FinalError("content_filter", f"the server answered {status}: its content filter refused the prompt")
    return FinalError("bad_request", f"the server answered {status}: it does not accept the request")


def _wait_of(error: APIStatusError) -> float | None:
    with suppress(KeyError, ValueError):
        return max(float(error.response.headers["retry-after-ms"]) / 1000, 0.0)
    return retry_after_s(error.response.headers.get("retry-after"))


def _words(error: APIStatusError) -> list[str]:
    """The error's code, type and message."""
    body: dict[str, Any] = error.body if isinstance(error.body, dict) else {}
    inner: dict[str, Any] = body["error"] if isinstance(body.get("error"), dict) else body
    return [str(inner.get(name) or "") for name in ("code", "type", "message")]


def _hint(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ": the key is missing, wrong, or not allowed to use the model"
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return ": base_url or model is wrong"
    return ": it redirects, which is not followed; set base_url to the final address"
