"""A review app with its people and a browser, for tests: rounds and sets to work on, and others who do their part."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from promedical.messages import Message
from promedical_data.rounds.files import write_round
from promedical_data.rounds.round import Item
from promedical_review.bench_items.errata import Errata
from promedical_review.bench_items.items import Answer, BenchItem
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.reading import KnownItem
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from review_browsers import chromium, person, ready, served
from reviewing import opened, rubric, uuid4

PEOPLE = {"boss": "admin", "ada": "physician", "ben": "physician", "cem": "physician", "judge": "adjudicator"}


class Clinic:
    """One app with its users, and a browser."""

    def __init__(self, database: Database, address: str, browser: Browser, folder: Path) -> None:
        self.database, self.address, self.browser, self.folder = database, address, browser, folder

    def person(self, name: str, **options) -> AbstractContextManager[Page]:
        return person(self.browser, self.address, self.database, name, **options)

    def round(self, name: str, count: int, **changes) -> str:
        """Open a round of so many rubrics; gives its id."""
        path = self.folder / f"{name}.jsonl"
        write_round(path, name, [changed(rubric(f"{name}-{n}"), **changes) for n in range(count)])
        rounds = Rounds(self.database)
        found = rounds.import_file(path, actor="system")
        return rounds.open(found.id, actor="system").id

    def take(self, page: Page, round_id: str) -> None:
        page.goto("/work")
        page.click(f'form[action="/rounds/{round_id}/next"] button')
        ready(page)

    def corrected(self, item: KnownItem, wording: str) -> str:
        """Correct the wording of an item's first criterion; gives the id of the new version."""
        wordings = {item.item.criteria[0].id: wording}
        return Errata(self.database).reopen(item.ids.id, wordings, reason="It was wrong.", actor="system").item_id


def changed(item: Item, **changes) -> Item:
    values = {name: getattr(item, name) for name in item.__slots__}
    return Item(**(values | changes))


@contextmanager
def open_clinic(folder: Path) -> Iterator[Clinic]:
    """Serve an app with its users, and start a browser."""
    with ExitStack() as stack:
        database = opened(f"sqlite:///{folder}/review.db")
        stack.callback(database.close)
        for name, role in PEOPLE.items():
            Users(database).add(name, role)
        address = stack.enter_context(served(database))
        yield Clinic(database, address, stack.enter_context(chromium()), folder)


def bench_set(clinic: Clinic, name: str, count: int = 1) -> str:
    """Open a set of items with two answers each; gives its id."""
    prompt = (Message(role="user", content=f"How much paracetamol may I take? ({name})"),)
    criteria = tuple(each.criterion for each in rubric("bench").criteria)
    answers = (
        Answer(key="a", text="At most **1 g** every 6 hours.", model="model-a"),
        Answer(key="b", text="As much as you like.", model="model-b"),
    )
    items = [BenchItem(key=f"{name}-{n}", prompt=prompt, criteria=criteria, answers=answers) for n in range(count)]
    sets = BenchSets(clinic.database)
    found = sets.add(name, items, Design(overlap=0, repeats=0, golds=0), actor="system")
    return sets.open(found.id, actor="system").id


def rate(clinic: Clinic, set_id: str) -> None:
    """Two raters say the same of all items of a set; what is left in other sets is rated too."""
    rating = Rating(clinic.database)
    for name in ("ben", "cem"):
        rater = Users(clinic.database).named(name)
        while item := rating.take(rater):
            said = [{"answer": a, "criterion": c, "verdict": "met"} for a, c in item.checkpoints]
            rating.rate(rater, item.task_id, {"verdicts": said}, client_id=uuid4(), version=item.version)
    assert BenchSets(clinic.database).get(set_id).items.keys() <= {"locked", "superseded"}
