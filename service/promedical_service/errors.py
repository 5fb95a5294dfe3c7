"""The one error that answers a whole request. Each edge translates it by the one table of `promedical.errors`.

This module does not know transports. An unexpected exception becomes `internal` with a fixed message, since its own
text may quote a request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical.rubric import InvalidField

MAX_VIOLATIONS: Final = 20
INTERNAL_MESSAGE: Final = "The service failed on this request; report the request id to its operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One field of a request that is not valid."""

    field: str
    """The path, such as `items[0].rubric.criteria[2].weight`; empty for the request as a whole."""
    message: str
    """What was expected; never what was sent."""


class ServiceError(Exception):
    """A request gets no result.

    Attributes:
        code: The row of the error table.
        message: What was expected and what to do; never text of a prompt, response or criterion.
        retry_after_s: After how many seconds the caller should try again; None if that is not known.
        violations: The fields at fault, at most `MAX_VIOLATIONS`; only with invalid_request.
        http_status: The status if HTTP has a finer one than the table (405, 415); None for the table's.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after_s: float | None = None,
        violations: Sequence[Violation] = (),
        http_status: int | None = None,
    ) -> None:
        assert code in ERROR_TABLE, f"{code} answers items, not requests"
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.violations = tuple(violations[:MAX_VIOLATIONS])
        self.http_status = http_status


def invalid(violations: Sequence[Violation]) -> ServiceError:
    """An invalid_request that names these fields; the first one makes the message."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    message = f"{first.field}: {first.message}{more}" if first.field else f"{first.message}{more}"
    return ServiceError(ErrorCode.INVALID_REQUEST, message, violations=violations)


def invalid_field(field: str, message: str) -> ServiceError:
    """An invalid_request that names one field."""
    return invalid([Violation(field=field, message=message)])


def service_error_of(error: Exception) -> ServiceError:
    """What the caller is told about `error`."""
    match error:
        case ServiceError():
            return error
        case InvalidField():
            return invalid_field(error.field, error.reason)
        case _:
            return ServiceError(ErrorCode.INTERNAL, INTERNAL_MESSAGE)
