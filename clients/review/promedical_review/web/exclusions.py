"""The admin's page of what a physician is never given, and why."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from promedical_review.bench_items.sets import BenchSets
from promedical_review.names import check_name
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from promedical_review.subjects import Subjects
from promedical_review.web.visits import Door, go
from promedical_review.work.exclusions import Exclusions

Text = Annotated[str, Form(max_length=10_000)]


class ExclusionPages:
    """Exclusions in the hands of admins."""

    def __init__(self, door: Door, database: Database) -> None:
        self._door = door
        self._users, self._sets, self._rounds = Users(database), BenchSets(database), Rounds(database)
        self._exclusions, self._subjects = Exclusions(database), Subjects(database)

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/users/{user_id}/exclusions", self.page, methods=["GET"])
        router.add_api_route("/users/{user_id}/exclusions", self.add, methods=["POST"])
        return router

    def page(self, request: Request, user_id: str) -> Response:
        visit = self._door.user(request, "manage")
        known = self._exclusions.of_user(user_id)
        subjects = self._subjects.of([each.subject for each in known])
        shown = [(each, subjects[each.subject]) for each in known if each.subject in subjects]
        batches = {"set": self._sets.every(), "round": self._rounds.every()}
        return visit.page("exclusions", person=self._users.get(user_id), exclusions=shown, batches=batches)

    def add(self, request: Request, user_id: str, batch: Text, key: Text, reason: Text) -> Response:
        visit = self._door.user(request, "manage")
        check_name(key.strip(), "key")
        subject = self._subjects.named(batch, key.strip())
        self._exclusions.add(user_id, subject, reason, actor=visit.user.id)
        return go(f"/users/{user_id}/exclusions")
