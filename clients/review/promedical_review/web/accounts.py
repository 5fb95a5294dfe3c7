"""Pages for everybody: signing in and out, the start, the language, help."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from promedical_review.errors import LockedOutError, SignInError
from promedical_review.people.users import Users
from promedical_review.web.languages import Texts
from promedical_review.web.sign_in_pace import SignInPace
from promedical_review.web.visits import Door, go

Text = Annotated[str, Form(max_length=1024)]


class AccountPages:
    """Signing in and what surrounds it."""

    def __init__(self, door: Door, users: Users, pace: SignInPace) -> None:
        self._door, self._users, self._pace = door, users, pace

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/", self.start, methods=["GET"])
        router.add_api_route("/login", self.form, methods=["GET"])
        router.add_api_route("/login", self.sign_in, methods=["POST"])
        router.add_api_route("/logout", self.sign_out, methods=["POST"])
        router.add_api_route("/language", self.language, methods=["POST"])
        router.add_api_route("/help", self.help, methods=["GET"])
        return router

    def start(self, request: Request) -> Response:
        visit = self._door.user(request)
        return go("/work" if visit.user.may("rate") else "/rounds")

    def form(self, request: Request, back: str = "/", left: str = "") -> Response:
        visit = self._door.anyone(request)
        return go(back) if visit.somebody else visit.page("login", problem="", name="", back=back, left=bool(left))

    def sign_in(self, request: Request, name: Text, password: Text, back: Text = "/") -> Response:
        visit = self._door.anyone(request)
        address = request.client.host if request.client else ""
        wait_s = self._pace.wait_s(address)
        if wait_s:
            problem = visit.t("sign_in_slow", seconds=wait_s)
            refused = visit.page("login", status=429, problem=problem, name=name, back=back)
            refused.headers["Retry-After"] = str(wait_s)
            return refused
        try:
            user = self._users.sign_in(name, password)
        except SignInError as error:
            self._pace.failed(address)
            return visit.page("login", status=401, problem=_said(error, visit.t), name=name, back=back)
        return self._door.opened(user, go(back))

    def sign_out(self, request: Request) -> Response:
        return self._door.closed(request, go("/login?left=1" if self._door.oidc else "/login"))

    def language(self, language: Text, back: Text = "/") -> Response:
        return self._door.in_language(language, go(back))

    def help(self, request: Request) -> Response:
        return self._door.user(request).page("help")


def _said(error: SignInError, t: Texts) -> str:
    return t("sign_in_locked") if isinstance(error, LockedOutError) else t("sign_in_wrong")
