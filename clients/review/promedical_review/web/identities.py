"""Signing in at an issuer of OpenID Connect, and what is said where that fails."""

import logging
from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from promedical_review.clock import iso
from promedical_review.errors import IdentityError
from promedical_review.oidc.sign_in import OidcSignIn, unpacked
from promedical_review.people.identities import Identities
from promedical_review.web.sign_in_pace import SignInPace
from promedical_review.web.visits import Door, Visit, go

STATUSES: Final[Mapping[str, int]] = {
    "unreachable": 503,
    "issuer": 502,
    "state": 400,
    "denied": 403,
    "answer": 502,
    "code": 400,
    "client": 502,
    "token": 502,
    "audience": 502,
    "clock": 502,
    "unknown": 403,
    "taken": 409,
    "no_role": 403,
    "roles": 403,
}
_MOST_BACK: Final = 1024
_LOG: Final = logging.getLogger("promedical_review.oidc")


class IdentityPages:
    """The way to the issuer and back.

    Args:
        door: Opens sessions.
        identities: Whose identity is whose.
        sign_in: At the issuer.
        pace: How often one address may fail.
        public_url: Where users find the app; None: as they asked for it, on this machine.
    """

    def __init__(
        self, door: Door, identities: Identities, sign_in: OidcSignIn, pace: SignInPace, public_url: str | None
    ) -> None:
        self._door, self._identities, self._sign_in = door, identities, sign_in
        self._pace, self._public_url = pace, public_url

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/login/oidc", self.begin, methods=["GET"])
        router.add_api_route("/login/oidc/callback", self.finish, methods=["GET"])
        router.add_api_route("/logout/oidc", self.leave, methods=["GET"])
        return router

    def begin(self, request: Request, back: str = "/") -> Response:
        try:
            address, begun = self._sign_in.begin(self._at(request, "/login/oidc/callback"), back[:_MOST_BACK])
        except IdentityError as error:
            return self._refused(self._door.anyone(request), error)
        return self._door.begun(begun.packed(), RedirectResponse(address, status_code=303))

    def finish(self, request: Request) -> Response:
        visit = self._door.anyone(request)
        address = request.client.host if request.client else ""
        if wait_s := self._pace.wait_s(address):
            problem = visit.t("sign_in_slow", seconds=wait_s)
            return visit.page("login", status=429, problem=problem, name="", back="/")
        begun = unpacked(self._door.what_begun(request))
        try:
            found = self._sign_in.finish(self._at(request, "/login/oidc/callback"), begun, request.query_params)
            user = self._identities.sign_in(*found)
        except IdentityError as error:
            if error.kind != "unreachable":
                self._pace.failed(address)
            return self._door.ended(self._refused(visit, error))
        return self._door.ended(self._door.opened(user, go(begun.back if begun else "/")))

    def leave(self, request: Request) -> Response:
        """Sign out at the issuer too, which a user who has signed out here may want on a shared machine."""
        visit = self._door.anyone(request)
        try:
            address = self._sign_in.left(self._at(request, "/login"))
        except IdentityError as error:
            return self._refused(visit, error)
        if address is None:
            return visit.message(visit.t("logout"), visit.t("left_not"), status=200)
        return RedirectResponse(address, status_code=303)

    def _refused(self, visit: Visit, error: IdentityError) -> Response:
        """The page to sign in, with what went wrong. The log says which kind it was, and not whom it met."""
        _LOG.warning("sign_in_refused", extra={"kind": error.kind, "reason": str(error)})
        now = iso(self._sign_in.now())
        problem = visit.t(f"identity_{error.kind}", identity=error.identity, now=now)
        return visit.page("login", status=STATUSES[error.kind], problem=problem, name="", back="/")

    def _at(self, request: Request, path: str) -> str:
        return f"{(self._public_url or str(request.base_url)).rstrip('/')}{path}"
