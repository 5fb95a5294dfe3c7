"""Sets whose verdicts come from elsewhere: published labels, or another tool. They are closed: nobody rates them here.

A rater of a file becomes a user who never signs in: a physician, or a judge if a model gave the labels. Of checkpoints
on which the file's physicians differ, the majority is final, and says so; a tie stays open.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, insert, update

from promedical_review.bench_items.bodies import Checkpoint
from promedical_review.bench_items.items import VERDICTS, BenchItem, Verdict
from promedical_review.bench_items.sets import BenchSet, Design, make_set, set_in
from promedical_review.bench_items.settling import set_state
from promedical_review.bench_items.storing import ItemState, StoredItem, store_item
from promedical_review.clock import Clock
from promedical_review.errors import InvalidError
from promedical_review.people.users import User, add_rater
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.bench_hidden import bench_sets, finals, verdicts
from promedical_review.store.tables.work import tasks
from promedical_review.work.tasks import new_task

RaterKind = Literal["physician", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenVerdict:
    """What a rater of a file said about a checkpoint; the span counts characters of the answer as it is shown."""

    verdict: Verdict
    rationale: str = ""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedItem:
    """An item with verdicts from elsewhere.

    Attributes:
        item: The item.
        verdicts: By the rater's name, and by the key of the answer and the id of the criterion.
    """

    item: BenchItem
    verdicts: Mapping[str, Mapping[Checkpoint, GivenVerdict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A file's items with their verdicts.

    Attributes:
        raters: What the raters are, by name.
        items: The items.
    """

    raters: Mapping[str, RaterKind]
    items: Sequence[RatedItem]


class RatedSets:
    """Imports of items that are rated already."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, given: Rated, *, actor: str) -> BenchSet:
        """Import items with their verdicts, as a set that is closed.

        Args:
            name: What people call the set.
            given: The items with their verdicts.
            actor: Who imports them.

        Raises:
            InvalidError: The name is taken, a rater is not among the raters, or a verdict is about no checkpoint.
        """
        _check_keys(given.items)
        for rated in given.items:
            _check(rated, given.raters)
        now = self._clock()

        def add(connection: Connection) -> BenchSet:
            set_id = make_set(connection, name, Design(overlap=0, repeats=0, golds=0), now=now, actor=actor)
            known = {
                rater: add_rater(connection, f"{name}: {rater}", kind, now=now, actor=actor)
                for rater, kind in given.raters.items()
            }
            for rated in given.items:
                _store(connection, set_id, rated, known, now, actor)
            connection.execute(
                update(bench_sets).where(bench_sets.c.id == set_id).values(state="closed", closed_at=now)
            )
            append(connection, at=now, actor=actor, kind="set_closed", subject=set_id)
            return set_in(connection, set_id)

        return self._database.write(add)


def _store(
    connection: Connection, set_id: str, rated: RatedItem, raters: Mapping[str, User], now: float, actor: str
) -> None:
    ids = store_item(connection, set_id, rated.item)
    append(connection, at=now, actor=actor, kind="item_added", subject=ids.id, key=rated.item.key, set=set_id)
    for name, given in rated.verdicts.items():
        _store_rating(connection, set_id, ids, raters[name], given, now, actor)
    left = _store_finals(connection, ids, rated, raters, now)
    by_physicians = any(raters[name].role != "judge" for name in rated.verdicts)
    state: ItemState = "locked" if not left else "adjudicating" if by_physicians else "rating"
    set_state(connection, ids.id, state, now=now, undecided=left)


def _store_rating(
    connection: Connection,
    set_id: str,
    ids: StoredItem,
    rater: User,
    given: Mapping[Checkpoint, GivenVerdict],
    now: float,
    actor: str,
) -> None:
    task = new_task(batch=set_id, purpose="rating", subject=ids.id, position=0)
    done = replace(task, state="done", user_id=rater.id, version=1, done_at=now)
    connection.execute(insert(tasks).values(**asdict(done)))
    rows = [
        {
            "task_id": task.id,
            "answer_id": ids.answers[answer],
            "criterion_id": ids.criteria[criterion],
            "verdict": each.verdict,
            "rationale": each.rationale,
            "span_start": each.span[0] if each.span else None,
            "span_end": each.span[1] if each.span else None,
            "at": now,
        }
        for (answer, criterion), each in given.items()
    ]
    connection.execute(insert(verdicts), rows)
    said = [[row["answer_id"], row["criterion_id"], row["verdict"], row["rationale"]] for row in rows]
    append(connection, at=now, actor=actor, kind="rating_imported", subject=ids.id, rater=rater.id, verdicts=said)


def _store_finals(
    connection: Connection, ids: StoredItem, rated: RatedItem, raters: Mapping[str, User], now: float
) -> int:
    """What physicians agree on, or most of them say; gives how many checkpoints are left open. Judges do not count."""
    counts: dict[Checkpoint, Counter[Verdict]] = {
        (answer, criterion): Counter() for answer in ids.answers for criterion in ids.criteria
    }
    for name, given in rated.verdicts.items():
        for place, each in given.items():
            if raters[name].role != "judge":
                counts[place][each.verdict] += 1
    rows = [row for place, said in counts.items() if (row := _final(place, said, ids))]
    if rows:
        connection.execute(insert(finals), [{**row, "rationale": "", "at": now} for row in rows])
    return len(counts) - len(rows)


def _final(place: Checkpoint, said: Counter[Verdict], ids: StoredItem) -> dict[str, Any] | None:
    if not said:
        return None
    ((verdict, most), *_) = said.most_common()
    if 2 * most <= said.total():
        return None
    origin = "agreed" if most == said.total() else "majority"
    answer, criterion = place
    keys = {"answer_id": ids.answers[answer], "criterion_id": ids.criteria[criterion]}
    return {**keys, "verdict": verdict, "origin": origin}


def _check_keys(items: Sequence[RatedItem]) -> None:
    twice = [key for key, count in Counter(rated.item.key for rated in items).items() if count > 1]
    if twice or not items:
        raise InvalidError(f"hold the key {twice[0]!r} twice" if twice else "are empty; give at least one", "items")


def _check(rated: RatedItem, raters: Mapping[str, RaterKind]) -> None:
    checkpoints = {(answer.key, each.id) for answer in rated.item.answers for each in rated.item.criteria}
    for name, given in rated.verdicts.items():
        if name not in raters:
            raise InvalidError(f"names {name!r}, who is not among the raters; list every rater", "verdicts")
        if not given or given.keys() - checkpoints or {each.verdict for each in given.values()} - set(VERDICTS):
            raise InvalidError(
                f"of {name!r} on item {rated.item.key!r} are empty, about no checkpoint of the item, or none of "
                f"{', '.join(VERDICTS)}",
                "verdicts",
            )
