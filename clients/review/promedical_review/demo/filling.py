"""Fills an empty database with examples: a round of rubrics, some with faults for the lint, and answers to rate.

The questions, the rubrics and the answers are our own; the answers are those that the client comes with.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any, Final

from promedical.conversation import parse_prompt
from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_review.bench_items.items import Answer, BenchItem
from promedical_review.bench_items.sets import BenchSets
from promedical_review.people.roles import Role
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database

_ROLES: Final[dict[str, Role]] = {
    "admin": "admin",
    "physician-1": "physician",
    "physician-2": "physician",
    "physician-3": "physician",
    "adjudicator": "adjudicator",
    "viewer": "viewer",
}
_PASSWORD_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody to sign in as."""

    name: str
    role: Role
    password: str


def fill(database: Database) -> list[Account]:
    """Add the users, an open round and an open set of answers. Gives the accounts; their passwords stand nowhere else.

    Raises:
        InvalidError: The database has such users already.
    """
    accounts = list(_added(database))
    admin = Users(database).named("admin")
    rounds = Rounds(database)
    with as_file(files(__package__) / "round.jsonl") as path:
        imported = rounds.import_file(path, actor=admin.id)
    rounds.open(imported.id, actor=admin.id)
    sets = BenchSets(database)
    sets.open(sets.add("demo-answers", _items(), actor=admin.id).id, actor=admin.id)
    return accounts


def _items() -> list[BenchItem]:
    examples = (files("promedical_client") / "examples" / "medical_answers.jsonl").read_text(encoding="utf-8")
    return [_item(json.loads(line)) for line in examples.splitlines()]


def _item(row: dict[str, Any]) -> BenchItem:
    """An example as an item; one answer of the examples is empty, which nobody can rate."""
    prompt = row["prompt"]
    written = [text for text in row["responses"] if text.strip()]
    return BenchItem(
        key=row["id"],
        prompt=parse_prompt(prompt if isinstance(prompt, str) else [Message(**turn) for turn in prompt]),
        criteria=tuple(Criterion(**each) for each in row["rubric"]["criteria"]),
        answers=tuple(Answer(key=f"answer-{n}", text=text) for n, text in enumerate(written)),
    )


def _added(database: Database) -> Iterator[Account]:
    users = Users(database)
    for name, role in _ROLES.items():
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        users.add(name, role, password=password)
        yield Account(name, role, password)
