"""Bench items, as a rater handles them: taken, looked at, and rated, double-blind."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, insert

from promedical_review.bench_items import blind
from promedical_review.bench_items.bodies import Rated, ratings
from promedical_review.bench_items.checks import add_check
from promedical_review.bench_items.settling import is_open, locked_state, open_sets, settle
from promedical_review.clock import Clock
from promedical_review.errors import ClosedError
from promedical_review.people.users import User
from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import verdicts
from promedical_review.work import leases
from promedical_review.work.submits import Receipt, Submit, submit
from promedical_review.work.tasks import Task, own_task

_WORK: Final = "rate answers; sign in as a physician"


class Rating:
    """What raters do with bench items."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def take(self, user: User) -> blind.BlindItem | None:
        """The item that the user holds, or else the next one, leased; None if there is none left for the user.

        Raises:
            NotAllowedError: The user does not rate.
        """
        user.require("rate", _WORK)
        now = self._clock()

        def take(connection: Connection) -> blind.BlindItem | None:
            leases.lock_user(connection, user.id)
            wanted = open_sets(connection)
            if not leases.held(connection, user.id, wanted, blind.PURPOSES):
                for set_id in wanted:
                    add_check(connection, set_id, user.id, now=now)
            task = leases.take(connection, user.id, wanted, blind.PURPOSES, now=now)
            return blind.shown(connection, task, user.id) if task else None

        return self._database.write(take)

    def look(self, user: User, task_id: str) -> blind.BlindItem:
        """An item that the user holds or has rated.

        Raises:
            NotFoundError: There is none of this id that is the user's.
        """

        def look(connection: Connection) -> blind.BlindItem:
            return blind.shown(connection, own_task(connection, task_id, user.id, blind.PURPOSES), user.id)

        return self._database.read(look)

    def done_by(self, user: User) -> Sequence[blind.Done]:
        """What the user has rated, the latest first."""
        return self._database.read(lambda connection: blind.done_by(connection, user.id))

    def rate(self, user: User, task_id: str, body: Mapping[str, Any], *, client_id: str, version: int) -> Receipt:
        """Store a rating, or change one as long as the item's other raters are not done.

        Args:
            user: Who rates.
            task_id: The task.
            body: The rating, as `bodies` describes it.
            client_id: A UUID of the client's; the same one sent twice is stored once.
            version: The version that the page began with.

        Raises:
            NotAllowedError: The user does not rate.
            InvalidError: The body is no rating.
            ClosedError: The set is not open, or the item takes no changes any more.
            LeaseLostError: The task is not the user's any more.
            ConflictError: Another version was stored first.
            NotFoundError: There is no such task.
        """
        user.require("rate", _WORK)
        now = self._clock()
        sent = Submit(client_id=client_id, task_id=task_id, user_id=user.id, version=version, body=body)

        def apply(connection: Connection, task: Task) -> None:
            state = locked_state(connection, task.subject)
            if not is_open(connection, task.batch) or (task.purpose == "rating" and state != "rating"):
                raise ClosedError("the item takes no changes any more; what you sent is kept as a draft")
            item = blind.shown(connection, task, user.id)
            texts = {answer.id: answer.text for answer in item.answers}
            _store(connection, task, ratings(body, texts, item.checkpoints), now)
            if task.purpose == "rating":
                settle(connection, task, now=now)

        return submit(self._database, sent, blind.PURPOSES, apply, now=now)


def _store(connection: Connection, task: Task, given: Sequence[Rated], now: float) -> None:
    connection.execute(delete(verdicts).where(verdicts.c.task_id == task.id))
    for each in given:
        start, end = each.span or (None, None)
        keys = {"task_id": task.id, "answer_id": each.answer, "criterion_id": each.criterion, "at": now}
        said = {"verdict": each.verdict, "rationale": each.rationale.strip(), "span_start": start, "span_end": end}
        connection.execute(insert(verdicts).values(**keys, **said))
