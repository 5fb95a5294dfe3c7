"""From any exception to the one kind that the edges send: a ServiceError that may name fields.

Knows nothing of transports. An exception nobody foresaw becomes `internal` with a fixed message: its own
text may quote a request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promedical.errors import ErrorCode
from promedical.rubric import InvalidField
from promedical_service.errors import InvalidRequest, ServiceError

MAX_VIOLATIONS: Final = 20
INTERNAL_MESSAGE: Final = "The service failed on this request; report the request id to its operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One field of a request that is not acceptable."""

    field: str
    """Path, as `items[0].rubric.criteria[2].weight`; empty for the request as a whole."""
    message: str
    """What was expected; never what was sent."""


class Refusal(ServiceError):  # noqa: N818 - the word of the domain
    """An error as an edge sends it.

    Attributes:
        violations: The fields at fault, at most `MAX_VIOLATIONS`; only with invalid_request.
        http_status: Where HTTP has a finer status than the table (405, 415); None: the table's.
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
        super().__init__(code, message, retry_after_s=retry_after_s)
        self.violations = tuple(violations[:MAX_VIOLATIONS])
        self.http_status = http_status


def invalid(violations: Sequence[Violation]) -> Refusal:
    """An invalid_request that names these fields; the first one makes the message."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    message = f"{first.field}: {first.message}{more}" if first.field else f"{first.message}{more}"
    return Refusal(ErrorCode.INVALID_REQUEST, message, violations=violations)


def refusal_of(error: Exception) -> Refusal:
    """What the caller is told about `error`."""
    match error:
        case Refusal():
            return error
        case InvalidRequest():
            return invalid([Violation(field=error.field, message=error.reason)])
        case ServiceError():
            return Refusal(error.code, error.message, retry_after_s=error.retry_after_s)
        case InvalidField():
            return invalid([Violation(field=error.field, message=error.reason)])
        case _:
            return Refusal(ErrorCode.INTERNAL, INTERNAL_MESSAGE)
