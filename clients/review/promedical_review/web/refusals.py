"""What went wrong, told to whoever asked: a page for people, JSON for scripts. No error shows a stack."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from promedical_data.errors import DataError
from promedical_review.errors import (
    ClosedError,
    ConflictError,
    DatabaseError,
    InvalidError,
    LeaseLostError,
    NotAllowedError,
    NotFoundError,
    ReviewError,
    SchemaError,
)
from promedical_review.web.languages import Texts, language_of
from promedical_review.web.visits import Door, NoSessionError, Visit, go

STATUSES: Final[Mapping[type[ReviewError], int]] = {
    InvalidError: 422,
    NotFoundError: 404,
    NotAllowedError: 403,
    ClosedError: 409,
    LeaseLostError: 409,
    ConflictError: 409,
    DatabaseError: 503,
    SchemaError: 503,
}
_UNAVAILABLE: Final = 503


class Refusals:
    """Turns exceptions into answers."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def install(self, app: FastAPI) -> None:
        """Answer all errors of an app."""
        app.add_exception_handler(NoSessionError, self._no_session)
        app.add_exception_handler(ReviewError, self._refused)
        app.add_exception_handler(DataError, self._unusable)
        app.add_exception_handler(RequestValidationError, self._invalid)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(Exception, self._broken)

    def _no_session(self, request: Request, _: Exception) -> Response:
        if wants_json(request):
            return JSONResponse({"message": _texts(request)("session_ended")}, status_code=401)
        back = request.url.path if request.method == "GET" else "/"
        return go(f"/login?back={back}" if back != "/" else "/login")

    def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, ReviewError)
        status = STATUSES.get(type(error), 400)
        extra = {"version": error.version, "theirs": error.theirs} if isinstance(error, ConflictError) else {}
        kind = f"error_{status}"
        said = _texts(request)("database_down") if isinstance(error, DatabaseError) else str(error)
        return self._answer(request, status, kind, said, extra)

    def _unusable(self, request: Request, error: Exception) -> Response:
        """A file cannot be written: there is nothing to put into it yet."""
        return self._answer(request, 409, "error_409", str(error))

    def _invalid(self, request: Request, error: Exception) -> Response:
        """A body that is not of the form that our pages send. What was sent is not repeated."""
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return self._answer(request, 422, "error_422", f"{where}: {first['msg']}")

    def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = f"error_{error.status_code}"
        return self._answer(request, error.status_code, kind, _texts(request)("error_here"))

    def _broken(self, request: Request, _: Exception) -> Response:
        return self._answer(request, 500, "error_500", _texts(request)("error_ours"))

    def _answer(
        self, request: Request, status: int, kind: str, message: str, extra: Mapping[str, Any] | None = None
    ) -> Response:
        texts = _texts(request)
        title = texts(kind if texts.has(kind) else "error_other")
        if wants_json(request):
            answer: Response = JSONResponse({"message": message, **(extra or {})}, status_code=status)
        else:
            visit = self._visit(request, texts, status)
            answer = visit.message(title, message, status=status, retry=status == _UNAVAILABLE)
        if status == _UNAVAILABLE:
            answer.headers["Retry-After"] = "5"
        return answer

    def _visit(self, request: Request, texts: Texts, status: int) -> Visit:
        """Who calls, where that can be found out: a database that is down does not know."""
        if status >= 500:  # noqa: PLR2004
            return Visit(request=request, somebody=None, t=texts)
        try:
            return self._door.anyone(request)
        except ReviewError:
            return Visit(request=request, somebody=None, t=texts)


def wants_json(request: Request) -> bool:
    """Whether a script asks, and not a browser on its way to a page."""
    return "application/json" in request.headers.get("accept", "")


def _texts(request: Request) -> Texts:
    return Texts(language_of(request.cookies.get("language"), request.headers.get("accept-language", "")))
