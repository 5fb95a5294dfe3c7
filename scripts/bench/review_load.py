"""Fifty raters at once on the review app: how long its answers take, and whether any work is lost or stored twice.

The app runs in a process of its own on the database that is given, which must be empty. Raters take rubrics, save
drafts and decide, with a pause of random length before each step; real physicians pause much longer. `--write` keeps
the figures in docs/results/review-load.json.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import func, select

from promedical.rubric import Criterion, Dimension
from promedical_data.rounds.files import write_round
from promedical_data.rounds.round import Item, Proposed
from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from promedical_review.store.migrating import upgrade
from promedical_review.store.tables.work import submissions

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "review-load.json"
PROGRAM: Final = "from promedical_review.cli import main; main()"
CRITERIA: Final = 12
RUBRICS: Final = 1000

Times = dict[str, list[float]]
"""Seconds by the kind of the call."""


class Rater:
    """One rater at a browser, who pauses before each step."""

    def __init__(self, url: str, token: str, round_id: str, pause_s: float) -> None:
        self._client = httpx.AsyncClient(base_url=url, cookies={"session": token}, timeout=60)
        self._round, self._pause_s = round_id, pause_s
        self.times: Times = {}
        self.stored = 0

    async def work(self, until: float) -> None:
        """Review rubrics until the time is over."""
        async with self._client:
            await self._call("page", "GET", "/work")
            while time.monotonic() < until:
                taken = await self._call("take", "POST", f"/rounds/{self._round}/next")
                await self._review(taken.headers["location"])

    async def _review(self, path: str) -> None:
        page = await self._call("page", "GET", path)
        found = re.search(r'id="original" type="application/json">(.*?)</script>', page.text)
        assert found, "the page holds the rubric"
        rubric = json.loads(found[1])
        rubric["criteria"][0]["text"] += " It says so plainly."
        await self._call("check", "POST", f"{path}/check", {"criteria": rubric["criteria"]})
        await self._call("draft", "PUT", f"{path}/draft", {"version": 0, **rubric})
        decision = {"submission": str(uuid.uuid4()), "version": 0, "verdict": "fixed", **rubric}
        await self._call("submit", "POST", f"{path}/decision", decision)
        self.stored += 1

    async def _call(self, kind: str, method: str, path: str, body: Any = None) -> httpx.Response:
        await asyncio.sleep(random.expovariate(1 / self._pause_s))
        began = time.perf_counter()
        answer = await self._client.request(method, path, json=body)
        self.times.setdefault(kind, []).append(time.perf_counter() - began)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code}"  # noqa: PLR2004
        return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", required=True, help="an empty database, as promedical-review takes it")
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=3, help="mean pause before each step, in seconds")
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/results")
    given = parser.parse_args()
    with closing(Database(given.database)) as database:
        round_id, tokens = _study(database, given.raters)
        with _serving(given.database) as url:
            raters = [Rater(url, token, round_id, given.pause) for token in tokens]
            asyncio.run(_all(raters, given.seconds))
        kept = database.read(lambda found: found.execute(select(func.count()).select_from(submissions)).scalar_one())
        figures = _figures(raters, kept, "SQLite" if database.is_sqlite else "PostgreSQL", given)
    print(json.dumps(figures, indent=2))
    if given.write:
        RESULT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(kept != figures["decisions"])


def _study(database: Database, raters: int) -> tuple[str, list[str]]:
    upgrade(database)
    rounds, sessions, users = Rounds(database), Sessions(database), Users(database)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "round.jsonl"
        write_round(path, "load", map(_item, range(RUBRICS)))
        found = rounds.import_file(path, actor="system")
    rounds.open(found.id, actor="system")
    return found.id, [sessions.open(users.add(f"rater {n}", "physician")) for n in range(raters)]


def _item(number: int) -> Item:
    dimensions = list(Dimension)
    criteria = [
        Criterion(id=f"c{n}", text=f"States fact {n} of question {number}.", dimension=dimensions[n % 3])
        for n in range(CRITERIA)
    ]
    proposed = tuple(Proposed(criterion=each) for each in criteria)
    return Item(row=f"q{number}", instruction=f"Question {number}?", responses=(), criteria=proposed, probability=0.5)


@contextmanager
def _serving(database: str) -> Iterator[str]:
    command = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", "--database", database]
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{_port(log)}"
        finally:
            process.send_signal(signal.SIGTERM)


def _port(log: Any) -> str:
    for _ in range(600):
        log.seek(0)
        if found := re.search(r'"port": (\d+)', log.read()):
            return found[1]
        time.sleep(0.1)
    raise TimeoutError("the app does not listen")


async def _all(raters: list[Rater], seconds: float) -> None:
    until = time.monotonic() + seconds
    await asyncio.gather(*(rater.work(until) for rater in raters))


def _figures(raters: list[Rater], kept: int, kind: str, given: argparse.Namespace) -> dict[str, Any]:
    times: Times = {}
    for rater in raters:
        for name, found in rater.times.items():
            times.setdefault(name, []).extend(found)
    return {
        "database": kind,
        "raters": given.raters,
        "pause_s": given.pause,
        "seconds": given.seconds,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "decisions": sum(rater.stored for rater in raters),
        "submissions_stored": kept,
        "milliseconds": {name: _percentiles(found) for name, found in sorted(times.items())},
    }


def _percentiles(found: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(found, n=100)
    return {"calls": len(found), **{f"p{at}": round(1000 * cuts[at - 1], 1) for at in (50, 95, 99)}}


if __name__ == "__main__":
    sys.exit(main())
