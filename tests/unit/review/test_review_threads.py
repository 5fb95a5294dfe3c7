"""Many raters at once, in threads on a real database: nothing is given or stored twice, and everything ends."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from reviewing import adjudication, bench_item, rating, round_file, rows_in, user, uuid4

AT_ONCE = 6


def all_at_once(work, people):
    """Everybody starts at the same moment; the first failure is raised."""
    barrier = Barrier(len(people))

    def run(person):
        barrier.wait()
        return work(person)

    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(run, people))


def test_rubrics_are_each_decided_once_by_many_physicians(database, clock, tmp_path):
    rounds, reviewing = Rounds(database, clock), Reviewing(database, clock)
    made = rounds.import_file(round_file(tmp_path, rubrics=18), actor="root")
    rounds.open(made.id, actor="root")

    def work(person):
        count = 0
        while found := reviewing.take(person):
            reviewing.decide(person, found.task_id, {"verdict": "accepted"}, client_id=uuid4(), version=0)
            count += 1
        return count

    counts = all_at_once(work, [user(database, f"user {number}") for number in range(AT_ONCE)])

    assert sum(counts) == 18
    assert rounds.close(made.id, actor="root").decided == 18


def test_items_are_each_rated_by_two_settled_once_and_adjudicated(database, clock):
    sets, rates, judges = BenchSets(database, clock), Rating(database, clock), Adjudicating(database, clock)
    items = [bench_item(f"i{number}", answers=1) for number in range(9)]
    made = sets.add("bench", items, Design(overlap=0.3, repeats=0, golds=0), actor="root")
    sets.open(made.id, actor="root")
    people = [user(database, f"user {number}", "adjudicator") for number in range(AT_ONCE)]

    def work(person):
        verdict = "met" if people.index(person) % 2 else "not_met"
        while item := rates.take(person):
            rates.rate(person, item.task_id, rating(item, verdict), client_id=uuid4(), version=0)
        while found := judges.take(person):
            judges.decide(person, found.item.task_id, adjudication(found), client_id=uuid4(), version=0)

    all_at_once(work, people)
    for person in people:
        work(person)  # conflicts that came up after somebody had looked

    tasks = rows_in(database, "tasks")
    assert {row["state"] for row in tasks} == {"done"}
    assert max(Counter((row["subject"], row["user_id"]) for row in tasks).values()) == 1
    assert sets.get(made.id).items == {"locked": 9}
    assert len(rows_in(database, "finals")) == 9 * 2


def test_one_submit_from_many_tabs_is_stored_once(database, clock, tmp_path):
    rounds, reviewing = Rounds(database, clock), Reviewing(database, clock)
    made = rounds.import_file(round_file(tmp_path, rubrics=1), actor="root")
    rounds.open(made.id, actor="root")
    ada, client_id = user(database, "ada"), uuid4()

    def work(_):
        task = reviewing.take(ada)
        task_id = task.task_id if task else rows_in(database, "tasks")[0]["id"]
        return reviewing.decide(ada, task_id, {"verdict": "accepted"}, client_id=client_id, version=0)

    receipts = all_at_once(work, list(range(AT_ONCE)))

    assert Counter(receipt.repeated for receipt in receipts) == {True: AT_ONCE - 1, False: 1}
    assert {receipt.version for receipt in receipts} == {1}
    assert len(rows_in(database, "submissions")) == 1
