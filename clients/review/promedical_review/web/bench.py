"""The coordinator's pages of bench sets: import, open, watch, close, and how far raters agree."""

import csv
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from promedical_data.reading import read
from promedical_review.agreement.report import AgreementReport, AgreementRow, report_of, titles
from promedical_review.agreement.tables import COLUMNS, rows_of
from promedical_review.bench_items.items import BenchItem, item_of
from promedical_review.bench_items.sets import BenchSet, BenchSets, Design
from promedical_review.errors import InvalidError
from promedical_review.formats.bench_export import export_bench
from promedical_review.store.database import Database
from promedical_review.web.languages import Texts
from promedical_review.web.plots import Interval, Plot, interval_plot
from promedical_review.web.uploads import MAX_FILE_BYTES, download, read_upload
from promedical_review.web.visits import Door, go

_PLOTTED: Final = ("raw_agreement", "kappa", "gwet_ac1")
_SHARES: Final = ("overlap", "repeats", "golds")


class BenchPages:
    """Bench sets in the hands of coordinators."""

    def __init__(self, door: Door, database: Database, sets: BenchSets) -> None:
        self._door, self._database, self._sets = door, database, sets

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/bench", self.page, methods=["GET"])
        router.add_api_route("/bench", self.import_file, methods=["POST"], max_body_size=MAX_FILE_BYTES)
        router.add_api_route("/bench/{set_id}", self.set, methods=["GET"])
        router.add_api_route("/bench/{set_id}/open", self.open, methods=["POST"])
        router.add_api_route("/bench/{set_id}/close", self.close, methods=["POST"])
        router.add_api_route("/bench/{set_id}/export.zip", self.export, methods=["GET"])
        router.add_api_route("/bench/{set_id}/agreement", self.agreement, methods=["GET"])
        router.add_api_route("/bench/{set_id}/agreement.csv", self.agreement_csv, methods=["GET"])
        return router

    def page(self, request: Request) -> Response:
        visit = self._door.user(request, "see_results")
        return visit.page("bench_sets", sets=self._sets.every(), design=Design())

    async def import_file(self, request: Request) -> Response:
        """Labelled data as items to rate; labels of the file are left out."""
        visit = await run_in_threadpool(self._door.user, request, "manage")
        async with request.form(max_files=1, max_fields=1 + len(_SHARES)) as form:
            items = await read_upload(form, visit.t, _items)
            name = str(form.get("name", "")).strip()
            design = Design(**{share: _share(share, str(form.get(share, ""))) for share in _SHARES})
        add = partial(self._sets.add, name, items, design, actor=visit.user.id)
        return go(f"/bench/{(await run_in_threadpool(add)).id}")

    def set(self, request: Request, set_id: str) -> Response:
        visit = self._door.user(request, "see_results")
        return visit.page("bench_set", set=self._sets.get(set_id), progress=self._sets.progress(set_id))

    def open(self, request: Request, set_id: str) -> Response:
        return self._change(request, set_id, self._sets.open)

    def close(self, request: Request, set_id: str, incomplete: Annotated[str, Form()] = "") -> Response:
        return self._change(request, set_id, partial(self._sets.close, incomplete=incomplete == "yes"))

    def export(self, request: Request, set_id: str) -> Response:
        """The benchmark that the set is, as `promedical-review export bench` writes it."""
        self._door.user(request, "see_results")
        name = self._sets.get(set_id).name
        with tempfile.TemporaryDirectory() as folder:
            export_bench(self._database, set_id, Path(folder) / "bench")
            packed = shutil.make_archive(f"{folder}/packed", "zip", Path(folder) / "bench")
            return download(Path(packed).read_bytes(), f"{name}.zip", "application/zip")

    def agreement(self, request: Request, set_id: str) -> Response:
        visit = self._door.user(request, "see_results")
        found, report = self._sets.get(set_id), report_of(self._database, set_id)
        tables = [(name, rows, _measured(rows, visit.t)) for name, rows in _tables(report) if rows]
        plots = [plot for name, rows, _ in tables for plot in _plots(visit.t(name), rows, visit.t)]
        return visit.page("agreement", set=found, report=report, tables=tables, plots=plots, part=_part)

    def agreement_csv(self, request: Request, set_id: str) -> Response:
        self._door.user(request, "see_results")
        found, report = self._sets.get(set_id), report_of(self._database, set_id)
        with io.StringIO() as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows_of(report))
            return download(stream.getvalue().encode(), f"agreement-{found.name}.csv", "text/csv")

    def _change(self, request: Request, set_id: str, change: Callable[..., BenchSet]) -> Response:
        visit = self._door.user(request, "manage")
        change(set_id, actor=visit.user.id)
        return go(f"/bench/{set_id}")


def _items(path: Path) -> list[BenchItem]:
    return [item_of(prompt) for prompt in read(path).prompts]


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidError(f"is {text[:20]!r}; expected a number from 0 to 1", name) from None


def _tables(report: AgreementReport) -> list[tuple[str, Sequence[AgreementRow]]]:
    return [("physicians", report.physicians), ("claims", report.claims), ("judges", report.judges)]


def _measured(rows: Sequence[AgreementRow], t: Texts) -> dict[str, str]:
    """The titles of the measures that some row has a value of: only these are columns."""
    known = {name for row in rows for name, at in row.measures.items() if at.value is not None}
    return {name: t(f"measure_{name}") for name in titles() if name in known}


def _part(row: AgreementRow, t: Texts) -> str:
    """What a row is about."""
    if row.by == "all":
        return t("by_all")
    part = t(f"dimension_{row.part}") if row.by == "dimension" else row.part.replace(" and ", " / ")
    return f"{t(f'by_{row.by}')}: {part}"


def _plots(name: str, rows: Sequence[AgreementRow], t: Texts) -> Iterator[Plot]:
    for measure in _PLOTTED:
        intervals = [
            Interval(_part(row, t), at.value, at.low, at.high)
            for row in rows
            if (at := row.measures.get(measure)) and at.value is not None and at.low is not None and at.high is not None
        ]
        if intervals:
            yield interval_plot(f"{name}: {t(f'measure_{measure}')}", intervals)
