"""Pictures of every page of the review app, wide and narrow, light and dark, for people to look at.

`--language zh --output FOLDER` shows the Chinese interface; it needs a font such as Debian's fonts-noto-cjk.

The items are those of `promedical-review serve --demo`. The verdicts on them are made up, so that there is something to
see; the page of agreement shows what K-QA's physicians said.
"""

import argparse
import io
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.reading import items_of
from promedical_review.bench_items.sets import BenchSets
from promedical_review.demo.filling import fill
from promedical_review.ids import draw
from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from promedical_review.store.migrating import upgrade
from promedical_review.web.languages import LANGUAGES
from promedical_review.web.serving import Address, listen, server
from promedical_review.web.telemetry import Metrics
from promedical_review.work.desk import Desk
from promedical_review.work.exclusions import Exclusions

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "review"
CHROMIUM: Final = "/usr/bin/chromium"
WIDTHS: Final = (1280, 320)
MOST_HEIGHT: Final = 1900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder for the pictures")
    parser.add_argument("--language", default="en", choices=LANGUAGES, help="language of the interface")
    given = parser.parse_args()
    output: Path = given.output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, closing(Database(f"sqlite:///{folder}/demo.db")) as database:
        upgrade(database)
        fill(database)
        pages = _worked_on(database)
        with served(database) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    look = Look(scheme=scheme, width=width, language=given.language)
                    _shoot(browser, address, database, pages, look, output)
            browser.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the pages are shown."""

    scheme: str
    width: int
    language: str


def _worked_on(database: Database) -> dict[str, tuple[str | None, str]]:
    """Some verdicts and decisions; gives who opens which page, by the name of its picture."""
    round_id, set_id = Rounds(database).every()[0].id, BenchSets(database).named("K-QA, to rate").id
    for name in ("physician-2", "physician-3"):
        _rate(database, name)
        _decide(database, name)
    users = Users(database)
    work = Adjudicating(database).take(users.named("adjudicator"))
    rubric = Reviewing(database).take(users.named("physician-1"))
    locked = next(each.ids.id for each in items_of(database, set_id) if each.state == "locked")
    assert work is not None, "raters differ"
    assert rubric is not None, "some are left"
    return {
        "sign-in": (None, "/login"),
        "my-work": ("physician-1", "/work"),
        "rubric": ("physician-1", f"/rubrics/{rubric.task_id}"),
        "two-versions": ("physician-1", f"/rubrics/{rubric.task_id}"),
        "answers": ("adjudicator", ""),
        "conflict": ("adjudicator", f"/adjudications/{work.item.task_id}"),
        "rounds": ("admin", "/rounds"),
        "round": ("admin", f"/rounds/{round_id}"),
        "bench": ("admin", "/bench"),
        "set": ("admin", f"/bench/{set_id}"),
        "agreement": ("viewer", f"/bench/{BenchSets(database).named('K-QA, rated by its physicians').id}/agreement"),
        "items": ("admin", f"/bench/{set_id}/items"),
        "item": ("admin", f"/bench/{set_id}/items/{locked}"),
        "users": ("admin", "/users"),
        "exclusions": ("admin", f"/users/{_excluded(database, locked)}/exclusions"),
        "help": ("physician-1", "/help"),
    }


def _excluded(database: Database, item_id: str) -> str:
    """Somebody who is kept from an item."""
    user = Users(database).named("physician-1")
    Exclusions(database).add(user.id, item_id, "Knows the patient who asked.", actor="system")
    return user.id


def _rate(database: Database, name: str) -> None:
    rating, user = Rating(database), Users(database).named(name)
    for _ in range(3):
        if (item := rating.take(user)) is None:
            return
        said = [
            {"answer": answer, "criterion": criterion, "verdict": _verdict(answer, criterion, name)}
            for answer, criterion in item.checkpoints
        ]
        rating.rate(user, item.task_id, {"verdicts": said}, client_id=str(uuid4()), version=0)


def _verdict(answer: str, criterion: str, name: str) -> str:
    if draw(answer, criterion, name) < 0.2:  # noqa: PLR2004 - now and then somebody differs
        return "cannot_assess"
    return "met" if draw(answer, criterion) < 0.5 else "not_met"  # noqa: PLR2004


def _decide(database: Database, name: str) -> None:
    reviewing, user = Reviewing(database), Users(database).named(name)
    bodies = ({"verdict": "accepted"}, {"verdict": "rejected", "reason": "criteria_wrong"})
    for body in bodies:
        work = reviewing.take(user)
        assert work is not None, "some are left"
        reviewing.decide(user, work.task_id, body, client_id=str(uuid4()), version=0)


@contextmanager
def served(database: Database) -> Iterator[str]:
    """Serve the app; gives its address."""
    address = Address(port=0)
    with closing(listen(address)) as listening:
        running = server(database, Metrics(), address)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


def _shoot(
    browser: Browser,
    address: str,
    database: Database,
    pages: dict[str, tuple[str | None, str]],
    look: Look,
    output: Path,
) -> None:
    for picture, (name, path) in pages.items():
        screen = {"width": look.width, "height": 800}
        context = browser.new_context(base_url=address, viewport=screen, color_scheme=look.scheme)  # type: ignore[arg-type]
        context.add_cookies([{"name": "language", "value": look.language, "url": address}])
        if name is not None:
            token = Sessions(database).open(Users(database).named(name))
            context.add_cookies([{"name": "session", "value": token, "url": address}])
        page = context.new_page()
        _open(page, path)
        if picture == "two-versions":
            _meet_another_version(page, database)
        _save(page, output / f"{picture}-{look.width}-{look.scheme}.webp", whole=picture != "two-versions")
        context.close()


def _open(page: Page, path: str) -> None:
    """Open a page; the one of an item to rate has no address before the item is taken."""
    if path:
        page.goto(path)
    else:
        page.goto("/work")
        page.click('form[action="/ratings/next"] button')
    page.wait_for_load_state("networkidle")


def _meet_another_version(page: Page, database: Database) -> None:
    """Write over a draft that was saved elsewhere in the meantime."""
    task, user = page.url.rsplit("/", 1)[1], Users(database).named("physician-1").id
    known = Desk(database).draft(user, task)
    rubric = json.loads(page.locator("#original").inner_text())
    rubric["criteria"][0]["text"] += " It names the dose."
    Desk(database).save_draft(user, task, rubric, known.version if known else 0)
    page.locator(".criterion textarea").first.fill("States when to see a doctor.")
    page.wait_for_selector("#conflict[open]")


def _save(page: Page, path: Path, *, whole: bool) -> None:
    """The whole page, but no more than what is worth looking at; with a dialog, what the screen shows."""
    image = Image.open(io.BytesIO(page.screenshot(full_page=whole)))
    image.crop((0, 0, image.width, min(image.height, MOST_HEIGHT))).save(path, quality=33, method=6)


if __name__ == "__main__":
    main()
