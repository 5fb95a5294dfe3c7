"""What becomes of an item once its raters are done: agreed checkpoints are final, others go to an adjudicator."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from promedical_review.bench_items.bodies import Checkpoint
from promedical_review.bench_items.storing import ItemState
from promedical_review.ids import draw
from promedical_review.store.events import SYSTEM, append
from promedical_review.store.tables.bench_hidden import bench_item_facts, bench_sets, finals, verdicts
from promedical_review.store.tables.work import tasks
from promedical_review.work.tasks import Task, new_task, queue


def open_sets(connection: Connection) -> Sequence[str]:
    """The ids of the sets that take work now, the oldest first."""
    query = select(bench_sets.c.id).where(bench_sets.c.state == "open").order_by(bench_sets.c.imported_at)
    return connection.execute(query).scalars().all()


def is_open(connection: Connection, set_id: str) -> bool:
    """Whether a set takes work. It stays so to the end of the transaction."""
    query = select(bench_sets.c.state).where(bench_sets.c.id == set_id).with_for_update(read=True)
    return bool(connection.execute(query).scalar_one() == "open")


def locked_state(connection: Connection, item_id: str) -> ItemState:
    """Where an item stands. Raters who finish it at the same time wait for each other here."""
    query = select(bench_item_facts.c.state).where(bench_item_facts.c.item_id == item_id).with_for_update()
    state: ItemState = connection.execute(query).scalar_one()
    return state


def opinions_of(connection: Connection, item_id: str) -> Mapping[Checkpoint, Sequence[Mapping[str, Any]]]:
    """What the raters of an item said, by checkpoint and without the raters. Repeats are not among them."""
    columns = [verdicts.c[name] for name in ("verdict", "rationale", "span_start", "span_end")]
    query = (
        select(verdicts.c.answer_id, verdicts.c.criterion_id, verdicts.c.task_id, *columns)
        .join(tasks, tasks.c.id == verdicts.c.task_id)
        .where(tasks.c.subject == item_id, tasks.c.purpose == "rating")
    )
    found: dict[Checkpoint, list[Mapping[str, Any]]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault((row["answer_id"], row["criterion_id"]), []).append(dict(row))
    return {
        place: sorted(said, key=lambda row: draw(row["task_id"], *place))  # no rater has a place of its own
        for place, said in found.items()
    }


def conflicts_of(connection: Connection, item_id: str) -> Mapping[Checkpoint, Sequence[Mapping[str, Any]]]:
    """The checkpoints on which raters differ, with what they said."""
    said = opinions_of(connection, item_id)
    return {place: each for place, each in said.items() if len({row["verdict"] for row in each}) > 1}


def settle(connection: Connection, task: Task, *, now: float) -> None:
    """Settle an item if this task, which is being submitted, was the last of its ratings."""
    others = (tasks.c.subject == task.subject, tasks.c.purpose == "rating", tasks.c.id != task.id)
    unfinished = select(tasks.c.id).where(*others, tasks.c.state.in_(("queued", "leased"))).limit(1)
    if connection.execute(unfinished).first() is None:
        settle_item(connection, task.batch, task.subject, now=now)


def settle_item(connection: Connection, set_id: str, item_id: str, *, now: float) -> None:
    """Make agreed checkpoints final, and give the others to an adjudicator."""
    conflicts = conflicts_of(connection, item_id)
    for (answer, criterion), said in opinions_of(connection, item_id).items():
        if (answer, criterion) not in conflicts:
            keys = {"answer_id": answer, "criterion_id": criterion, "verdict": said[0]["verdict"]}
            connection.execute(insert(finals).values(**keys, origin="agreed", rationale="", at=now))
    if conflicts:
        position = draw(item_id, "adjudication")
        waiting = new_task(batch=set_id, purpose="adjudication", subject=item_id, position=position)
        queue(connection, [waiting], now=now, actor=SYSTEM)
    set_state(connection, item_id, "adjudicating" if conflicts else "locked", now=now, conflicts=len(conflicts))


def set_state(connection: Connection, item_id: str, state: ItemState, *, now: float, **data: Any) -> None:
    """Move an item to a state, and write that down."""
    times = {"locked_at": now} if state == "locked" else {}
    connection.execute(
        update(bench_item_facts).where(bench_item_facts.c.item_id == item_id).values(state=state, **times)
    )
    append(connection, at=now, actor=SYSTEM, kind=f"item_{state}", subject=item_id, **data)
