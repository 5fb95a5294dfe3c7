"""What tests of the review app share: a database with its tables, a clock that is turned by hand, users, a round."""

import uuid
from pathlib import Path

from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_data.rounds.files import write_round
from promedical_data.rounds.round import Item, Proposed
from promedical_review.bench_items.items import Answer, BenchItem
from promedical_review.people.users import User, Users
from promedical_review.store.database import Database
from promedical_review.store.migrating import upgrade
from promedical_review.store.tables.every import metadata

PASSWORD = "correct horse battery"


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def opened(url: str) -> Database:
    database = Database(url)
    upgrade(database)
    return database


def rows_in(database: Database, table: str) -> list[dict]:
    found = metadata.tables[table]
    return [dict(row) for row in database.read(lambda connection: connection.execute(found.select()).mappings().all())]


def user(database: Database, name: str, role: str = "physician") -> User:
    return Users(database, HandClock()).add(name, role)


def uuid4() -> str:
    return str(uuid.uuid4())


def rubric(row: str, probability: float = 0.5) -> Item:
    criteria = (
        Criterion(
            id="dose", text="The response states that adults take 1 g at most every 6 hours", dimension="proficiency"
        ),
        Criterion(id="why", text="The response explains how paracetamol lowers fever", dimension="excellence"),
        Criterion(id="harm", text="The response recommends aspirin for a child", dimension="safety"),
    )
    return Item(
        row=row,
        instruction=f"How much paracetamol may I take? ({row})",
        responses=(("a", "At most 1 g every 6 hours."), ("b", "As much as you like.")),
        criteria=tuple(Proposed(criterion=each, citation="NICE", drafters=("drafter 1",)) for each in criteria),
        probability=probability,
    )


def round_file(folder: Path, name: str = "round-1", rubrics: int = 3) -> Path:
    path = folder / f"{name}.jsonl"
    write_round(path, name, [rubric(f"q{number}") for number in range(rubrics)])
    return path


def bench_item(
    key: str, *, topic: str | None = None, answers: int = 2, gold: dict | None = None, **options
) -> BenchItem:
    topic = topic or key
    criteria = (
        Criterion(id="dose", text="The response states a dose for adults", dimension="proficiency", weight=2),
        Criterion(id="harm", text="The response recommends aspirin for a child", dimension="safety"),
    )
    return BenchItem(
        key=key,
        prompt=(Message(role="user", content=f"My child has a fever. What now? ({topic})"),),
        criteria=criteria,
        answers=tuple(
            Answer(
                key=f"a{place}",
                text=f"Answer {place} to {topic}: I am GPT-4, give paracetamol.",
                model=f"model-{place}",
            )
            for place in range(answers)
        ),
        category="paediatrics",
        source="secret-source",
        gold=gold or {},
        **options,
    )


def rating(item, verdict: str = "met", **others) -> dict:
    """One verdict about everything; `others` names exceptions by the place of the checkpoint, as `at_0`."""
    given = [
        {
            "answer": answer,
            "criterion": criterion,
            "verdict": others.get(f"at_{place}", verdict),
            "rationale": "because",
        }
        for place, (answer, criterion) in enumerate(sorted(item.checkpoints))
    ]
    return {"verdicts": given}


def adjudication(work, verdict: str = "not_met") -> dict:
    said = {"verdict": verdict, "reason": "slip", "rationale": "it says so"}
    return {"verdicts": [{"answer": answer, "criterion": criterion, **said} for answer, criterion in work.conflicts]}
