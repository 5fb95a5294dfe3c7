"""What physicians are given, whatever it is: an item of a set or a rubric of a round, by the ids of their files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from promedical_review.errors import InvalidError
from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import bench_item_facts, bench_sets
from promedical_review.store.tables.rounds import rounds, rubrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject, as coordinators know it.

    Attributes:
        id: Opaque.
        kind: An item of a set, or a rubric of a round.
        batch: The name of the set or the round.
        key: The id in the file that it came from.
    """

    id: str
    kind: Literal["set", "round"]
    batch: str
    key: str


class Subjects:
    """The subjects of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, ids: Collection[str]) -> Mapping[str, Subject]:
        """Subjects by their ids."""
        return self._database.read(lambda connection: _found(connection, ids))

    def named(self, batch_id: str, key: str) -> str:
        """The id of the subject that the file of a set or a round calls so; of an item, its latest version.

        Raises:
            InvalidError: There is none.
        """
        facts = bench_item_facts
        items = select(facts.c.item_id).where(facts.c.set_id == batch_id, facts.c.key == key)
        rows = select(rubrics.c.id).where(rubrics.c.round_id == batch_id, rubrics.c.row == key)
        found: str | None = self._database.read(
            lambda connection: (
                connection.execute(items.order_by(facts.c.version.desc())).scalars().first()
                or connection.execute(rows).scalars().first()
            )
        )
        if found is None:
            raise InvalidError(f"is {key!r}, which is not there; give the id that the imported file has", "key")
        return found


def _found(connection: Connection, ids: Collection[str]) -> dict[str, Subject]:
    facts = bench_item_facts
    items = select(facts.c.item_id.label("id"), bench_sets.c.name.label("batch"), facts.c.key)
    of_sets = items.join(bench_sets, bench_sets.c.id == facts.c.set_id).where(facts.c.item_id.in_(ids))
    rows = select(rubrics.c.id, rounds.c.name.label("batch"), rubrics.c.row.label("key"))
    of_rounds = rows.join(rounds, rounds.c.id == rubrics.c.round_id).where(rubrics.c.id.in_(ids))
    found = [Subject(kind="set", **row) for row in connection.execute(of_sets).mappings()]
    found += [Subject(kind="round", **row) for row in connection.execute(of_rounds).mappings()]
    return {each.id: each for each in found}
