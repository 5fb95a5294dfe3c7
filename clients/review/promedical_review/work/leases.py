"""Leases: who works on what until when. An expired lease is given to the next who asks.

On PostgreSQL the next task is found past those that other transactions hold (SKIP LOCKED); SQLite's writers come one
by one. Calls of one user wait for each other, so that two tabs get the same task.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, update

from promedical_review.errors import LeaseLostError
from promedical_review.store.events import append
from promedical_review.store.tables.events import events
from promedical_review.store.tables.people import users
from promedical_review.store.tables.work import exclusions, tasks
from promedical_review.work.tasks import Purpose, Task, locked_task, tasks_where

LEASE_S: Final = 1800.0
"""How long a lease holds without a heartbeat."""


def take(
    connection: Connection, user_id: str, batches: Collection[str], purposes: Collection[Purpose], *, now: float
) -> Task | None:
    """The task that the user holds, or else the next one that the user may have, leased; None if there is none.

    Args:
        connection: A transaction that writes.
        user_id: Who asks.
        batches: The rounds or sets that are open.
        purposes: What the user may do.
        now: The time.
    """
    lock_user(connection, user_id)
    for task in held(connection, user_id, batches, purposes):
        if _still_held(locked_task(connection, task.id), user_id):
            return lease(connection, task, user_id, now=now)
    wanted = and_(tasks.c.batch.in_(batches), tasks.c.purpose.in_(purposes))
    following = _next(connection, wanted, user_id, now)
    return lease(connection, following, user_id, now=now) if following else None


def lock_user(connection: Connection, user_id: str) -> None:
    """Let calls of one user that take tasks wait for each other.

    NO KEY: a submit of the user's, which holds a task and refers to the user, must not wait for this.
    """
    connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


def held(
    connection: Connection, user_id: str, batches: Collection[str], purposes: Collection[Purpose]
) -> Sequence[Task]:
    """The tasks that a user holds."""
    wanted = (tasks.c.batch.in_(batches), tasks.c.purpose.in_(purposes))
    return tasks_where(connection, *wanted, tasks.c.user_id == user_id, tasks.c.state == "leased")


def held_about(connection: Connection, user_id: str, subject: str) -> Sequence[Task]:
    """The tasks about a subject that a user holds."""
    return tasks_where(connection, tasks.c.subject == subject, tasks.c.user_id == user_id, tasks.c.state == "leased")


def lease(connection: Connection, task: Task, user_id: str, *, now: float) -> Task:
    """Give a task to a user."""
    renewed = _still_held(task, user_id)
    taken = replace(
        task,
        state="leased",
        user_id=user_id,
        lease_until=now + LEASE_S,
        opened_at=task.opened_at if renewed else now,
    )
    values = {name: getattr(taken, name) for name in ("state", "user_id", "lease_until", "opened_at")}
    connection.execute(update(tasks).where(tasks.c.id == task.id).values(**values))
    if not renewed:
        append(connection, at=now, actor=user_id, kind="task_leased", subject=task.subject, task=task.id)
    return taken


def renew(connection: Connection, task_id: str, user_id: str, *, now: float) -> Task:
    """Hold a lease longer: the heartbeat of a page that is open. An expired lease that nobody took is renewed too.

    Raises:
        NotFoundError: There is no such task.
        LeaseLostError: The task is not leased to the user any more.
    """
    return lease(connection, held_task(connection, task_id, user_id), user_id, now=now)


def release(connection: Connection, task_id: str, user_id: str, *, now: float) -> None:
    """Give a task back, for others to take. It goes to the end of the queue; the draft is kept.

    Raises:
        NotFoundError: There is no such task.
        LeaseLostError: The task is not leased to the user any more.
    """
    task = held_task(connection, task_id, user_id)
    last = connection.execute(select(func.max(tasks.c.position)).where(tasks.c.batch == task.batch)).scalar_one()
    freed = {"state": "queued", "user_id": None, "lease_until": None, "opened_at": None, "position": last + 1}
    connection.execute(update(tasks).where(tasks.c.id == task_id).values(**freed))
    append(connection, at=now, actor=user_id, kind="task_released", subject=task.subject, task=task_id)


def held_task(connection: Connection, task_id: str, user_id: str) -> Task:
    """The task, which the user holds, locked.

    Raises:
        NotFoundError: There is no such task.
        LeaseLostError: The task is not leased to the user any more.
    """
    task = locked_task(connection, task_id)
    if not _still_held(task, user_id):
        raise LeaseLostError("the item is not yours any more: its lease ended; take the next one")
    return task


def was_leased(connection: Connection, task: Task, user_id: str) -> bool:
    """Whether a user holds a task or ever held it."""
    if task.user_id == user_id:
        return True
    mine = (events.c.subject == task.subject, events.c.actor == user_id, events.c.kind == "task_leased")
    return any(data["task"] == task.id for data in connection.execute(select(events.c.data).where(*mine)).scalars())


def _still_held(task: Task, user_id: str) -> bool:
    return task.state == "leased" and task.user_id == user_id


def _next(connection: Connection, wanted: ColumnElement[bool], user_id: str, now: float) -> Task | None:
    query = (
        select(tasks)
        .where(wanted, _is_free(now), _is_for(user_id))
        .order_by(tasks.c.position, tasks.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).mappings().first()
    return Task(**row) if row else None


def _is_free(now: float) -> ColumnElement[bool]:
    return or_(tasks.c.state == "queued", and_(tasks.c.state == "leased", tasks.c.lease_until <= now))


def _is_for(user_id: str) -> ColumnElement[bool]:
    """Whether a user may have a task.

    The user is not excluded from its subject, and either it is reserved for the user, or it is reserved for nobody and
    the user had no other task of its subject.
    """
    others: Any = tasks.alias()
    had = exists().where(others.c.subject == tasks.c.subject, others.c.user_id == user_id, others.c.id != tasks.c.id)
    concerns = or_(exclusions.c.purpose.is_(None), exclusions.c.purpose == tasks.c.purpose)
    excluded = exists().where(exclusions.c.user_id == user_id, exclusions.c.subject == tasks.c.subject, concerns)
    return and_(~excluded, or_(tasks.c.reserved_for == user_id, and_(tasks.c.reserved_for.is_(None), ~had)))
