"""A task: one person's work on one subject. Its states are queued, leased, done and withdrawn."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from promedical_review.errors import NotFoundError
from promedical_review.ids import new_id
from promedical_review.store.events import append
from promedical_review.store.tables.work import tasks

Purpose = Literal["rubric", "rating", "repeat", "gold", "adjudication"]
State = Literal["queued", "leased", "done", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One person's work on one subject.

    Attributes:
        id: Opaque; the only id that whoever does the work sees.
        batch: The round or bench set.
        purpose: What is to be done. Raters must not learn it: a repeated or a gold item looks like any other.
        subject: The rubric or the bench item.
        position: Lower ones are given first.
        state: Where it stands.
        user_id: Who holds the lease, held it last, or did the work; None if nobody did yet.
        reserved_for: The only user who may get it; None for anybody.
        lease_until: When the lease ends, in seconds since 1970.
        version: How many versions of the work were stored.
        opened_at: When the present lease began.
        done_at: When it was first done.
    """

    id: str
    batch: str
    purpose: Purpose
    subject: str
    position: float
    state: State
    user_id: str | None = None
    reserved_for: str | None = None
    lease_until: float | None = None
    version: int = 0
    opened_at: float | None = None
    done_at: float | None = None


def new_task(*, batch: str, purpose: Purpose, subject: str, position: float, reserved_for: str | None = None) -> Task:
    """A task that waits for somebody."""
    return Task(
        id=new_id(),
        batch=batch,
        purpose=purpose,
        subject=subject,
        position=position,
        state="queued",
        reserved_for=reserved_for,
    )


def queue(connection: Connection, made: Iterable[Task], *, now: float, actor: str) -> None:
    """Add tasks."""
    for task in made:
        connection.execute(insert(tasks).values(**asdict(task)))
        append(
            connection,
            at=now,
            actor=actor,
            kind="task_queued",
            subject=task.subject,
            task=task.id,
            batch=task.batch,
            purpose=task.purpose,
            reserved_for=task.reserved_for,
        )


def locked_task(connection: Connection, task_id: str) -> Task:
    """A task, which nobody else changes before this transaction ends.

    Raises:
        NotFoundError: There is none of this id.
    """
    row = connection.execute(select(tasks).where(tasks.c.id == task_id).with_for_update()).mappings().first()
    if row is None:
        raise unknown_task(task_id)
    return Task(**row)


def lock_batch(connection: Connection, batch: str) -> None:
    """Lock all tasks of a round or set, before it changes its state.

    A submit locks its task first and looks at the round or set then; in the other order the two could wait for each
    other.
    """
    connection.execute(select(tasks.c.id).where(tasks.c.batch == batch).order_by(tasks.c.id).with_for_update())


def own_task(connection: Connection, task_id: str, user_id: str, purposes: Collection[Purpose]) -> Task:
    """A task that the user holds or has done.

    Raises:
        NotFoundError: There is none of this id that is the user's.
    """
    mine = (tasks.c.id == task_id, tasks.c.user_id == user_id, tasks.c.purpose.in_(purposes))
    found = tasks_where(connection, *mine)
    if not found:
        raise unknown_task(task_id)
    return found[0]


def unknown_task(task_id: str) -> NotFoundError:
    """The error for a task that is not there, or not this user's: the two look the same."""
    return NotFoundError(f"task {task_id!r}: there is none of this id that is yours")


def tasks_where(connection: Connection, *conditions: Any) -> Sequence[Task]:
    """Tasks that meet the conditions, by their position."""
    query = select(tasks).where(*conditions).order_by(tasks.c.position, tasks.c.id)
    return [Task(**row) for row in connection.execute(query).mappings()]


def withdraw(connection: Connection, batch: str, *, now: float, actor: str) -> int:
    """Take back what nobody has done, with its leases; drafts are kept. Gives how many tasks that were."""
    open_ones = tasks_where(connection, tasks.c.batch == batch, tasks.c.state.in_(("queued", "leased")))
    for task in open_ones:
        connection.execute(update(tasks).where(tasks.c.id == task.id).values(state="withdrawn", lease_until=None))
        append(connection, at=now, actor=actor, kind="task_withdrawn", subject=task.subject, task=task.id)
    return len(open_ones)
