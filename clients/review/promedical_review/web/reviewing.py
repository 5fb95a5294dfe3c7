"""A physician's pages of rubric rounds: what there is to do, and the rubric that is being reviewed."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from promedical_data.rounds.round import REASONS, Proposed
from promedical_review.people.users import User
from promedical_review.rubric_rounds.decisions import rows_of
from promedical_review.rubric_rounds.reviewing import Reviewing, RubricWork
from promedical_review.web.advice import advice
from promedical_review.web.bodies import RubricBody, RubricDecision, RubricDraft
from promedical_review.web.languages import Texts
from promedical_review.web.prose import as_html
from promedical_review.web.visits import NONE_LEFT, Door, Visit, go
from promedical_review.work.desk import Desk


class ReviewPages:
    """Rubrics in the hands of physicians."""

    def __init__(self, door: Door, desk: Desk, reviewing: Reviewing) -> None:
        self._door, self._desk, self._reviewing = door, desk, reviewing

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/rounds/{round_id}/next", self.take, methods=["POST"])
        router.add_api_route("/rubrics/{task_id}", self.page, methods=["GET"])
        router.add_api_route("/rubrics/{task_id}/answers", self.answers, methods=["GET"])
        router.add_api_route("/rubrics/{task_id}/drafts", self.drafts, methods=["GET"])
        router.add_api_route("/rubrics/{task_id}/draft", self.save_draft, methods=["PUT"])
        router.add_api_route("/rubrics/{task_id}/check", self.check, methods=["POST"])
        router.add_api_route("/rubrics/{task_id}/decision", self.decide, methods=["POST"])
        return router

    def take(self, request: Request, round_id: str) -> Response:
        user = self._door.user(request, "rate").user
        return go(self._next(user, round_id))

    def page(self, request: Request, task_id: str) -> Response:
        visit = self._door.user(request, "rate")
        work = self._reviewing.look(visit.user, task_id)
        return visit.page("rubric", work=work, question=as_html(work.instruction), reasons=REASONS, **_bodies(work))

    def answers(self, request: Request, task_id: str) -> Response:
        """The answers of models, for those who open them."""
        visit, work = self._work(request, task_id)
        shown = [(ascii_uppercase[n % 26], as_html(text)) for n, (_, text) in enumerate(work.responses)]
        return HTMLResponse(visit.html("answers", answers=shown))

    def drafts(self, request: Request, task_id: str) -> Response:
        """The proposed criteria by who drafted them, side by side."""
        visit, work = self._work(request, task_id)
        return HTMLResponse(visit.html("drafts", columns=_columns(work.criteria, visit.t)))

    def save_draft(self, request: Request, task_id: str, body: RubricDraft) -> Response:
        user = self._door.user(request, "rate").user
        kept = body.model_dump(include={"criteria", "note"})
        saved = self._desk.save_draft(user.id, task_id, kept, body.version)
        return JSONResponse({"version": saved.version})

    def check(self, request: Request, task_id: str, body: RubricBody) -> Response:
        visit, work = self._work(request, task_id)
        return JSONResponse(advice(body.criteria, work.criteria, visit.t))

    def decide(self, request: Request, task_id: str, body: RubricDecision) -> Response:
        user = self._door.user(request, "rate").user
        decision = body.model_dump(include={"criteria", "note", "verdict", "reason"})
        self._reviewing.decide(user, task_id, decision, client_id=body.submission, version=body.version)
        return JSONResponse({"next": self._next(user, None)})

    def _work(self, request: Request, task_id: str) -> tuple[Visit, RubricWork]:
        visit = self._door.user(request, "rate")
        return visit, self._reviewing.look(visit.user, task_id)

    def _next(self, user: User, round_id: str | None) -> str:
        work = self._reviewing.take(user, round_id)
        return f"/rubrics/{work.task_id}" if work else NONE_LEFT


def _bodies(work: RubricWork) -> dict[str, Any]:
    """What the editor begins with: the rubric as proposed, and as it is now."""
    original = {"criteria": rows_of(work.criteria), "note": ""}
    stored = {name: value for name, value in work.stored.items() if name in original}
    saved = work.draft.body if work.draft else stored
    return {"original": original, "saved": saved if saved.get("criteria") else original}


def _columns(criteria: Sequence[Proposed], t: Texts) -> list[tuple[str, list[Proposed]]]:
    names = sorted({name for each in criteria for name in each.drafters})
    return [(t("draft_of", name=name), [each for each in criteria if name in each.drafters]) for name in names]
