"""Hidden checks of a rater's own consistency: gold items, and own items again. They look like any other item."""

from sqlalchemy import Connection, func, select

from promedical_review.ids import draw
from promedical_review.store.events import SYSTEM
from promedical_review.store.tables.bench_hidden import bench_item_facts, bench_sets
from promedical_review.store.tables.work import exclusions, tasks
from promedical_review.work.tasks import Purpose, new_task, queue

_AT_ONCE: float = -1.0
"""A place before every other task's."""


def add_check(connection: Connection, set_id: str, user_id: str, *, now: float) -> None:
    """Queue a check for a rater if one is due: with the shares of the set's design, at places that nobody can guess.

    Chance decides by the number of tasks that the rater has done, so asking again changes nothing.
    """
    mine = (tasks.c.batch == set_id, tasks.c.user_id == user_id)
    done = connection.execute(select(func.count()).where(*mine, tasks.c.state == "done")).scalar_one()
    waiting = select(tasks.c.id).where(tasks.c.batch == set_id, tasks.c.reserved_for == user_id)
    if done and connection.execute(waiting.where(tasks.c.state != "done")).first() is None:
        row = connection.execute(select(bench_sets).where(bench_sets.c.id == set_id)).mappings().one()
        chance = draw(row["seed"], user_id, done)
        if chance < row["golds"]:
            _queue(connection, set_id, user_id, "gold", _gold(connection, set_id, user_id, row["seed"]), now)
        elif chance < row["golds"] + row["repeats"]:
            _queue(connection, set_id, user_id, "repeat", _own(connection, set_id, user_id, row["seed"]), now)


def _queue(
    connection: Connection, set_id: str, user_id: str, purpose: Purpose, subject: str | None, now: float
) -> None:
    if subject is not None:
        task = new_task(batch=set_id, purpose=purpose, subject=subject, position=_AT_ONCE, reserved_for=user_id)
        queue(connection, [task], now=now, actor=SYSTEM)


def _gold(connection: Connection, set_id: str, user_id: str, seed: str) -> str | None:
    """A gold item that the rater has not had, and is not excluded from."""
    facts = bench_item_facts
    had = select(tasks.c.subject).where(tasks.c.reserved_for == user_id)
    barred = select(exclusions.c.subject).where(exclusions.c.user_id == user_id)
    query = select(facts.c.item_id).where(facts.c.set_id == set_id, facts.c.gold, facts.c.state == "gold")
    left = query.where(facts.c.item_id.not_in(had), facts.c.item_id.not_in(barred))
    return min(connection.execute(left).scalars(), key=lambda each: draw(seed, user_id, each), default=None)


def _own(connection: Connection, set_id: str, user_id: str, seed: str) -> str | None:
    """An item that the rater rated and has not repeated; not the latest one, which is fresh in the rater's mind."""
    repeated = select(tasks.c.subject).where(tasks.c.reserved_for == user_id, tasks.c.purpose == "repeat")
    mine = (tasks.c.batch == set_id, tasks.c.user_id == user_id, tasks.c.purpose == "rating", tasks.c.state == "done")
    query = select(tasks.c.subject).where(*mine, tasks.c.subject.not_in(repeated)).order_by(tasks.c.done_at.desc())
    older = connection.execute(query).scalars().all()[1:]
    return min(older, key=lambda each: draw(seed, user_id, each), default=None)
