"""What raters read holds no model, judge, peer or gold: in the columns that are asked for, and in every value."""

from contextlib import contextmanager
from dataclasses import asdict

import pytest
import sqlalchemy as sa

from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.errors import ReviewError
from promedical_review.store.tables.bench_hidden import bench_answer_facts, bench_criterion_facts, bench_item_facts
from reviewing import bench_item, rating, rows_in, user, uuid4

SECRET_TABLES = {
    bench_answer_facts.name,
    bench_criterion_facts.name,
    bench_item_facts.name,
    "gold_verdicts",
    "finals",
    "verdicts",
    "users",
}


@contextmanager
def statements(database):
    """The statements that are sent."""
    sent = []

    def note(_connection, _cursor, statement, *_):
        sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def study(sqlite, clock):
    """A set in which peers have rated, and one rater who has rated some of it."""
    sets, rated = BenchSets(sqlite, clock), Rating(sqlite, clock)
    gold = bench_item("gold-key", topic="one", gold={("a0", "dose"): "met"})
    items = [bench_item(f"key-{number}") for number in range(5)]
    made = sets.add("set-name", [gold, *items], Design(overlap=1, repeats=0.25, golds=0.25), actor="root")
    sets.open(made.id, actor="root")
    for name in ("peer-one", "peer-two"):
        peer = user(sqlite, name)
        while item := rated.take(peer):
            rated.rate(peer, item.task_id, rating(item, "not_met"), client_id=uuid4(), version=0)
    return rated


def secrets(database, me):
    """Every value that would unblind: names, models, keys, ids of peers, their tasks and their words."""
    people = [row for row in rows_in(database, "users") if row["id"] != me.id]
    tasks = [row for row in rows_in(database, "tasks") if row["user_id"] not in {None, me.id}]
    return (
        {row[name] for row in people for name in ("id", "name", "pseudonym")}
        | {row["id"] for row in tasks}
        | {row["subject"] for row in rows_in(database, "tasks")}
        | {row["model"] for row in rows_in(database, "bench_answer_facts")}
        | {row["category"] for row in rows_in(database, "bench_item_facts")}
        | {"secret-source", "set-name", "gold-key", "GPT", "'rating'", "'repeat'", "'gold'"}
    )


def test_everything_that_a_rater_reads_is_blind(study, sqlite):
    me = user(sqlite, "me")
    secret, seen = secrets(sqlite, me), []
    while item := study.take(me):
        seen += [asdict(item), asdict(study.look(me, item.task_id))]
        receipt = study.rate(me, item.task_id, rating(item), client_id=uuid4(), version=item.version)
        seen += [asdict(receipt), *map(asdict, study.done_by(me))]

    said = repr(seen)
    assert len(seen) > 8
    assert [each for each in secret if each in said] == []


def test_reading_an_item_asks_no_table_that_is_hidden(study, sqlite):
    me = user(sqlite, "me")
    item = study.take(me)

    with statements(sqlite) as sent:
        study.look(me, item.task_id)
        study.done_by(me)

    assert len(sent) > 4
    assert [each for each in sent for table in SECRET_TABLES if f" {table}" in each] == []


def test_errors_tell_a_rater_nothing_of_others(study, sqlite):
    me = user(sqlite, "me")
    others = [row["id"] for row in rows_in(sqlite, "tasks") if row["user_id"] != me.id]
    said = set()
    for task in [*others, "nothing-here"]:
        for call in (
            lambda task=task: study.look(me, task),
            lambda task=task: study.rate(me, task, {}, client_id=uuid4(), version=0),
        ):
            with pytest.raises(ReviewError) as caught:
                call()
            said.add(str(caught.value).replace(task, "ID"))

    assert len(said) == 1


def test_two_raters_have_no_id_of_an_item_in_common(study, sqlite):
    ids = [item.task_id for name in ("me", "you") if (item := study.take(user(sqlite, name)))]

    assert len(set(ids)) == len(ids)
