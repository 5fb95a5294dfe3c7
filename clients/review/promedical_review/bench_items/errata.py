"""Errata: a locked item is corrected as a new version, and what must be scored again is named.

The old version stays as it was, superseded; a set that was closed is open again. Verdicts about criteria that did not
change are carried over; raters are asked about the changed ones. Whoever adjudicated the old version, and so saw what
its raters said, does not get the new one; whoever rated the old one may rate the new one, and does not adjudicate it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, insert, select, update

from promedical.rubric import InvalidField
from promedical_review.bench_items.items import BenchItem
from promedical_review.bench_items.reading import item_in
from promedical_review.bench_items.settling import locked_state, set_state
from promedical_review.bench_items.storing import RATERS, StoredItem, rating_tasks, store_item
from promedical_review.clock import Clock
from promedical_review.errors import InvalidError, NotAllowedError
from promedical_review.ids import new_id
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.bench_hidden import bench_sets, finals
from promedical_review.store.tables.work import exclusions, tasks
from promedical_review.work.tasks import lock_batch, queue, tasks_where


@dataclass(frozen=True, slots=True, kw_only=True)
class Erratum:
    """A corrected item.

    Attributes:
        item_id: The new version's id.
        version: Its number.
        rescore: What must be scored again, by the keys of answers and criteria in the item's file.
    """

    item_id: str
    version: int
    rescore: Sequence[tuple[str, str]]


class Errata:
    """Corrections of locked items."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def reopen(self, item_id: str, wordings: Mapping[str, str], *, reason: str, actor: str) -> Erratum:
        """Make a new version of a locked item in which criteria are worded otherwise.

        Args:
            item_id: The version that is wrong.
            wordings: New texts of criteria, by the ids of the item's file.
            reason: What was wrong.
            actor: Who corrects it.

        Raises:
            NotAllowedError: The item is not locked: it is still rated, or a newer version stands in its place.
            InvalidError: No criterion changes, one is unknown, or there is no reason.
            NotFoundError: There is no such item.
        """
        if not reason.strip():
            raise InvalidError("is empty; say what was wrong", "reason")

        def change(connection: Connection) -> Erratum:
            return self._reopen(connection, item_id, wordings, reason, actor)

        return self._database.write(change)

    def _reopen(
        self, connection: Connection, item_id: str, wordings: Mapping[str, str], reason: str, actor: str
    ) -> Erratum:
        known = item_in(connection, item_id)
        lock_batch(connection, known.set_id)
        if locked_state(connection, item_id) != "locked":
            raise NotAllowedError("only a locked item is corrected; this one is still rated, or has a newer version")
        item, now = _corrected(known.item, wordings), self._clock()
        _open_again(connection, known.set_id, now, actor)
        stored = store_item(connection, known.set_id, item, version=known.version + 1, asked=wordings)
        _carry(connection, known.ids, stored, set(wordings), now)
        _exclude(connection, item_id, stored.id, now)
        queue(connection, rating_tasks(known.set_id, stored.id, new_id(), RATERS), now=now, actor=actor)
        set_state(connection, item_id, "superseded", now=now, by=stored.id)
        rescore = [(answer.key, name) for answer in item.answers for name in sorted(wordings)]
        data = {"version": known.version + 1, "corrects": item_id, "reason": reason, "rescore": rescore}
        append(connection, at=now, actor=actor, kind="item_reopened", subject=stored.id, **data)
        return Erratum(item_id=stored.id, version=known.version + 1, rescore=rescore)


def _open_again(connection: Connection, set_id: str, now: float, actor: str) -> None:
    closed = (bench_sets.c.id == set_id, bench_sets.c.state == "closed")
    if connection.execute(update(bench_sets).where(*closed).values(state="open", closed_at=None)).rowcount:
        append(connection, at=now, actor=actor, kind="set_open", subject=set_id)


def _corrected(item: BenchItem, wordings: Mapping[str, str]) -> BenchItem:
    texts = {criterion.id: criterion.text for criterion in item.criteria}
    unknown = sorted(wordings.keys() - texts.keys())
    if unknown or not wordings:
        raise InvalidError(f"names {unknown[0]!r}, which the item has not" if unknown else "is empty", "wordings")
    same = [name for name, text in wordings.items() if text == texts[name]]
    if same:
        raise InvalidError(f"words {same[0]!r} as it was; leave it out", "wordings")
    try:
        criteria = tuple(replace(each, text=wordings.get(each.id, each.text)) for each in item.criteria)
    except InvalidField as error:
        raise InvalidError(error.reason, f"wordings.{error.field}") from None
    return replace(item, criteria=criteria)


def _carry(connection: Connection, old: StoredItem, new: StoredItem, changed: set[str], now: float) -> None:
    answers = {old.answers[key]: new.answers[key] for key in old.answers}
    criteria = {old.criteria[key]: new.criteria[key] for key in old.criteria if key not in changed}
    query = select(finals).where(finals.c.answer_id.in_(answers), finals.c.criterion_id.in_(criteria))
    for row in connection.execute(query).mappings().all():
        keys = {"answer_id": answers[row["answer_id"]], "criterion_id": criteria[row["criterion_id"]]}
        said = {name: row[name] for name in ("verdict", "reason", "rationale", "task_id")}
        connection.execute(insert(finals).values(**keys, **said, origin="carried", at=now))


def _exclude(connection: Connection, old: str, new: str, now: float) -> None:
    """Exclude whoever was excluded before or adjudicated; whoever rated is excluded from adjudication only."""
    before = connection.execute(select(exclusions).where(exclusions.c.subject == old)).mappings()
    barred = {row["user_id"]: row["purpose"] for row in before}
    for task in tasks_where(connection, tasks.c.subject == old, tasks.c.state == "done"):
        assert task.user_id is not None, "somebody did it"
        if task.purpose == "adjudication":
            barred[task.user_id] = None
        else:
            barred.setdefault(task.user_id, "adjudication")
    for user_id, purpose in barred.items():
        row = {"user_id": user_id, "subject": new, "purpose": purpose, "reason": "knows an earlier version", "at": now}
        connection.execute(insert(exclusions).values(**row))
