"""A refusal as gRPC sends it: status, google.rpc details, and the trailers that clients act on."""

from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from promedical.errors import ERROR_DOMAIN, ERROR_TABLE
from promedical_service.edges.call import REQUEST_ID_HEADER
from promedical_service.errors import ServiceError

_DETAILS_TRAILER: Final = "grpc-status-details-bin"
_PUSHBACK_TRAILER: Final = "grpc-retry-pushback-ms"


def status_code(refusal: ServiceError) -> grpc.StatusCode:
    """The gRPC status of an error, from the error table."""
    return grpc.StatusCode[ERROR_TABLE[refusal.code].grpc_status]


def trailers(refusal: ServiceError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata: request id, rich status, and when to try again."""
    found: list[tuple[str, str | bytes]] = [
        (REQUEST_ID_HEADER, request_id),
        (_DETAILS_TRAILER, rich_status(refusal).SerializeToString()),
    ]
    if refusal.retry_after_s is not None:
        found.append((_PUSHBACK_TRAILER, str(max(0, round(refusal.retry_after_s * 1000)))))
    return tuple(found)


def rich_status(refusal: ServiceError) -> status_pb2.Status:
    """google.rpc.Status with ErrorInfo, and RetryInfo and BadRequest where they apply."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=str(refusal.code), domain=ERROR_DOMAIN)]
    if refusal.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(0, round(refusal.retry_after_s * 1000)))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if refusal.violations:
        details.append(_bad_request(refusal))
    code, _ = status_code(refusal).value
    return status_pb2.Status(code=code, message=refusal.message, details=[_packed(detail) for detail in details])


def _bad_request(refusal: ServiceError) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.message)
            for violation in refusal.violations
        ]
    )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
