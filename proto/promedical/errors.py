"""The one error vocabulary: every code, what it is on each transport, and whether a client may retry it.

Server edges translate an `ErrorCode` to a status, clients translate the status back; both read this
table, so they cannot disagree. Messages say what was expected and what to do, and never contain
text of a prompt, a response or a criterion.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErrorCode(StrEnum):
    """What went wrong, in one word. The first group answers a whole request, the second one item or response."""

    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    REVISION_MISMATCH = "revision_mismatch"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too_large"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    INVALID_ITEM = "invalid_item"
    EMPTY_RESPONSE = "empty_response"
    TOO_LONG = "too_long"
    ENGINE_FAILURE = "engine_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """One row of the table for errors that answer a whole request."""

    grpc_status: str
    """The name of the `grpc.StatusCode`."""
    http_status: int
    retryable: bool
    """Whether the SDK sends the request again; such answers carry RetryInfo or Retry-After where a delay is known."""
    title: str


ERROR_TABLE: Final[dict[ErrorCode, ErrorRow]] = {
    ErrorCode.INVALID_REQUEST: ErrorRow(
        grpc_status="INVALID_ARGUMENT", http_status=422, retryable=False, title="The request is not valid"
    ),
    ErrorCode.NOT_FOUND: ErrorRow(
        grpc_status="NOT_FOUND", http_status=404, retryable=False, title="No such thing here"
    ),
    ErrorCode.REVISION_MISMATCH: ErrorRow(
        grpc_status="FAILED_PRECONDITION",
        http_status=412,
        retryable=False,
        title="The oracle is not the one that was expected",
    ),
    ErrorCode.UNAUTHENTICATED: ErrorRow(
        grpc_status="UNAUTHENTICATED", http_status=401, retryable=False, title="An API key is needed"
    ),
    ErrorCode.FORBIDDEN: ErrorRow(
        grpc_status="PERMISSION_DENIED", http_status=403, retryable=False, title="This API key may not do that"
    ),
    ErrorCode.TOO_LARGE: ErrorRow(
        grpc_status="RESOURCE_EXHAUSTED", http_status=413, retryable=False, title="The request is over a limit"
    ),
    ErrorCode.OVERLOADED: ErrorRow(
        grpc_status="RESOURCE_EXHAUSTED", http_status=503, retryable=True, title="The queue is full"
    ),
    ErrorCode.RATE_LIMITED: ErrorRow(
        grpc_status="RESOURCE_EXHAUSTED", http_status=429, retryable=True, title="This API key sends too fast"
    ),
    ErrorCode.DEADLINE: ErrorRow(
        grpc_status="DEADLINE_EXCEEDED", http_status=504, retryable=False, title="The deadline passed"
    ),
    ErrorCode.UNAVAILABLE: ErrorRow(
        grpc_status="UNAVAILABLE", http_status=503, retryable=True, title="The service cannot answer now"
    ),
    ErrorCode.CANCELLED: ErrorRow(
        grpc_status="CANCELLED", http_status=499, retryable=False, title="The caller went away"
    ),
    ErrorCode.INTERNAL: ErrorRow(
        grpc_status="INTERNAL", http_status=500, retryable=False, title="A bug in the service"
    ),
}

ITEM_ERROR_CODES: Final = frozenset(
    {ErrorCode.INVALID_ITEM, ErrorCode.EMPTY_RESPONSE, ErrorCode.TOO_LONG, ErrorCode.ENGINE_FAILURE}
)
"""Codes that answer one item or one response inside an otherwise good answer."""

RETRYABLE_ITEM_CODES: Final = frozenset({ErrorCode.ENGINE_FAILURE})
"""Item codes for which sending the same item again may help."""

ERROR_DOMAIN: Final = "promedical"
"""`domain` of the gRPC ErrorInfo detail; its `reason` is the `ErrorCode`."""
