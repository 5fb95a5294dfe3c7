"""The admin's page of users. Passwords are made here and shown once; nobody chooses one for another person."""

import secrets
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from promedical_review.people.roles import ROLES
from promedical_review.people.users import Users
from promedical_review.web.visits import Door, Visit, go

Name = Annotated[str, Form(max_length=1024)]
_PASSWORD_BYTES: Final = 15


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that was made just now, for the only page that shows it."""

    name: str
    password: str


class UserPages:
    """Accounts."""

    def __init__(self, door: Door, users: Users) -> None:
        self._door, self._users = door, users

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/users", self.page, methods=["GET"])
        router.add_api_route("/users", self.add, methods=["POST"])
        router.add_api_route("/users/{user_id}/role", self.role, methods=["POST"])
        router.add_api_route("/users/{user_id}/active", self.active, methods=["POST"])
        router.add_api_route("/users/{user_id}/password", self.password, methods=["POST"])
        return router

    def page(self, request: Request) -> Response:
        return self._shown(self._door.user(request, "manage"))

    def add(self, request: Request, name: Name, role: Name, invited: Name = "") -> Response:
        """Add a user; one who is invited signs in with OIDC, by an e-mail address as the name."""
        visit = self._door.user(request, "manage")
        made = None if invited and visit.oidc else NewPassword(name=name, password=new_password())
        self._users.add(name, role, password=made.password if made else None, actor=visit.user.id)
        return self._shown(visit, made)

    def role(self, request: Request, user_id: str, role: Name) -> Response:
        visit = self._door.user(request, "manage")
        self._users.set_role(user_id, role, actor=visit.user.id)
        return go("/users")

    def active(self, request: Request, user_id: str, active: Name) -> Response:
        visit = self._door.user(request, "manage")
        self._users.set_active(user_id, active=active == "yes", actor=visit.user.id)
        return go("/users")

    def password(self, request: Request, user_id: str) -> Response:
        visit = self._door.user(request, "manage")
        made = NewPassword(name=self._users.get(user_id).name, password=new_password())
        self._users.set_password(user_id, made.password, actor=visit.user.id)
        return self._shown(visit, made)

    def _shown(self, visit: Visit, made: NewPassword | None = None) -> Response:
        return visit.page("users", everybody=self._users.every(), roles=ROLES, made=made)


def new_password() -> str:
    """A password that nobody guesses."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)
