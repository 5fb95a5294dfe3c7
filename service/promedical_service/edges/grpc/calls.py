"""A gRPC call as the desk knows it: its metadata, its message, and how a refusal ends it."""

from collections.abc import Awaitable
from typing import Any, Final, TypeVar, cast

from promedical.errors import ErrorCode
from promedical_service.edges.access import presented_key
from promedical_service.edges.call import REQUEST_ID_HEADER, Call, request_id
from promedical_service.edges.grpc.messages import END, Place
from promedical_service.edges.grpc.status import status_code, trailers
from promedical_service.errors import ServiceError, invalid_field
from promedical_service.telemetry.tracing import trace_headers
from promedical_service.types import Method

LOOK_S: Final = 10.0
"""How many seconds a message gets to arrive; it gets six times as long while nobody else waits."""

Answer = TypeVar("Answer")


def arrival(method: Method, context: Any) -> Call:
    """The call, from its metadata; its message is not read yet."""
    headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    call = Call(
        transport="grpc",
        method=method,
        request_id=request_id(headers.get(REQUEST_ID_HEADER)),
        key=presented_key(headers),
        traced_by=trace_headers(headers),
        timeout_s=context.time_remaining(),
    )
    context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
    return call


async def unless_refused(context: Any, call: Call, serving: Awaitable[Answer]) -> Answer | None:
    """What the desk answers; None if it refuses, and then the caller learns why when the handler returns.

    `context.abort` would raise an error that holds the frames of the call, and the context holds the error. That is a
    cycle with the message in it, which would stay until the garbage collector runs.
    """
    try:
        return await serving
    except ServiceError as refusal:
        context.set_code(status_code(refusal))
        context.set_details(refusal.message)
        context.set_trailing_metadata(trailers(refusal, call.request_id))
        return None


async def read_message(place: Place, context: Any) -> bytes:
    """The message of an admitted call, as it came.

    Raises:
        ServiceError: The call has no message, or it does not arrive in time.
    """
    try:
        wire = await place.read(context)
    except TimeoutError:
        message = f"The message took over {LOOK_S:.3g} s to arrive; send smaller requests or check the network"
        raise ServiceError(ErrorCode.DEADLINE, message) from None
    if wire is END:
        raise invalid_field("", "The call ended without a message; send one")
    return cast("bytes", wire)
