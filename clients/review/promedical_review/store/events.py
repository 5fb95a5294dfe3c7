"""The log of events: every change is written down in its own transaction, and nothing is ever taken out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from promedical_review.store.tables.events import events

SYSTEM: Final = "system"
"""The actor of what nobody asked for, such as an agreement that makes a verdict final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        id: Its place in the log.
        at: When, in seconds since 1970.
        actor: The id of the user, or `system`.
        kind: What happened, such as `task_submitted`.
        subject: The id of what it happened to.
        data: What it became.
    """

    id: int
    at: float
    actor: str
    kind: str
    subject: str
    data: Mapping[str, Any]


def append(connection: Connection, *, at: float, actor: str, kind: str, subject: str, **data: Any) -> None:
    """Write down what happens in this transaction."""
    connection.execute(insert(events).values(at=at, actor=actor, kind=kind, subject=subject, data=data))


def history(connection: Connection, subject: str | None = None) -> Sequence[Event]:
    """What happened to a subject, or to all of them, in order."""
    query = select(events).order_by(events.c.id)
    if subject is not None:
        query = query.where(events.c.subject == subject)
    return [Event(**row) for row in connection.execute(query).mappings()]
