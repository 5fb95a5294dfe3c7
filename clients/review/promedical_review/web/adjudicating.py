"""An adjudicator's pages: the checkpoints on which raters differ, with what they said and without who they are."""

from collections.abc import Iterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from promedical_review.bench_items.adjudicating import Adjudicating, AdjudicationWork
from promedical_review.bench_items.items import REASONS
from promedical_review.people.users import User
from promedical_review.web.bodies import VerdictsDraft, VerdictsSubmit
from promedical_review.web.rating import AnswerOnPage, Opinion, Row, answer_on_page, item_on_page
from promedical_review.web.visits import NONE_LEFT, Door, go
from promedical_review.work.desk import Desk


class AdjudicationPages:
    """Conflicts in the hands of adjudicators."""

    def __init__(self, door: Door, desk: Desk, adjudicating: Adjudicating) -> None:
        self._door, self._desk, self._adjudicating = door, desk, adjudicating

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/adjudications/next", self.take, methods=["POST"])
        router.add_api_route("/adjudications/{task_id}", self.page, methods=["GET"])
        router.add_api_route("/adjudications/{task_id}/draft", self.save_draft, methods=["PUT"])
        router.add_api_route("/adjudications/{task_id}/verdicts", self.decide, methods=["POST"])
        return router

    def take(self, request: Request) -> Response:
        return go(self._next(self._door.user(request, "adjudicate").user))

    def page(self, request: Request, task_id: str) -> Response:
        visit = self._door.user(request, "adjudicate")
        work = self._adjudicating.look(visit.user, task_id)
        shown = {"place": "/adjudications", "adjudicating": True, "reasons": REASONS, **item_on_page(work.item)}
        return visit.page("verdicts", answers=list(_answers(work)), **shown)

    def save_draft(self, request: Request, task_id: str, body: VerdictsDraft) -> Response:
        user = self._door.user(request, "adjudicate").user
        saved = self._desk.save_draft(user.id, task_id, {"verdicts": body.verdicts}, body.version)
        return JSONResponse({"version": saved.version})

    def decide(self, request: Request, task_id: str, body: VerdictsSubmit) -> Response:
        user = self._door.user(request, "adjudicate").user
        said = {"verdicts": body.verdicts}
        self._adjudicating.decide(user, task_id, said, client_id=body.submission, version=body.version)
        return JSONResponse({"next": self._next(user)})

    def _next(self, user: User) -> str:
        work = self._adjudicating.take(user)
        return f"/adjudications/{work.item.task_id}" if work else NONE_LEFT


def _answers(work: AdjudicationWork) -> Iterator[AnswerOnPage]:
    """The answers that have a conflict, each with the checkpoints that have one."""
    for number, answer in enumerate(work.item.answers):
        rows = [
            Row(criterion, _opinions(work, answer.id, criterion.id, answer.text))
            for criterion in work.item.criteria
            if (answer.id, criterion.id) in work.conflicts
        ]
        if rows:
            yield answer_on_page(work.item, number, rows)


def _opinions(work: AdjudicationWork, answer: str, criterion: str, text: str) -> list[Opinion]:
    return [
        Opinion(said.verdict, said.rationale, text[slice(*said.span)] if said.span else "")
        for said in work.conflicts[answer, criterion]
    ]
