"""Drafts: what a user wrote about a task and has not submitted. Every tab saves into the same one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from promedical_review.errors import ConflictError
from promedical_review.store.tables.work import drafts

ANY_VERSION: Final = -1
"""Saves over whatever draft there is: for what would be lost otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a user wrote.

    Attributes:
        version: Counts up with every save; 0 means that there is none.
        body: What was written.
        saved_at: When, in seconds since 1970.
    """

    version: int
    body: Mapping[str, Any]
    saved_at: float


def draft_of(connection: Connection, task_id: str, user_id: str) -> Draft | None:
    """The user's draft for a task; None without one."""
    mine = (drafts.c.task_id == task_id) & (drafts.c.user_id == user_id)
    row = connection.execute(select(drafts.c.version, drafts.c.body, drafts.c.saved_at).where(mine)).mappings().first()
    return Draft(**row) if row else None


def save(
    connection: Connection, task_id: str, user_id: str, body: Mapping[str, Any], version: int, *, now: float
) -> Draft:
    """Save a draft over the version that the page began with. The caller holds the task's lock.

    Raises:
        ConflictError: Another tab saved a later version; both are in the error, and the stored one stays.
    """
    stored = draft_of(connection, task_id, user_id)
    found = stored.version if stored else 0
    if stored and version not in {ANY_VERSION, found} and stored.body != body:
        raise ConflictError(found, stored.body, body)
    saved = Draft(version=found + 1, body=dict(body), saved_at=now)
    values = {"version": saved.version, "body": saved.body, "saved_at": now}
    if stored:
        mine = (drafts.c.task_id == task_id) & (drafts.c.user_id == user_id)
        connection.execute(update(drafts).where(mine).values(**values))
    else:
        connection.execute(insert(drafts).values(task_id=task_id, user_id=user_id, **values))
    return saved


def drop(connection: Connection, task_id: str, user_id: str) -> None:
    """Forget a draft, since its work was submitted."""
    connection.execute(delete(drafts).where(drafts.c.task_id == task_id, drafts.c.user_id == user_id))
