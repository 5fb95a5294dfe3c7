"""What a rater reads: the item, the rater's own drafts and verdicts, and nothing else.

It imports no table that holds a model, a judge, a peer's verdict or gold, and a contract of the imports checks that.
Items go by the id of the rater's task, so that two raters have no id in common, and a repeated item looks new.
Answers are shuffled by that id, which is random, stored, and another one for every rater.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from promedical.messages import Message
from promedical_review.ids import draw
from promedical_review.store.tables.bench_shown import bench_answers, bench_criteria, bench_items
from promedical_review.store.tables.work import tasks
from promedical_review.work.drafts import Draft, draft_of
from promedical_review.work.submits import latest_body
from promedical_review.work.tasks import Purpose, Task, tasks_where

PURPOSES: Final[tuple[Purpose, ...]] = ("rating", "repeat", "gold")
"""What a rater's task may be for, which the rater does not learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAnswer:
    """An answer as it is shown."""

    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCriterion:
    """A criterion as it is shown."""

    id: str
    text: str
    dimension: str
    polarity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindItem:
    """An item in a rater's hands.

    Attributes:
        task_id: What heartbeats, drafts and the submit name.
        prompt: The conversation.
        answers: In the order of this rater.
        criteria: What is asked about each answer.
        version: How many versions of the rating were stored; a submit sends it back.
        lease_until: Until when the task is the rater's; None once it is rated.
        draft: What the rater wrote and did not submit.
        stored: The body of the rating that counts; empty before.
    """

    task_id: str
    prompt: tuple[Message, ...]
    answers: tuple[ShownAnswer, ...]
    criteria: tuple[ShownCriterion, ...]
    version: int
    lease_until: float | None
    draft: Draft | None
    stored: Mapping[str, Any]

    @property
    def checkpoints(self) -> list[tuple[str, str]]:
        """The ids of every answer with every criterion."""
        return [(answer.id, criterion.id) for answer in self.answers for criterion in self.criteria]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Something that the rater has rated, for the rater's own list."""

    task_id: str
    done_at: float


def shown(connection: Connection, task: Task, user_id: str) -> BlindItem:
    """The item of a task."""
    prompt = connection.execute(select(bench_items.c.prompt).where(bench_items.c.id == task.subject)).scalar_one()
    return BlindItem(
        task_id=task.id,
        prompt=tuple(Message(**turn) for turn in prompt),
        answers=answers_of(connection, task),
        criteria=_criteria(connection, task.subject),
        version=task.version,
        lease_until=task.lease_until,
        draft=draft_of(connection, task.id, user_id),
        stored=latest_body(connection, task),
    )


def answers_of(connection: Connection, task: Task) -> tuple[ShownAnswer, ...]:
    """The answers of a task's item, in the order of this task."""
    query = select(bench_answers.c.id, bench_answers.c.text).where(bench_answers.c.item_id == task.subject)
    found = [ShownAnswer(**row) for row in connection.execute(query).mappings()]
    return tuple(sorted(found, key=lambda answer: draw(task.id, answer.id)))


def done_by(connection: Connection, user_id: str) -> Sequence[Done]:
    """What a rater has rated, the latest first."""
    mine = (tasks.c.user_id == user_id, tasks.c.state == "done", tasks.c.purpose.in_(PURPOSES))
    found = [Done(task_id=task.id, done_at=task.done_at or 0) for task in tasks_where(connection, *mine)]
    return sorted(found, key=lambda done: done.done_at, reverse=True)


def _criteria(connection: Connection, item_id: str) -> tuple[ShownCriterion, ...]:
    columns = [bench_criteria.c[name] for name in ("id", "text", "dimension", "polarity")]
    mine = (bench_criteria.c.item_id == item_id, bench_criteria.c.asked)
    query = select(*columns).where(*mine).order_by(bench_criteria.c.position)
    return tuple(ShownCriterion(**row) for row in connection.execute(query).mappings())
