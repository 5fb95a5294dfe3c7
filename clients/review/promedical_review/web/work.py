"""What every kind of work has: the list of what there is to do, the lease that is held, and giving an item back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets
from promedical_review.people.users import User
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.web.visits import Door, go
from promedical_review.work.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Work of one kind that a user may take.

    Attributes:
        kind: rubrics, ratings or adjudications.
        name: What coordinators call it; empty where the user must not learn it.
        take: Where the next item is asked for.
        done: How many items the user has done; None where nobody counts.
        left: How many nobody has done; None where the user must not learn it.
        held: Whether the user holds an item of it.
    """

    kind: str
    name: str
    take: str
    done: int | None
    left: int | None
    held: bool

    @property
    def open(self) -> bool:
        """Whether there may be something to do."""
        return self.held or self.left != 0


Source = Callable[[User], Sequence[Batch]]


class WorkPages:
    """What a user has to do."""

    def __init__(self, door: Door, desk: Desk, sources: Sequence[Source]) -> None:
        self._door, self._desk, self._sources = door, desk, sources

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/work", self.page, methods=["GET"])
        router.add_api_route("/tasks/{task_id}/lease", self.hold, methods=["POST"])
        router.add_api_route("/tasks/{task_id}/release", self.release, methods=["POST"])
        return router

    def page(self, request: Request, none: str = "") -> Response:
        """The list; `none` says that there was no item left of the kind that the user asked for."""
        visit = self._door.user(request, "rate")
        batches = [batch for source in self._sources for batch in source(visit.user)]
        return visit.page("work", batches=batches, none_left=bool(none))

    def hold(self, request: Request, task_id: str) -> Response:
        user = self._door.user(request, "rate").user
        return JSONResponse({"until": self._desk.heartbeat(user.id, task_id)})

    def release(self, request: Request, task_id: str) -> Response:
        user = self._door.user(request, "rate").user
        self._desk.release(user.id, task_id)
        return go("/work")


def bench_batches(sets: BenchSets, rating: Rating, desk: Desk) -> Source:
    """Answers to rate and conflicts to decide, in all open sets together: a rater does not learn of sets or counts."""

    def batches(user: User) -> Sequence[Batch]:
        if all(each.state != "open" for each in sets.every()):
            return []
        held = {task.purpose == "adjudication" for task in desk.held_by(user.id) if task.purpose != "rubric"}
        done = len(rating.done_by(user))
        ratings = Batch(kind="ratings", name="", take="/ratings/next", done=done, left=None, held=False in held)
        if not user.may("adjudicate"):
            return [ratings]
        take = "/adjudications/next"
        return [ratings, Batch(kind="adjudications", name="", take=take, done=None, left=None, held=True in held)]

    return batches


def rubric_batches(rounds: Rounds, reviewing: Reviewing, desk: Desk) -> Source:
    """Open rounds of rubrics."""

    def batches(user: User) -> Sequence[Batch]:
        held = {task.batch for task in desk.held_by(user.id)}
        return [
            Batch(
                kind="rubrics",
                name=each.name,
                take=f"/rounds/{each.id}/next",
                done=len(reviewing.decided_by(user, each.id)),
                left=each.rubrics - each.decided,
                held=each.id in held,
            )
            for each in rounds.every()
            if each.state == "open"
        ]

    return batches
