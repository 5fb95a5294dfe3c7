"""The coordinator's pages of the items of a set: found, looked at with all that raters do not see, and corrected."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from promedical_review.bench_items.errata import Errata, Erratum
from promedical_review.bench_items.reading import KnownItem, lines_of
from promedical_review.bench_items.sets import BenchSets
from promedical_review.bench_items.versions import ItemVersion, version_of
from promedical_review.errors import NotFoundError
from promedical_review.store.database import Database
from promedical_review.web.prose import as_html
from promedical_review.web.visits import Door, go

_ON_A_PAGE: Final = 50
_MOST_FIELDS: Final = 1000


class ItemPages:
    """Bench items in the hands of coordinators."""

    def __init__(self, door: Door, database: Database) -> None:
        self._door, self._database = door, database
        self._sets, self._errata = BenchSets(database), Errata(database)

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/bench/{set_id}/items", self.page, methods=["GET"])
        router.add_api_route("/bench/{set_id}/items/{item_id}", self.item, methods=["GET"])
        router.add_api_route("/bench/{set_id}/items/{item_id}/correction", self.correct, methods=["POST"])
        return router

    def page(
        self,
        request: Request,
        set_id: str,
        find: Annotated[str, Query(max_length=256)] = "",
        begin: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        visit = self._door.user(request, "manage")
        found = self._sets.get(set_id)
        lines = lines_of(self._database, set_id, find.strip(), begin=begin, most=_ON_A_PAGE + 1)
        places = {"begin": begin, "before": max(begin - _ON_A_PAGE, 0), "after": begin + _ON_A_PAGE}
        more = len(lines) > _ON_A_PAGE
        return visit.page("items", set=found, lines=lines[:_ON_A_PAGE], find=find, more=more, **places)

    def item(self, request: Request, set_id: str, item_id: str) -> Response:
        visit = self._door.user(request, "manage")
        version = self._version(set_id, item_id)
        turns = [(turn.role, as_html(turn.content)) for turn in version.known.item.prompt]
        answers = [(answer, as_html(answer.text)) for answer in version.known.item.answers]
        found = self._sets.get(set_id)
        return visit.page("item", set=found, version=version, known=version.known, turns=turns, answers=answers)

    async def correct(self, request: Request, set_id: str, item_id: str) -> Response:
        """A new version, in which the criteria are worded as the form has them."""
        visit = await run_in_threadpool(self._door.user, request, "manage")
        async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
            made = await run_in_threadpool(self._correct, set_id, item_id, form, visit.user.id)
        return go(f"/bench/{set_id}/items/{made.item_id}")

    def _correct(self, set_id: str, item_id: str, form: FormData, actor: str) -> Erratum:
        known = self._version(set_id, item_id).known
        return self._errata.reopen(item_id, _changed(known, form), reason=_text(form, "reason", ""), actor=actor)

    def _version(self, set_id: str, item_id: str) -> ItemVersion:
        found = version_of(self._database, item_id)
        if found.known.set_id != set_id:
            raise NotFoundError(f"item {item_id!r}: there is none of this id in this set")
        return found


def _changed(known: KnownItem, form: FormData) -> dict[str, str]:
    """The wordings that are not as they were, by the ids of the item's file."""
    given = {each.id: (_text(form, known.ids.criteria[each.id], each.text), each.text) for each in known.item.criteria}
    return {name: text for name, (text, before) in given.items() if text != _lines(before)}


def _text(form: FormData, name: str, default: str) -> str:
    return _lines(str(form.get(name, default)))


def _lines(text: str) -> str:
    """A browser sends the ends of lines in its own way."""
    return text.replace("\r\n", "\n").strip()
