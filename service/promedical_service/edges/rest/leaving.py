"""How answers leave: part by part, and counted until the last byte is with the kernel."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from promedical_service.edges.access import presented_key
from promedical_service.edges.call import REQUEST_ID_HEADER, Call, request_id
from promedical_service.edges.desk import Desk
from promedical_service.telemetry.tracing import trace_headers
from promedical_service.types import Method

_PART_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedEndpoint:
    """An ASGI application whose call is in progress until its answer has left, or its connection is lost."""

    desk: Desk
    method: Method
    answer: Callable[[Request, Call], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive, send)
        call = arrival(self.method, request)
        with self.desk.in_progress(call):
            await _send_in_parts(await self.answer(request, call), send)


async def _send_in_parts(response: Response, send: Send) -> None:
    """The server waits before each message until the one before has left; the last one is empty for that."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    body = memoryview(response.body)
    for start in range(0, len(body), _PART_BYTES):
        part = bytes(body[start : start + _PART_BYTES])
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def arrival(method: Method, request: Request) -> Call:
    """The call of a request."""
    return Call(
        transport="rest",
        method=method,
        request_id=request_id(request.headers.get(REQUEST_ID_HEADER)),
        key=presented_key(request.headers),
        traced_by=trace_headers(request.headers),
    )
