"""Rubrics, as a physician handles them: taken, looked at, and decided on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from promedical_data.rounds.round import Proposed
from promedical_review.clock import Clock
from promedical_review.errors import ClosedError
from promedical_review.people.users import User
from promedical_review.rubric_rounds.decisions import checked, criteria_of
from promedical_review.store.database import Database
from promedical_review.store.tables.rounds import decisions, rounds, rubrics
from promedical_review.store.tables.work import tasks
from promedical_review.work import leases
from promedical_review.work.drafts import Draft, draft_of
from promedical_review.work.submits import Receipt, Submit, latest_body, submit
from promedical_review.work.tasks import Purpose, Task, own_task, tasks_where

_PURPOSES: Final[tuple[Purpose, ...]] = ("rubric",)
_WORK: Final = "review rubrics; sign in as a physician"


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricWork:
    """A rubric in a physician's hands.

    Attributes:
        task_id: What heartbeats, drafts and the submit name.
        round: The round's name.
        instruction: The question.
        responses: Answers to it by id, without their models.
        criteria: The rubric as the round holds it.
        version: How many versions of the decision were stored; a submit sends it back.
        lease_until: Until when the task is the physician's; None once it is decided.
        draft: What the physician wrote and did not submit.
        stored: The body of the decision that counts; empty before.
    """

    task_id: str
    round: str
    instruction: str
    responses: tuple[tuple[str, str], ...]
    criteria: tuple[Proposed, ...]
    version: int
    lease_until: float | None
    draft: Draft | None
    stored: Mapping[str, Any]


class Reviewing:
    """What physicians do with rubrics."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def take(self, user: User, round_id: str | None = None) -> RubricWork | None:
        """The rubric that the user holds, or else the next one, leased; None if there is none left.

        Args:
            user: Who asks.
            round_id: The round; any open one by default.

        Raises:
            NotAllowedError: The user does not review.
        """
        user.require("rate", _WORK)

        def take(connection: Connection) -> RubricWork | None:
            query = select(rounds.c.id).where(rounds.c.state == "open")
            wanted = [each for each in connection.execute(query).scalars() if round_id in {None, each}]
            task = leases.take(connection, user.id, wanted, _PURPOSES, now=self._clock())
            return _work(connection, task, user.id) if task else None

        return self._database.write(take)

    def look(self, user: User, task_id: str) -> RubricWork:
        """A rubric that the user holds or has decided on.

        Raises:
            NotFoundError: There is none of this id that is the user's.
        """

        def look(connection: Connection) -> RubricWork:
            return _work(connection, own_task(connection, task_id, user.id, _PURPOSES), user.id)

        return self._database.read(look)

    def decided_by(self, user: User, round_id: str) -> Sequence[Task]:
        """What the user has decided on in a round, the latest first: it can be looked at and decided again."""
        mine = (tasks.c.batch == round_id, tasks.c.user_id == user.id, tasks.c.state == "done")
        found = self._database.read(lambda connection: tasks_where(connection, *mine))
        return sorted(found, key=lambda task: task.done_at or 0, reverse=True)

    def decide(self, user: User, task_id: str, body: Mapping[str, Any], *, client_id: str, version: int) -> Receipt:
        """Store a decision, or change one as long as the round is open.

        Args:
            user: Who decides.
            task_id: The task.
            body: The decision, as `decisions` describes it.
            client_id: A UUID of the client's; the same one sent twice is stored once.
            version: The version that the page began with.

        Raises:
            NotAllowedError: The user does not review.
            InvalidError: The body is no decision.
            ClosedError: The round is not open.
            LeaseLostError: The task is not the user's any more.
            ConflictError: Another version was stored first.
            NotFoundError: There is no such task.
        """
        user.require("rate", _WORK)
        now = self._clock()
        sent = Submit(client_id=client_id, task_id=task_id, user_id=user.id, version=version, body=body)

        def apply(connection: Connection, task: Task) -> None:
            self._store(connection, task, body, user.id, now)

        return submit(self._database, sent, _PURPOSES, apply, now=now)

    def _store(self, connection: Connection, task: Task, body: Mapping[str, Any], user_id: str, now: float) -> None:
        state = connection.execute(select(rounds.c.state).where(rounds.c.id == task.batch).with_for_update(read=True))
        if state.scalar_one() != "open":
            raise ClosedError("the round is closed; what you sent is kept as a draft")
        proposed = connection.execute(select(rubrics.c.criteria).where(rubrics.c.id == task.subject)).scalar_one()
        values = {**checked(body, criteria_of(proposed)).body(), "user_id": user_id, "at": now}
        row = self._database.insert(decisions).values(rubric_id=task.subject, **values)
        connection.execute(row.on_conflict_do_update(index_elements=[decisions.c.rubric_id], set_=values))


def _work(connection: Connection, task: Task, user_id: str) -> RubricWork:
    query = select(rubrics, rounds.c.name).join(rounds, rounds.c.id == rubrics.c.round_id)
    row = connection.execute(query.where(rubrics.c.id == task.subject)).mappings().one()
    return RubricWork(
        task_id=task.id,
        round=row["name"],
        instruction=row["instruction"],
        responses=tuple((name, text) for name, text in row["responses"]),
        criteria=criteria_of(row["criteria"]),
        version=task.version,
        lease_until=task.lease_until,
        draft=draft_of(connection, task.id, user_id),
        stored=latest_body(connection, task),
    )
