"""Any order of assign, lease, expire, release, draft, submit, send again, adjudicate: nothing lost, nothing double."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from postgres import new_database
from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.errors import ClosedError, ConflictError, LeaseLostError, NotFoundError
from promedical_review.store.database import Database
from promedical_review.work.desk import Desk
from promedical_review.work.leases import LEASE_S
from reviewing import HandClock, adjudication, bench_item, opened, rating, rows_in, user

PEOPLE = st.integers(0, 3)
ADJUDICATORS = st.integers(2, 3)
VERDICTS = st.sampled_from(["met", "not_met", "cannot_assess"])


class ReviewMachine(RuleBasedStateMachine):
    """Two physicians and two adjudicators, who rate too, on two items; each has one page open."""

    url: str

    @initialize()
    def begin(self):
        self.database = self.open_database()
        # Ids decide the order of work: the same ones every time, so that a failure can be shrunk.
        self.random = Random(0)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("promedical_review.ids.secrets", SimpleNamespace(token_hex=self.token))
        self.clock = HandClock()
        self.rating, self.adjudicating = Rating(self.database, self.clock), Adjudicating(self.database, self.clock)
        self.desk = Desk(self.database, self.clock)
        roles = ["physician"] * 2 + ["adjudicator"] * 2
        self.people = [user(self.database, f"user {place}", role) for place, role in enumerate(roles)]
        sets = BenchSets(self.database, self.clock)
        gold = bench_item("gold", answers=1, gold={("a0", "dose"): "met"})
        items = [bench_item(f"i{number}", answers=1) for number in range(2)]
        made = sets.add("bench", [gold, *items], Design(overlap=0.2, repeats=0.2, golds=0.2), actor="root")
        sets.open(made.id, actor="root")
        self.pages = {}
        self.accepted = {}
        self.written = {}

    def open_database(self):
        raise NotImplementedError

    def teardown(self):
        if hasattr(self, "database"):
            self.patch.undo()
            self.database.close()

    def token(self, size):
        return self.random.randbytes(size).hex()

    @rule(person=PEOPLE)
    def take(self, person):
        item = self.rating.take(self.people[person])
        if item is not None:
            self.pages[person] = ("rating", item, None)

    @rule(person=ADJUDICATORS)
    def take_conflict(self, person):
        work = self.adjudicating.take(self.people[person])
        if work is not None:
            raters = {row["user_id"] for row in self.tasks_of(work.item.task_id) if row["purpose"] != "adjudication"}
            assert self.people[person].id not in raters
            assert all(len({each.verdict for each in said}) > 1 for said in work.conflicts.values())
            self.pages[person] = ("adjudication", work.item, work)

    @rule(seconds=st.sampled_from([1.0, LEASE_S / 2, LEASE_S]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(person=PEOPLE)
    def beat(self, person):
        if person in self.pages:
            self.tolerant(lambda: self.desk.heartbeat(self.people[person].id, self.pages[person][1].task_id))

    @rule(person=PEOPLE)
    def release(self, person):
        if person in self.pages:
            self.tolerant(lambda: self.desk.release(self.people[person].id, self.pages[person][1].task_id))

    @rule(person=PEOPLE, verdict=VERDICTS)
    def write(self, person, verdict):
        if person in self.pages:
            task, me = self.pages[person][1].task_id, self.people[person].id
            stored = self.desk.draft(me, task)
            body = {"verdicts": [], "thought": verdict}
            self.desk.save_draft(me, task, body, stored.version if stored else 0)
            self.written[me, task] = body

    @rule(person=PEOPLE, verdict=VERDICTS, stale=st.booleans())
    def submit(self, person, verdict, stale):
        if person not in self.pages:
            return
        kind, item, work = self.pages[person]
        body = rating(item, verdict) if kind == "rating" else adjudication(work, verdict)
        version = item.version if stale else self.version_of(item.task_id)
        self.send(person, kind, item.task_id, body, str(UUID(int=self.random.getrandbits(128))), version)

    @rule(person=PEOPLE, verdict=VERDICTS)
    def rate_next(self, person, verdict):
        self.take(person)
        self.submit(person, verdict, stale=False)

    @rule(person=ADJUDICATORS, verdict=VERDICTS)
    def adjudicate_next(self, person, verdict):
        self.take_conflict(person)
        self.submit(person, verdict, stale=False)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def send_again(self, data):
        client_id = data.draw(st.sampled_from(sorted(self.accepted)))
        person, kind, task, body, version, stored = self.accepted[client_id]
        receipt = self.call(person, kind)(self.people[person], task, body, client_id=client_id, version=version)
        assert (receipt.repeated, receipt.version) == (True, stored)

    def send(self, person, kind, task, body, client_id, version):
        me = self.people[person].id
        (now,) = [row for row in rows_in(self.database, "tasks") if row["id"] == task]
        own = now["user_id"] == me and now["state"] in {"leased", "done"}
        try:
            receipt = self.call(person, kind)(self.people[person], task, body, client_id=client_id, version=version)
        except (ConflictError, LeaseLostError, ClosedError):
            self.written[me, task] = body  # refused work is a draft
        else:
            assert (own, now["version"]) == (True, version)
            self.accepted[client_id] = (person, kind, task, body, version, receipt.version)
            self.written.pop((me, task), None)

    def call(self, person, kind):
        return self.rating.rate if kind == "rating" else self.adjudicating.decide

    def tolerant(self, work):
        with suppress(LeaseLostError, NotFoundError):
            work()

    def version_of(self, task):
        return next(row["version"] for row in rows_in(self.database, "tasks") if row["id"] == task)

    def tasks_of(self, task):
        rows = rows_in(self.database, "tasks")
        subject = next(row["subject"] for row in rows if row["id"] == task)
        return [row for row in rows if row["subject"] == subject]

    @invariant()
    def nothing_is_lost(self):
        if not hasattr(self, "database"):
            return
        stored = {row["client_id"]: row["body"] for row in rows_in(self.database, "submissions")}
        assert stored == {client_id: each[3] for client_id, each in self.accepted.items()}
        drafts = {(row["user_id"], row["task_id"]): row["body"] for row in rows_in(self.database, "drafts")}
        assert drafts == self.written

    @invariant()
    def nothing_is_double(self):
        if not hasattr(self, "database"):
            return
        tasks = rows_in(self.database, "tasks")
        own = [
            (row["subject"], row["user_id"])
            for row in tasks
            if row["purpose"] in {"rating", "adjudication"} and row["user_id"]
        ]
        assert len(own) == len(set(own))  # nobody rates an item twice, and no adjudicator rated it
        held = [row["user_id"] for row in tasks if row["state"] == "leased" and row["purpose"] != "adjudication"]
        assert len(held) == len(set(held))
        conflicts = [row["subject"] for row in tasks if row["purpose"] == "adjudication"]
        assert len(conflicts) == len(set(conflicts))

    @invariant()
    def every_verdict_has_its_event(self):
        if not hasattr(self, "database"):
            return
        submitted = [row["data"] for row in rows_in(self.database, "events") if row["kind"] == "task_submitted"]
        latest = {(data["task"], data["version"]): data["body"] for data in submitted}
        assert len(submitted) == len(latest) == len(self.accepted)
        versions = {row["id"]: row["version"] for row in rows_in(self.database, "tasks")}
        for row in rows_in(self.database, "verdicts"):
            said = latest[row["task_id"], versions[row["task_id"]]]["verdicts"]
            assert row["verdict"] in {each["verdict"] for each in said if each["criterion"] == row["criterion_id"]}

    @invariant()
    def finals_follow_from_verdicts(self):
        if not hasattr(self, "database"):
            return
        tasks = {row["id"]: row for row in rows_in(self.database, "tasks")}
        finals = {(row["answer_id"], row["criterion_id"]): row for row in rows_in(self.database, "finals")}
        said = {}
        for row in rows_in(self.database, "verdicts"):
            if tasks[row["task_id"]]["purpose"] == "rating":
                said.setdefault((row["answer_id"], row["criterion_id"]), set()).add(row["verdict"])
        raters = {}
        for row in tasks.values():
            if row["purpose"] == "rating":
                raters.setdefault(row["subject"], []).append(row["state"])
        items = {row["id"]: row["item_id"] for row in rows_in(self.database, "bench_answers")}
        for place, final in finals.items():
            assert set(raters[items[place[0]]]) == {"done"}
            assert (final["origin"] == "agreed") is (len(said[place]) == 1)
            assert final["origin"] == "adjudicated" or said[place] == {final["verdict"]}
            assert final["origin"] == "agreed" or tasks[final["task_id"]]["state"] == "done"


def machine(open_database):
    return type("Machine", (ReviewMachine,), {"open_database": lambda _: open_database()})


def test_nothing_is_lost_and_nothing_is_double_on_sqlite(migrated, tmp_path):
    def copy():
        path = Path(tempfile.mkdtemp(dir=tmp_path)) / "review.sqlite"
        shutil.copy(migrated, path)
        return Database(f"sqlite:///{path}")

    few = settings(max_examples=8, stateful_step_count=30, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(copy), settings=few)


def test_nothing_is_lost_and_nothing_is_double_on_postgresql(postgres_server):
    few = settings(max_examples=2, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(lambda: opened(new_database(postgres_server))), settings=few)
