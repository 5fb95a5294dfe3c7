"""Conflicts, as an adjudicator handles them: two or three opinions without their raters, and one verdict with a reason.

The adjudicator rated no version of the item, and sees neither model nor judge.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert

from promedical_review.bench_items import blind
from promedical_review.bench_items.bodies import Checkpoint, adjudications
from promedical_review.bench_items.items import Verdict
from promedical_review.bench_items.settling import conflicts_of, is_open, locked_state, open_sets, set_state
from promedical_review.clock import Clock
from promedical_review.errors import ClosedError
from promedical_review.people.users import User
from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import finals
from promedical_review.work import leases
from promedical_review.work.submits import Receipt, Submit, submit
from promedical_review.work.tasks import Purpose, Task, own_task

_PURPOSES: Final[tuple[Purpose, ...]] = ("adjudication",)
_WORK: Final = "adjudicate; sign in as an adjudicator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one rater said. Its place among the opinions tells nothing: it changes from checkpoint to checkpoint.

    Attributes:
        verdict: Met, not met, or cannot be assessed.
        rationale: Why; may be empty.
        span: The part of the answer that it rests on, in characters.
    """

    verdict: Verdict
    rationale: str
    span: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjudicationWork:
    """An item in an adjudicator's hands.

    Attributes:
        item: The item, as raters see it.
        conflicts: The checkpoints to decide, by the ids of answer and criterion, with the opinions.
    """

    item: blind.BlindItem
    conflicts: Mapping[Checkpoint, Sequence[Opinion]]


class Adjudicating:
    """What adjudicators do with conflicts."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def take(self, user: User) -> AdjudicationWork | None:
        """The item that the user holds, or else the next one that the user has not rated, leased; None without one.

        Raises:
            NotAllowedError: The user does not adjudicate.
        """
        user.require("adjudicate", _WORK)

        def take(connection: Connection) -> AdjudicationWork | None:
            task = leases.take(connection, user.id, open_sets(connection), _PURPOSES, now=self._clock())
            return _work(connection, task, user.id) if task else None

        return self._database.write(take)

    def look(self, user: User, task_id: str) -> AdjudicationWork:
        """An item that the user holds or has adjudicated.

        Raises:
            NotFoundError: There is none of this id that is the user's.
        """

        def look(connection: Connection) -> AdjudicationWork:
            return _work(connection, own_task(connection, task_id, user.id, _PURPOSES), user.id)

        return self._database.read(look)

    def decide(self, user: User, task_id: str, body: Mapping[str, Any], *, client_id: str, version: int) -> Receipt:
        """Store the verdicts, which locks the item.

        Args:
            user: Who adjudicates.
            task_id: The task.
            body: The adjudication, as `bodies` describes it.
            client_id: A UUID of the client's; the same one sent twice is stored once.
            version: The version that the page began with.

        Raises:
            NotAllowedError: The user does not adjudicate.
            InvalidError: The body is no adjudication of this item.
            ClosedError: The set is not open, or the item is locked.
            LeaseLostError: The task is not the user's any more.
            ConflictError: Another version was stored first.
            NotFoundError: There is no such task.
        """
        user.require("adjudicate", _WORK)
        now = self._clock()
        sent = Submit(client_id=client_id, task_id=task_id, user_id=user.id, version=version, body=body)
        return submit(
            self._database, sent, _PURPOSES, lambda connection, task: _apply(connection, task, body, now), now=now
        )


def _apply(connection: Connection, task: Task, body: Mapping[str, Any], now: float) -> None:
    state = locked_state(connection, task.subject)
    if not is_open(connection, task.batch) or state != "adjudicating":
        raise ClosedError("the item is locked; errors in it are corrected by errata")
    for each in adjudications(body, conflicts_of(connection, task.subject).keys()):
        keys = {"answer_id": each.answer, "criterion_id": each.criterion, "task_id": task.id, "at": now}
        said = {"verdict": each.verdict, "reason": each.reason, "rationale": each.rationale.strip()}
        connection.execute(insert(finals).values(**keys, **said, origin="adjudicated"))
    set_state(connection, task.subject, "locked", now=now)


def _work(connection: Connection, task: Task, user_id: str) -> AdjudicationWork:
    conflicts = conflicts_of(connection, task.subject)
    return AdjudicationWork(
        item=blind.shown(connection, task, user_id),
        conflicts={place: [_opinion(row) for row in said] for place, said in conflicts.items()},
    )


def _opinion(row: Mapping[str, Any]) -> Opinion:
    span = None if row["span_start"] is None else (row["span_start"], row["span_end"])
    return Opinion(verdict=row["verdict"], rationale=row["rationale"], span=span)
