"""Sets of bench items, as an admin handles them: made, opened, closed, and how far they are."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select, update

from promedical_review.bench_items.items import BenchItem
from promedical_review.bench_items.storing import RATERS, rating_tasks, store_item
from promedical_review.clock import Clock
from promedical_review.errors import ClosedError, InvalidError, NotAllowedError, NotFoundError
from promedical_review.ids import draw, new_id
from promedical_review.names import check_name
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.bench_hidden import bench_item_facts, bench_sets
from promedical_review.store.tables.people import users
from promedical_review.store.tables.work import tasks
from promedical_review.work.tasks import lock_batch, queue, withdraw

SetState = Literal["drafted", "open", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How a set is rated.

    Attributes:
        overlap: The share of items that a third rater rates too.
        repeats: How often a rater gets an own item again, as a share of what the rater did.
        golds: How often a rater gets a gold item.

    Raises:
        InvalidError: A share is not between 0 and 1, or repeats and gold items together are more than half.
    """

    overlap: float = 0.1
    repeats: float = 0.05
    golds: float = 0.05

    def __post_init__(self) -> None:
        for name in ("overlap", "repeats", "golds"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidError(f"is {getattr(self, name)}; expected a share from 0 to 1", name)
        if self.repeats + self.golds > 0.5:  # noqa: PLR2004 - half of the work
            raise InvalidError("and golds are more than half of a rater's work; choose smaller shares", "repeats")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSet:
    """A set of items.

    Attributes:
        id: Opaque.
        name: What people call it.
        state: Drafted, open to raters, or closed.
        design: How it is rated.
        imported_at: In seconds since 1970.
        closed_at: None before.
        items: How many items stand where: gold, rating, adjudicating, locked, superseded.
    """

    id: str
    name: str
    state: SetState
    design: Design
    imported_at: float
    closed_at: float | None
    items: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterProgress:
    """What one user did in a set. `done` and `open` count tasks of every purpose."""

    user_id: str
    name: str
    done: int
    open: int


class BenchSets:
    """The sets of one database."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, items: Sequence[BenchItem], design: Design | None = None, *, actor: str) -> BenchSet:
        """Make a set of items, which is drafted then: nobody rates it before it is opened.

        Raises:
            InvalidError: The name is taken or empty, an item's key stands twice, or there is no item to rate.
        """
        _check(items)
        now, chosen = self._clock(), design or Design()

        def add(connection: Connection) -> BenchSet:
            set_id = make_set(connection, name, chosen, now=now, actor=actor)
            self._fill(connection, set_in(connection, set_id), items, now, actor)
            return set_in(connection, set_id)

        return self._database.write(add)

    def every(self) -> Sequence[BenchSet]:
        """All sets, the latest first."""

        def look(connection: Connection) -> list[BenchSet]:
            query = select(bench_sets.c.id).order_by(bench_sets.c.imported_at.desc(), bench_sets.c.id)
            return [set_in(connection, each) for each in connection.execute(query).scalars()]

        return self._database.read(look)

    def get(self, set_id: str) -> BenchSet:
        """One set.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._database.read(lambda connection: set_in(connection, set_id))

    def named(self, name: str) -> BenchSet:
        """The set of a name.

        Raises:
            NotFoundError: There is none.
        """
        found = next((each for each in self.every() if each.name == name), None)
        if found is None:
            raise NotFoundError(f"set {name!r}: there is none of this name; import it first")
        return found

    def open(self, set_id: str, *, actor: str) -> BenchSet:
        """Give a set to raters; it does nothing where it is open.

        Raises:
            ClosedError: It is closed.
            NotFoundError: There is none of this id.
        """

        def change(connection: Connection) -> BenchSet:
            found = set_in(connection, set_id)
            if found.state == "closed":
                raise ClosedError(f"set {found.name!r}: is closed and stays so")
            if found.state == "drafted":
                self._set(connection, set_id, actor, state="open")
            return set_in(connection, set_id)

        return self._database.write(change)

    def close(self, set_id: str, *, actor: str, incomplete: bool = False) -> BenchSet:
        """Close a set; it does nothing where it is closed. Unfinished work stays in drafts.

        Args:
            set_id: The set.
            actor: Who closes it.
            incomplete: Whether it may be closed with items that are not locked.

        Raises:
            NotAllowedError: Items are not locked.
            NotFoundError: There is none of this id.
        """

        def change(connection: Connection) -> BenchSet:
            lock_batch(connection, set_id)
            found = set_in(connection, set_id)
            left = found.items.get("rating", 0) + found.items.get("adjudicating", 0)
            if found.state == "closed":
                return found
            if left and not incomplete:
                raise NotAllowedError(f"set {found.name!r}: {left} items are not rated or not adjudicated")
            withdraw(connection, set_id, now=self._clock(), actor=actor)
            self._set(connection, set_id, actor, state="closed", closed_at=self._clock())
            return set_in(connection, set_id)

        return self._database.write(change)

    def progress(self, set_id: str) -> Sequence[RaterProgress]:
        """What each user did in a set, by name. For those who do not rate."""
        query = select(tasks.c.user_id, users.c.name, tasks.c.state).join(users, users.c.id == tasks.c.user_id)
        rows = self._database.read(lambda connection: connection.execute(query.where(tasks.c.batch == set_id)).all())
        states = Counter((row.name, row.user_id, row.state) for row in rows)
        return [
            RaterProgress(
                user_id=user_id, name=name, done=states[name, user_id, "done"], open=states[name, user_id, "leased"]
            )
            for name, user_id in sorted({(row.name, row.user_id) for row in rows})
        ]

    def _fill(self, connection: Connection, made: BenchSet, items: Sequence[BenchItem], now: float, actor: str) -> None:
        seed = connection.execute(select(bench_sets.c.seed).where(bench_sets.c.id == made.id)).scalar_one()
        for item in items:
            stored = store_item(connection, made.id, item)
            append(connection, at=now, actor=actor, kind="item_added", subject=stored.id, key=item.key, set=made.id)
            if not item.gold:
                raters = RATERS + (draw(seed, stored.id, "overlap") < made.design.overlap)
                queue(connection, rating_tasks(made.id, stored.id, seed, raters), now=now, actor=actor)

    def _set(self, connection: Connection, set_id: str, actor: str, *, state: SetState, **times: float) -> None:
        connection.execute(update(bench_sets).where(bench_sets.c.id == set_id).values(state=state, **times))
        append(connection, at=self._clock(), actor=actor, kind=f"set_{state}", subject=set_id)


def make_set(connection: Connection, name: str, design: Design, *, now: float, actor: str) -> str:
    """Make a set without items; gives its id.

    Raises:
        InvalidError: The name is taken or empty.
    """
    check_name(name, "name")
    if connection.execute(select(bench_sets.c.id).where(bench_sets.c.name == name)).first():
        raise InvalidError(f"is {name!r}, which is taken; choose another one", "name")
    set_id = new_id()
    row = {"id": set_id, "name": name, "state": "drafted", "seed": new_id(), "imported_at": now, **asdict(design)}
    connection.execute(insert(bench_sets).values(**row))
    append(connection, at=now, actor=actor, kind="set_added", subject=set_id, name=name, **asdict(design))
    return set_id


def set_in(connection: Connection, set_id: str) -> BenchSet:
    """One set.

    Raises:
        NotFoundError: There is none of this id.
    """
    row: Any = connection.execute(select(bench_sets).where(bench_sets.c.id == set_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"set {set_id!r}: there is none of this id")
    facts = bench_item_facts
    states = select(facts.c.state, func.count()).where(facts.c.set_id == set_id).group_by(facts.c.state)
    return BenchSet(
        id=row["id"],
        name=row["name"],
        state=row["state"],
        design=Design(overlap=row["overlap"], repeats=row["repeats"], golds=row["golds"]),
        imported_at=row["imported_at"],
        closed_at=row["closed_at"],
        items={row[0]: row[1] for row in connection.execute(states)},
    )


def _check(items: Sequence[BenchItem]) -> None:
    twice = [key for key, count in Counter(item.key for item in items).items() if count > 1]
    if twice:
        raise InvalidError(f"holds the key {twice[0]!r} twice; give each item a key of its own", "items")
    if all(item.gold for item in items):
        raise InvalidError("holds nothing to rate; give items that are not gold", "items")
