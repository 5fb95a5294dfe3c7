"""Who is never given what: a conflict of interest, or a physician who wrote the answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from promedical_review.clock import Clock
from promedical_review.errors import InvalidError
from promedical_review.people.users import user_in
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.work import exclusions
from promedical_review.work import leases
from promedical_review.work.tasks import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A subject that a user is never given.

    Attributes:
        user_id: The user.
        subject: The rubric or the bench item.
        purpose: What the user may not do with it; None for anything.
        reason: Why.
        at: Since when, in seconds since 1970.
    """

    user_id: str
    subject: str
    purpose: Purpose | None
    reason: str
    at: float


class Exclusions:
    """The exclusions of one database."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def of_user(self, user_id: str) -> Sequence[Exclusion]:
        """What a user is never given, the latest first."""
        query = select(exclusions).where(exclusions.c.user_id == user_id)
        latest = query.order_by(exclusions.c.at.desc(), exclusions.c.subject)
        return self._database.read(
            lambda connection: [Exclusion(**row) for row in connection.execute(latest).mappings()]
        )

    def add(self, user_id: str, subject: str, reason: str, *, actor: str) -> None:
        """Never give a user anything about a subject.

        What the user did before stays. What the user holds goes back into the queue; the draft is kept.

        Raises:
            InvalidError: There is no reason.
            NotFoundError: There is no such user.
        """
        if not reason.strip():
            raise InvalidError("is empty; say why", "reason")
        self._database.write(lambda connection: self._add(connection, user_id, subject, reason.strip(), actor))

    def _add(self, connection: Connection, user_id: str, subject: str, reason: str, actor: str) -> None:
        user_in(connection, user_id)
        leases.lock_user(connection, user_id)
        now = self._clock()
        values = {"purpose": None, "reason": reason, "at": now}  # an exclusion from adjudication becomes a whole one
        row = self._database.insert(exclusions).values(user_id=user_id, subject=subject, **values)
        keys = [exclusions.c.user_id, exclusions.c.subject]
        connection.execute(row.on_conflict_do_update(index_elements=keys, set_=values))
        append(connection, at=now, actor=actor, kind="user_excluded", subject=subject, user=user_id)
        for task in leases.held_about(connection, user_id, subject):
            leases.release(connection, task.id, user_id, now=now)
