"""What every kind of work has: the list of what there is to do, the lease that is held, and giving an item back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets
from promedical_review.clock import iso
from promedical_review.people.users import User
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Round, Rounds
from promedical_review.web.visits import Door, go
from promedical_review.work.desk import Desk

_RECENT: Final = 10


@dataclass(frozen=True, slots=True)
class Recent:
    """Something that the user has done."""

    address: str
    at: str


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
        recent: What the user did last, to look at or to correct.
    """

    kind: str
    name: str
    take: str
    done: int | None
    left: int | None
    held: bool
    recent: Sequence[Recent]

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
        return [_ratings(rating, user, held=False in held), *_adjudications(user, held=True in held)]

    return batches


def _ratings(rating: Rating, user: User, *, held: bool) -> Batch:
    done = rating.done_by(user)
    recent = [Recent(f"/ratings/{each.task_id}", iso(each.done_at)) for each in done[:_RECENT]]
    return Batch(kind="ratings", name="", take="/ratings/next", done=len(done), left=None, held=held, recent=recent)


def _adjudications(user: User, *, held: bool) -> list[Batch]:
    if not user.may("adjudicate"):
        return []
    take = "/adjudications/next"
    return [Batch(kind="adjudications", name="", take=take, done=None, left=None, held=held, recent=())]


def rubric_batches(rounds: Rounds, reviewing: Reviewing, desk: Desk) -> Source:
    """Open rounds of rubrics."""

    def batches(user: User) -> Sequence[Batch]:
        held = {task.batch for task in desk.held_by(user.id)}
        opened = [each for each in rounds.every() if each.state == "open"]
        return [_rubrics(reviewing, user, each, held=each.id in held) for each in opened]

    return batches


def _rubrics(reviewing: Reviewing, user: User, found: Round, *, held: bool) -> Batch:
    done = reviewing.decided_by(user, found.id)
    return Batch(
        kind="rubrics",
        name=found.name,
        take=f"/rounds/{found.id}/next",
        done=len(done),
        left=found.rubrics - found.decided,
        held=held,
        recent=[Recent(f"/rubrics/{task.id}", iso(task.done_at or 0)) for task in done[:_RECENT]],
    )
