"""Items with all that is hidden from raters, for admins, exports and errata. No rater's route calls this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_review.bench_items.items import Answer, BenchItem, Verdict
from promedical_review.bench_items.storing import ItemState, StoredItem, claims_in
from promedical_review.errors import NotFoundError
from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import (
    bench_answer_facts,
    bench_criterion_facts,
    bench_item_facts,
    finals,
    gold_verdicts,
)
from promedical_review.store.tables.bench_shown import bench_answers, bench_criteria, bench_items


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemLine:
    """An item in a list.

    Attributes:
        id: Opaque.
        key: Its id in the file that it came from.
        version: Counts up with errata.
        state: Where it stands.
        category: As the file has it; may be empty.
    """

    id: str
    key: str
    version: int
    state: ItemState
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """An item of the database, unblinded.

    Attributes:
        ids: The opaque ids by the keys of the file.
        set_id: Its set.
        version: Counts up with errata.
        state: Where it stands.
        item: What it says; answers as their models wrote them.
    """

    ids: StoredItem
    set_id: str
    version: int
    state: ItemState
    item: BenchItem


def items_of(database: Database, set_id: str) -> Sequence[KnownItem]:
    """All items of a set with all their versions, by their keys."""
    facts = bench_item_facts
    query = select(facts.c.item_id).where(facts.c.set_id == set_id).order_by(facts.c.key, facts.c.version)

    def look(connection: Connection) -> list[KnownItem]:
        return [item_in(connection, each) for each in connection.execute(query).scalars().all()]

    return database.read(look)


def lines_of(database: Database, set_id: str, containing: str, *, begin: int, most: int) -> Sequence[ItemLine]:
    """Some of the items of a set, by their keys, with all their versions.

    Args:
        database: Where they are.
        set_id: The set.
        containing: What their keys hold; empty for all.
        begin: How many are passed over.
        most: How many are given.
    """
    facts = bench_item_facts
    columns = [facts.c.item_id.label("id"), *(facts.c[name] for name in ("key", "version", "state", "category"))]
    wanted = (facts.c.set_id == set_id, facts.c.key.icontains(containing, autoescape=True))
    query = select(*columns).where(*wanted).order_by(facts.c.key, facts.c.version).offset(begin).limit(most)
    return database.read(lambda connection: [ItemLine(**row) for row in connection.execute(query).mappings()])


def item_in(connection: Connection, item_id: str) -> KnownItem:
    """One item.

    Raises:
        NotFoundError: There is none of this id.
    """
    query = select(bench_item_facts, bench_items.c.prompt).join(bench_items).where(bench_items.c.id == item_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFoundError(f"item {item_id!r}: there is none of this id")
    answers, criteria = _answers(connection, item_id), _criteria(connection, item_id)
    ids = StoredItem(
        id=item_id,
        answers={each["key"]: each["id"] for each in answers},
        criteria={each["key"]: each["id"] for each in criteria},
    )
    item = BenchItem(
        key=row["key"],
        prompt=tuple(Message(**turn) for turn in row["prompt"]),
        criteria=tuple(_criterion(each) for each in criteria),
        answers=tuple(Answer(key=each["key"], text=each["original"], model=each["model"]) for each in answers),
        category=row["category"],
        source=row["source"],
        claims=claims_in(connection, item_id),
        gold=_gold(connection, ids),
    )
    return KnownItem(ids=ids, set_id=row["set_id"], version=row["version"], state=row["state"], item=item)


def finals_in(connection: Connection, item: KnownItem) -> Mapping[tuple[str, str], Verdict]:
    """What holds of an item, by the keys of answers and criteria."""
    answers = {each: key for key, each in item.ids.answers.items()}
    criteria = {each: key for key, each in item.ids.criteria.items()}
    rows = connection.execute(select(finals).where(finals.c.answer_id.in_(answers))).mappings()
    return {(answers[row["answer_id"]], criteria[row["criterion_id"]]): row["verdict"] for row in rows}


def _answers(connection: Connection, item_id: str) -> Sequence[Any]:
    facts = bench_answer_facts
    query = select(bench_answers.c.id, facts.c.key, facts.c.model, facts.c.original).join(facts)
    return connection.execute(query.where(bench_answers.c.item_id == item_id).order_by(facts.c.key)).mappings().all()


def _criteria(connection: Connection, item_id: str) -> Sequence[Any]:
    query = select(bench_criteria, bench_criterion_facts.c.key).join(bench_criterion_facts)
    mine = query.where(bench_criteria.c.item_id == item_id).order_by(bench_criteria.c.position)
    return connection.execute(mine).mappings().all()


def _criterion(row: Any) -> Criterion:
    return Criterion(
        id=row["key"], text=row["text"], dimension=row["dimension"], polarity=row["polarity"], weight=row["weight"]
    )


def _gold(connection: Connection, ids: StoredItem) -> dict[tuple[str, str], Any]:
    answers = {each: key for key, each in ids.answers.items()}
    criteria = {each: key for key, each in ids.criteria.items()}
    rows = connection.execute(select(gold_verdicts).where(gold_verdicts.c.answer_id.in_(answers))).mappings()
    return {(answers[row["answer_id"]], criteria[row["criterion_id"]]): row["verdict"] for row in rows}
