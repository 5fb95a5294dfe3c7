"""Submits: work that is stored once, however often it is sent, and is never written over unseen.

A submit carries a UUID of the client's and the version that the page began with. A refusal keeps what was sent as a
draft, in the same transaction; so it is told after that transaction, and not by an exception inside it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, insert, select, update

from promedical_review.errors import ConflictError, DatabaseError, InvalidError, LeaseLostError, ReviewError
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.work import submissions, tasks
from promedical_review.work import drafts
from promedical_review.work.leases import was_leased
from promedical_review.work.tasks import Purpose, Task, locked_task, unknown_task


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """What a client sends.

    Attributes:
        client_id: A UUID that the client made for this submit, and sends again if it sends the submit again.
        task_id: The task.
        user_id: Who submits.
        version: The version of the task that the page began with.
        body: The work, as it is checked and stored.

    Raises:
        InvalidError: The id is no UUID.
    """

    client_id: str
    task_id: str
    user_id: str
    version: int
    body: Mapping[str, Any]

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "client_id", str(UUID(self.client_id)))
        except ValueError:
            raise InvalidError(f"is {self.client_id[:40]!r}; expected a UUID", "client_id") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """That a submit is stored.

    Attributes:
        client_id: Its id.
        task_id: The task.
        version: The version that it became.
        at: When it was stored, in seconds since 1970.
        repeated: Whether it had been stored before, so that nothing changed now.
    """

    client_id: str
    task_id: str
    version: int
    at: float
    repeated: bool = False


Apply: TypeAlias = Callable[[Connection, Task], None]
"""Stores what the work means, in the transaction of the submit, or raises. The task is as it was before."""


def submit(database: Database, sent: Submit, purposes: Collection[Purpose], apply: Apply, *, now: float) -> Receipt:
    """Store work once.

    Args:
        database: Where.
        sent: What the client sent.
        purposes: What the task may be for.
        apply: Stores what the work means.
        now: The time.

    Raises:
        NotFoundError: There is no such task.
        InvalidError: Another submit has this id.
        LeaseLostError: Somebody else holds or did the task; what was sent is a draft now.
        ConflictError: Another version was stored first; what was sent is a draft now.
        ReviewError: `apply` refused it; what was sent is a draft now.
    """
    outcome = database.write(lambda connection: _stored(connection, sent, purposes, apply, now))
    if isinstance(outcome, ReviewError):
        raise outcome
    return outcome


def latest_body(connection: Connection, task: Task) -> Mapping[str, Any]:
    """The latest version of the work that was stored; empty if none was."""
    query = select(submissions.c.body).where(submissions.c.task_id == task.id, submissions.c.version == task.version)
    return connection.execute(query).scalar() or {}


def _stored(
    connection: Connection, sent: Submit, purposes: Collection[Purpose], apply: Apply, now: float
) -> Receipt | ReviewError:
    task = locked_task(connection, sent.task_id)
    if task.purpose not in purposes or not was_leased(connection, task, sent.user_id):
        raise unknown_task(task.id)
    if receipt := _repeated(connection, sent):
        return receipt
    if refusal := _refusal(connection, task, sent) or _not_applied(connection, task, apply):
        drafts.save(connection, task.id, sent.user_id, sent.body, drafts.ANY_VERSION, now=now)
        append(connection, at=now, actor=sent.user_id, kind="submit_refused", subject=task.subject, task=task.id)
        return refusal
    done = replace(task, state="done", user_id=sent.user_id, version=task.version + 1, lease_until=None)
    values = {"state": done.state, "user_id": done.user_id, "version": done.version, "lease_until": None}
    connection.execute(update(tasks).where(tasks.c.id == task.id).values(**values, done_at=task.done_at or now))
    row = {"client_id": sent.client_id, "task_id": task.id, "version": done.version, "at": now}
    connection.execute(insert(submissions).values(**row, user_id=sent.user_id, body=sent.body))
    drafts.drop(connection, task.id, sent.user_id)
    append(
        connection,
        at=now,
        actor=sent.user_id,
        kind="task_submitted",
        subject=task.subject,
        task=task.id,
        version=done.version,
        client_id=sent.client_id,
        body=dict(sent.body),
    )
    return Receipt(client_id=sent.client_id, task_id=task.id, version=done.version, at=now)


def _repeated(connection: Connection, sent: Submit) -> Receipt | None:
    row = connection.execute(select(submissions).where(submissions.c.client_id == sent.client_id)).mappings().first()
    if row is None:
        return None
    if (row["task_id"], row["user_id"], row["body"]) != (sent.task_id, sent.user_id, sent.body):
        raise InvalidError("was used for another submit; make a new UUID for every submit", "client_id")
    return Receipt(
        client_id=row["client_id"], task_id=row["task_id"], version=row["version"], at=row["at"], repeated=True
    )


def _not_applied(connection: Connection, task: Task, apply: Apply) -> ReviewError | None:
    try:
        with connection.begin_nested():
            apply(connection, task)
    except DatabaseError:
        raise
    except ReviewError as error:
        return error
    return None


def _refusal(connection: Connection, task: Task, sent: Submit) -> ReviewError | None:
    if task.state not in {"leased", "done"} or task.user_id != sent.user_id:
        return LeaseLostError("the item is not yours any more; what you sent is kept as a draft")
    if task.version != sent.version:
        return ConflictError(task.version, latest_body(connection, task), sent.body)
    return None
