"""Fills an empty database with examples: a round of rubrics, some with faults for the lint, and answers from K-QA.

The questions and rubrics of the round are our own; the answers, and what three physicians said of them, are real.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Final

from promedical_review.bench_items.rated import RatedSets
from promedical_review.bench_items.sets import BenchSets
from promedical_review.demo.examples import bench_examples, rated_examples
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
    """Add the users, an open round, an open set of answers and a rated one.

    Gives the accounts; their passwords stand nowhere else.

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
    sets.open(sets.add("K-QA, to rate", bench_examples(), actor=admin.id).id, actor=admin.id)
    RatedSets(database).add("K-QA, rated by its physicians", rated_examples(), actor=admin.id)
    return accounts


def _added(database: Database) -> Iterator[Account]:
    users = Users(database)
    for name, role in _ROLES.items():
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        users.add(name, role, password=password)
        yield Account(name, role, password)
