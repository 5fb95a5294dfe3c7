"""Errors that answer a whole request. Each edge translates them by the one table of `promedical.errors`."""

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical.rubric import InvalidField


class ServiceError(Exception):
    """A request that gets no result.

    Attributes:
        code: Which row of the error table.
        message: What was expected and what to do; never text of a prompt, response or criterion.
        retry_after_s: When the caller should try again, where that is known.
    """

    def __init__(self, code: ErrorCode, message: str, *, retry_after_s: float | None = None) -> None:
        assert code in ERROR_TABLE, f"{code} answers items, not requests"
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class InvalidRequest(ServiceError):  # noqa: N818 - named as in the error table
    """A field of the request that the contract refuses; edges may point at it."""

    def __init__(self, invalid: InvalidField) -> None:
        super().__init__(ErrorCode.INVALID_REQUEST, f"{invalid}")
        self.field = invalid.field
        self.reason = invalid.reason
