"""A rater's pages of bench items, double-blind: what is shown comes from `bench_items.blind` and nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from promedical_review.bench_items.blind import BlindItem, ShownCriterion
from promedical_review.bench_items.rating import Rating
from promedical_review.people.users import User
from promedical_review.web.bodies import VerdictsDraft, VerdictsSubmit
from promedical_review.web.prose import as_html
from promedical_review.web.visits import NONE_LEFT, Door, go
from promedical_review.work.desk import Desk


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a rater said, as an adjudicator sees it."""

    verdict: str
    rationale: str
    span: str


@dataclass(frozen=True, slots=True)
class Row:
    """A checkpoint on a page."""

    criterion: ShownCriterion
    opinions: Sequence[Opinion] = ()


@dataclass(frozen=True, slots=True)
class AnswerOnPage:
    """An answer on a page, with the checkpoints that are asked about."""

    id: str
    label: str
    html: Markup
    rows: Sequence[Row] = field(default_factory=list)


class RatingPages:
    """Answers in the hands of raters."""

    def __init__(self, door: Door, desk: Desk, rating: Rating) -> None:
        self._door, self._desk, self._rating = door, desk, rating

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/ratings/next", self.take, methods=["POST"])
        router.add_api_route("/ratings/{task_id}", self.page, methods=["GET"])
        router.add_api_route("/ratings/{task_id}/draft", self.save_draft, methods=["PUT"])
        router.add_api_route("/ratings/{task_id}/verdicts", self.rate, methods=["POST"])
        return router

    def take(self, request: Request) -> Response:
        return go(self._next(self._door.user(request, "rate").user))

    def page(self, request: Request, task_id: str) -> Response:
        visit = self._door.user(request, "rate")
        item = self._rating.look(visit.user, task_id)
        answers = [answer_on_page(item, n, [Row(each) for each in item.criteria]) for n in range(len(item.answers))]
        shown = item_on_page(item)
        return visit.page("verdicts", place="/ratings", adjudicating=False, answers=answers, reasons=(), **shown)

    def save_draft(self, request: Request, task_id: str, body: VerdictsDraft) -> Response:
        user = self._door.user(request, "rate").user
        saved = self._desk.save_draft(user.id, task_id, {"verdicts": body.verdicts}, body.version)
        return JSONResponse({"version": saved.version})

    def rate(self, request: Request, task_id: str, body: VerdictsSubmit) -> Response:
        user = self._door.user(request, "rate").user
        said = {"verdicts": body.verdicts}
        self._rating.rate(user, task_id, said, client_id=body.submission, version=body.version)
        return JSONResponse({"next": self._next(user)})

    def _next(self, user: User) -> str:
        item = self._rating.take(user)
        return f"/ratings/{item.task_id}" if item else NONE_LEFT


def item_on_page(item: BlindItem) -> Mapping[str, Any]:
    """What raters and adjudicators see of an item besides its checkpoints."""
    kept = item.draft.body if item.draft else item.stored
    return {
        "item": item,
        "turns": [(turn.role, as_html(turn.content)) for turn in item.prompt],
        "raw": {answer.id: answer.text for answer in item.answers},
        "saved": kept if kept.get("verdicts") else {"verdicts": []},
    }


def answer_on_page(item: BlindItem, number: int, rows: Sequence[Row]) -> AnswerOnPage:
    """One answer of an item."""
    answer = item.answers[number]
    return AnswerOnPage(answer.id, ascii_uppercase[number % 26], as_html(answer.text), rows)
