"""The coordinator's pages of rounds: import, open, watch, close, and take the decisions out."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from promedical_review.errors import ClosedError
from promedical_review.rubric_rounds.figures import RoundFigures, figures_of
from promedical_review.rubric_rounds.rounds import Round, Rounds
from promedical_review.store.database import Database
from promedical_review.web.uploads import MAX_FILE_BYTES, download, read_upload
from promedical_review.web.visits import Door, Visit, go


class RoundPages:
    """Rounds in the hands of coordinators."""

    def __init__(self, door: Door, database: Database, rounds: Rounds) -> None:
        self._door, self._database, self._rounds = door, database, rounds

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/rounds", self.page, methods=["GET"])
        router.add_api_route("/rounds", self.import_file, methods=["POST"], max_body_size=MAX_FILE_BYTES)
        router.add_api_route("/rounds/{round_id}", self.round, methods=["GET"])
        router.add_api_route("/rounds/{round_id}/figures", self.figures, methods=["GET"])
        router.add_api_route("/rounds/{round_id}/open", self.open, methods=["POST"])
        router.add_api_route("/rounds/{round_id}/close", self.close, methods=["POST"])
        router.add_api_route("/rounds/{round_id}/decisions.jsonl", self.decisions, methods=["GET"])
        return router

    def page(self, request: Request) -> Response:
        return self._door.user(request, "see_results").page("rounds", rounds=self._rounds.every())

    async def import_file(self, request: Request) -> Response:
        visit = await run_in_threadpool(self._door.user, request, "manage")
        async with request.form(max_files=1, max_fields=0) as form:
            imported = await read_upload(form, visit.t, partial(self._rounds.import_file, actor=visit.user.id))
        return go(f"/rounds/{imported.id}")

    def round(self, request: Request, round_id: str) -> Response:
        visit, found, figures = self._figures(request, round_id)
        return visit.page("round", round=found, figures=figures)

    def figures(self, request: Request, round_id: str) -> Response:
        """The part of the page that changes while physicians work."""
        visit, found, figures = self._figures(request, round_id)
        return HTMLResponse(visit.html("figures", round=found, figures=figures))

    def open(self, request: Request, round_id: str) -> Response:
        return self._change(request, round_id, self._rounds.open)

    def close(self, request: Request, round_id: str, incomplete: Annotated[str, Form()] = "") -> Response:
        return self._change(request, round_id, partial(self._rounds.close, incomplete=incomplete == "yes"))

    def decisions(self, request: Request, round_id: str) -> Response:
        """The file that promedical-curate imports."""
        self._door.user(request, "see_results")
        found = self._rounds.get(round_id)
        if not found.decided:
            raise ClosedError(f"round {found.name!r}: nothing is decided yet")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "decisions.jsonl"
            self._rounds.export_decisions(round_id, path)
            return download(path.read_bytes(), f"decisions-{found.name}.jsonl", "application/jsonl")

    def _change(self, request: Request, round_id: str, change: Callable[..., Round]) -> Response:
        visit = self._door.user(request, "manage")
        change(round_id, actor=visit.user.id)
        return go(f"/rounds/{round_id}")

    def _figures(self, request: Request, round_id: str) -> tuple[Visit, Round, RoundFigures]:
        visit = self._door.user(request, "see_results")
        return visit, self._rounds.get(round_id), figures_of(self._database, round_id)
