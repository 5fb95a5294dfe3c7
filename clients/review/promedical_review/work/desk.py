"""What a user does with any task, whatever it is about: hold it, give it back, save a draft."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from promedical_review.clock import Clock
from promedical_review.store.database import Database
from promedical_review.store.tables.work import tasks
from promedical_review.work import drafts, leases
from promedical_review.work.drafts import Draft
from promedical_review.work.tasks import Task, locked_task, tasks_where, unknown_task


class Desk:
    """Tasks in the hands of users."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def held_by(self, user_id: str) -> Sequence[Task]:
        """The tasks that are leased to a user, expired ones included as long as nobody else took them."""
        mine = (tasks.c.user_id == user_id, tasks.c.state == "leased")
        return self._database.read(lambda connection: tasks_where(connection, *mine))

    def heartbeat(self, user_id: str, task_id: str) -> float:
        """Hold a task longer; gives the time until which it is held.

        Raises:
            NotFoundError: There is no such task.
            LeaseLostError: Somebody else took it after the lease had expired, or it is done.
        """
        task = self._database.write(lambda connection: leases.renew(connection, task_id, user_id, now=self._clock()))
        assert task.lease_until is not None, "a lease has an end"
        return task.lease_until

    def release(self, user_id: str, task_id: str) -> None:
        """Give a task back; the user's draft is kept.

        Raises:
            NotFoundError: There is no such task.
            LeaseLostError: It is not the user's any more.
        """
        self._database.write(lambda connection: leases.release(connection, task_id, user_id, now=self._clock()))

    def draft(self, user_id: str, task_id: str) -> Draft | None:
        """The user's draft for a task; None without one."""
        return self._database.read(lambda connection: drafts.draft_of(connection, task_id, user_id))

    def save_draft(self, user_id: str, task_id: str, body: Mapping[str, Any], version: int) -> Draft:
        """Save a draft over the version that the page began with (0 for the first).

        It is taken after the lease was lost too: what a user wrote is the user's.

        Raises:
            NotFoundError: There is no such task, or the user never had it.
            ConflictError: Another tab saved a later version; both are in the error.
        """

        def save(connection: Connection) -> Draft:
            task = locked_task(connection, task_id)
            if not leases.was_leased(connection, task, user_id):
                raise unknown_task(task_id)
            return drafts.save(connection, task_id, user_id, body, version, now=self._clock())

        return self._database.write(save)
