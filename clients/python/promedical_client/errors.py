"""Every exception that the SDK raises, made from the one error table of the contract.

    PromedicalError
    ├── InvalidRequestError        invalid_request
    │   └── MisconfiguredError         an address, or a variable of the environment, cannot be used
    ├── NotFoundError              not_found
    ├── RevisionMismatchError      revision_mismatch
    │   ├── MixedFingerprintsError     the chunks of one call met different oracles
    │   └── MixedRubricsError          the chunks of one call met different rubrics of one name
    ├── UnauthenticatedError       unauthenticated
    ├── ForbiddenError             forbidden
    ├── TooLargeError              too_large
    ├── OverloadedError            overloaded
    ├── RateLimitedError           rate_limited
    ├── DeadlineError              deadline
    ├── UnavailableError           unavailable
    │   └── ForkedError                a gRPC client in use was inherited through a fork
    ├── CallCancelledError         cancelled
    └── InternalError              internal
        └── ProtocolError              the answer breaks the contract

This module does not know the transports; they translate what their libraries raise. An error of one item or one
response is a value in the answer, never an exception.
"""

from typing import ClassVar, Final

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical.messages import ItemOutcome


class PromedicalError(Exception):
    """A call was not answered. The error never holds text of a prompt, a response or a criterion.

    Attributes:
        code: The contract's word for what went wrong.
        message: What was expected and what to do.
        retry_after_s: How long the server asked to wait, in seconds; None if it did not say.
        request_id: What the server's log calls this call; None if nothing was sent.
        retryable: Whether sending the same request again may help; the SDK has then already tried.
        partial: The outcomes of the items that were answered, in the order of the items, if `score` failed halfway;
            otherwise empty. All come from one oracle.
    """

    code: ClassVar[ErrorCode]

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.retryable = ERROR_TABLE[self.code].retryable if retryable is None else retryable
        self.partial: tuple[ItemOutcome, ...] = ()

    def __str__(self) -> str:
        where = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{where}"


class InvalidRequestError(PromedicalError):
    """The request is not valid; the message names the field."""

    code = ErrorCode.INVALID_REQUEST


class MisconfiguredError(InvalidRequestError, ValueError):
    """The address of the service, or a variable of the environment such as a proxy, cannot be used; nothing was sent.

    It is a `ValueError` too, since it is mostly raised for arguments.
    """

    def __str__(self) -> str:
        return self.message


class NotFoundError(PromedicalError):
    """The service has no rubric of this name."""

    code = ErrorCode.NOT_FOUND


class RevisionMismatchError(PromedicalError):
    """The oracle is not the one that `expected_fingerprint` pins, or a rubric not one of `expected_rubrics`."""

    code = ErrorCode.REVISION_MISMATCH


class MixedFingerprintsError(RevisionMismatchError):
    """The oracle changed within one call, so its scores cannot be compared with each other."""


class MixedRubricsError(RevisionMismatchError):
    """A named rubric changed within one call, so scores by it cannot be compared with each other."""


class UnauthenticatedError(PromedicalError):
    """An API key is needed, or the one that was sent is not known."""

    code = ErrorCode.UNAUTHENTICATED


class ForbiddenError(PromedicalError):
    """This API key may not do that."""

    code = ErrorCode.FORBIDDEN


class TooLargeError(PromedicalError):
    """Every item, or the request as a whole, is over a limit of the service (see `model().limits`)."""

    code = ErrorCode.TOO_LARGE


class OverloadedError(PromedicalError):
    """The queue of the service stayed full through all attempts."""

    code = ErrorCode.OVERLOADED


class RateLimitedError(PromedicalError):
    """This API key sends too fast."""

    code = ErrorCode.RATE_LIMITED


class DeadlineError(PromedicalError):
    """The call was not answered within its total time."""

    code = ErrorCode.DEADLINE


class UnavailableError(PromedicalError):
    """The service cannot be reached, or is starting or stopping."""

    code = ErrorCode.UNAVAILABLE


class ForkedError(UnavailableError):
    """This process was forked from one whose gRPC client was in use; gRPC does not work here."""


class CallCancelledError(PromedicalError):
    """The service says that the caller went away. A cancelled task raises `asyncio.CancelledError`."""

    code = ErrorCode.CANCELLED


class InternalError(PromedicalError):
    """A bug in the service."""

    code = ErrorCode.INTERNAL


class ProtocolError(InternalError):
    """The answer breaks the contract: it comes from another service or a newer version, or holds a NaN."""


_CLASSES: Final[dict[ErrorCode, type[PromedicalError]]] = {kind.code: kind for kind in PromedicalError.__subclasses__()}


def error_class(code: ErrorCode) -> type[PromedicalError]:
    """The exception class of a code that answers whole requests.

    Raises:
        KeyError: The code answers items, whose errors are values.
    """
    return _CLASSES[code]


def closed_in_call(request_id: str | None = None) -> UnavailableError:
    """The error of a call whose client was closed under it: to send it again would open a new connection."""
    return UnavailableError("the client was closed during the call", request_id=request_id, retryable=False)


def code_of(word: str | None) -> ErrorCode | None:
    """The code that a server named; None for a word that, in this version, does not answer a whole request."""
    return ErrorCode(word) if word in ERROR_TABLE else None


def code_of_grpc_status(status: str, *, told_to_wait: bool) -> ErrorCode:
    """The code behind a gRPC status that came without one: from gRPC itself, or from a proxy.

    Args:
        status: The name of the `grpc.StatusCode`.
        told_to_wait: Whether the server sent a delay: without one, RESOURCE_EXHAUSTED means a message too big for gRPC.
    """
    if status == "RESOURCE_EXHAUSTED":
        return ErrorCode.OVERLOADED if told_to_wait else ErrorCode.TOO_LARGE
    if status == "CANCELLED":  # not by the caller, whose task would be cancelled: by a server that left, unread
        return ErrorCode.UNAVAILABLE
    return next((code for code, row in ERROR_TABLE.items() if row.grpc_status == status), ErrorCode.INTERNAL)


def code_of_http_status(status: int) -> ErrorCode:
    """The code behind an HTTP status that came without one, for example from a proxy."""
    codes = {row.http_status: code for code, row in ERROR_TABLE.items()} | {502: ErrorCode.UNAVAILABLE}
    is_callers_fault = 400 <= status < 500  # noqa: PLR2004 - the class of HTTP client errors
    return codes.get(status, ErrorCode.INVALID_REQUEST if is_callers_fault else ErrorCode.INTERNAL)
