"""Putting items into the tables: what raters see apart from what is hidden."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from sqlalchemy import Connection, insert, select

from promedical_review.bench_items.items import BenchItem
from promedical_review.bench_items.redaction import redacted
from promedical_review.ids import draw, new_id
from promedical_review.store.tables.bench_hidden import (
    bench_answer_facts,
    bench_criterion_facts,
    bench_item_facts,
    gold_verdicts,
)
from promedical_review.store.tables.bench_shown import bench_answers, bench_criteria, bench_items
from promedical_review.work.tasks import Task, new_task

ItemState = Literal["gold", "rating", "adjudicating", "locked", "superseded"]

RATERS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """The ids that an item got.

    Attributes:
        id: The item's.
        answers: By the keys of the file.
        criteria: By the ids of the file.
    """

    id: str
    answers: Mapping[str, str]
    criteria: Mapping[str, str]


def store_item(
    connection: Connection, set_id: str, item: BenchItem, *, version: int = 1, asked: Collection[str] | None = None
) -> StoredItem:
    """Put an item into the tables.

    Args:
        connection: A transaction that writes.
        set_id: The set.
        item: The item.
        version: Counts up with errata.
        asked: The ids of the criteria that raters are asked about; None for all.
    """
    ids = StoredItem(
        id=new_id(),
        answers={answer.key: new_id() for answer in item.answers},
        criteria={criterion.id: new_id() for criterion in item.criteria},
    )
    prompt = [asdict(turn) for turn in item.prompt]
    connection.execute(insert(bench_items).values(id=ids.id, prompt=prompt))
    facts = {"key": item.key, "version": version, "category": item.category, "source": item.source}
    state: ItemState = "gold" if item.gold else "rating"
    row = {"item_id": ids.id, "set_id": set_id, "state": state, "gold": bool(item.gold), **facts}
    connection.execute(insert(bench_item_facts).values(**row))
    _store_answers(connection, item, ids)
    _store_criteria(connection, item, ids, asked)
    gold = [
        {"answer_id": ids.answers[answer], "criterion_id": ids.criteria[name], "verdict": verdict}
        for (answer, name), verdict in item.gold.items()
    ]
    if gold:
        connection.execute(insert(gold_verdicts), gold)
    return ids


def rating_tasks(set_id: str, item_id: str, seed: str, raters: int) -> list[Task]:
    """A task for each rater of an item, at a place that the set's seed gives the item."""
    position = draw(seed, item_id, "position")
    return [new_task(batch=set_id, purpose="rating", subject=item_id, position=position) for _ in range(raters)]


def claims_in(connection: Connection, item_id: str) -> dict[str, str]:
    """The claims of an item's criteria, by the ids of the file."""
    query = (
        select(bench_criterion_facts.c.key, bench_criterion_facts.c.claim)
        .join(bench_criteria, bench_criteria.c.id == bench_criterion_facts.c.criterion_id)
        .where(bench_criteria.c.item_id == item_id, bench_criterion_facts.c.claim.is_not(None))
    )
    return {row.key: row.claim for row in connection.execute(query)}


def _store_answers(connection: Connection, item: BenchItem, ids: StoredItem) -> None:
    shown = [
        {"id": ids.answers[answer.key], "item_id": ids.id, "text": redacted(answer.text, answer.model)}
        for answer in item.answers
    ]
    facts = [
        {"answer_id": ids.answers[answer.key], "key": answer.key, "model": answer.model, "original": answer.text}
        for answer in item.answers
    ]
    connection.execute(insert(bench_answers), shown)
    connection.execute(insert(bench_answer_facts), facts)


def _store_criteria(connection: Connection, item: BenchItem, ids: StoredItem, asked: Collection[str] | None) -> None:
    shown = [
        {
            "id": ids.criteria[criterion.id],
            "item_id": ids.id,
            "position": position,
            "text": criterion.text,
            "dimension": str(criterion.dimension),
            "polarity": str(criterion.polarity),
            "weight": criterion.weight,
            "asked": asked is None or criterion.id in asked,
        }
        for position, criterion in enumerate(item.criteria)
    ]
    facts = [
        {"criterion_id": ids.criteria[each.id], "key": each.id, "claim": item.claims.get(each.id)}
        for each in item.criteria
    ]
    connection.execute(insert(bench_criteria), shown)
    connection.execute(insert(bench_criterion_facts), facts)
