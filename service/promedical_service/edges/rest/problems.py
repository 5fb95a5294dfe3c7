"""A refusal as REST sends it: one problem document (RFC 9457) for every error, and the headers that go with it."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict, TypeAdapter

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical_service.errors import ServiceError

PROBLEM_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One field that is not valid."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)

    field: str
    """The path in the body, or the name of a header; empty for the request as a whole."""
    message: str
    """What was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request got no result."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)

    type: str
    """urn:promedical:problem:{code}"""
    title: str
    """The title, which is the same for every error with this code."""
    status: int
    """The HTTP status again."""
    detail: str
    """What was expected and what to do; never text of a prompt, response or criterion."""
    code: ErrorCode
    """What to act on; the same word as the reason of gRPC's ErrorInfo."""
    request_id: str
    """Quote it when you report the problem."""
    field: str | None = None
    """The first field at fault."""
    errors: tuple[FieldError, ...] | None = None
    """Every field at fault, up to 20."""
    retry_after_s: float | None = None
    """After how many seconds to try again."""


_PROBLEM: Final = TypeAdapter(Problem)


def http_status(refusal: ServiceError, overload_status: int) -> int:
    """The status from the table, unless HTTP has a finer one or the operator chose another."""
    if refusal.code is ErrorCode.OVERLOADED:
        return overload_status
    return refusal.http_status or ERROR_TABLE[refusal.code].http_status


def problem_body(refusal: ServiceError, *, status: int, request_id: str) -> bytes:
    errors = tuple(FieldError(field=found.field, message=found.message) for found in refusal.violations)
    problem = Problem(
        type=f"urn:promedical:problem:{refusal.code}",
        title=ERROR_TABLE[refusal.code].title,
        status=status,
        detail=refusal.message,
        code=refusal.code,
        request_id=request_id,
        field=errors[0].field if errors else None,
        errors=errors or None,
        retry_after_s=refusal.retry_after_s,
    )
    return _PROBLEM.dump_json(problem, exclude_none=True)


def problem_headers(refusal: ServiceError) -> dict[str, str]:
    """Retry-After in whole seconds, and how to authenticate."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if refusal.code is ErrorCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return headers
