"""Rubric rounds: from the round file through physicians' hands to the file of decisions."""

import pytest

from promedical_data.errors import DataError
from promedical_data.rounds.files import read_decisions, read_round, write_round
from promedical_review.errors import (
    ClosedError,
    ConflictError,
    InvalidError,
    LeaseLostError,
    NotAllowedError,
    NotFoundError,
)
from promedical_review.rubric_rounds.decisions import advice, rows_of
from promedical_review.rubric_rounds.figures import figures_of
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.events import history
from promedical_review.work.desk import Desk
from promedical_review.work.exclusions import Exclusions
from promedical_review.work.leases import LEASE_S
from reviewing import round_file, rows_in, rubric, user, uuid4

ACCEPT = {"verdict": "accepted"}
REJECT = {"verdict": "rejected", "reason": "not_medical", "note": "asks for a holiday"}


@pytest.fixture
def rounds(sqlite, clock):
    return Rounds(sqlite, clock)


@pytest.fixture
def reviewing(sqlite, clock):
    return Reviewing(sqlite, clock)


@pytest.fixture
def ada(sqlite):
    return user(sqlite, "ada")


@pytest.fixture
def ben(sqlite):
    return user(sqlite, "ben")


def opened(rounds, folder, **options):
    return rounds.open(rounds.import_file(round_file(folder, **options), actor="root").id, actor="root")


def fixed(work, **changes):
    """The rubric with its first criterion changed."""
    first, *rest = rows_of(work.criteria)
    return {"verdict": "fixed", "criteria": [{**first, **changes}, *rest]}


def decide(reviewing, who, work, body, **options):
    return reviewing.decide(who, work.task_id, body, **{"client_id": uuid4(), "version": work.version, **options})


def test_round_goes_through_physicians_hands_and_comes_back(database, clock, tmp_path):
    rounds, reviewing = Rounds(database, clock), Reviewing(database, clock)
    ada, ben = user(database, "ada"), user(database, "ben")
    made = opened(rounds, tmp_path)

    works = {who.name: reviewing.take(who) for who in (ada, ben)}
    decide(reviewing, ada, works["ada"], ACCEPT)
    decide(
        reviewing, ben, works["ben"], fixed(works["ben"], text="The response states that adults take 4 g a day at most")
    )
    last = reviewing.take(ada)
    decide(reviewing, ada, last, REJECT)
    assert reviewing.take(ada) is reviewing.take(ben) is None

    closed = rounds.close(made.id, actor="root")
    assert (closed.state, closed.decided) == ("closed", 3)
    assert rounds.export_decisions(made.id, tmp_path / "decisions.jsonl") == 3
    name, decisions = read_decisions(tmp_path / "decisions.jsonl")
    assert name == "round-1"
    assert [each.row for each in decisions] == ["q0", "q1", "q2"]
    assert [each.verdict for each in decisions] == ["accepted", "fixed", "rejected"]
    assert decisions[1].criteria[0].criterion.text.endswith("4 g a day at most")
    assert decisions[2].reason == "not_medical"
    assert {each.rater for each in decisions} == {ada.pseudonym, ben.pseudonym}


def test_round_is_shown_to_nobody_before_it_is_opened_and_after_it_is_closed(rounds, reviewing, ada, tmp_path):
    drafted = rounds.import_file(round_file(tmp_path), actor="root")
    assert (drafted.state, drafted.rubrics, reviewing.take(ada)) == ("drafted", 3, None)

    rounds.open(drafted.id, actor="root")
    assert reviewing.take(ada) is not None

    rounds.close(drafted.id, actor="root", incomplete=True)
    assert reviewing.take(ada) is None
    with pytest.raises(ClosedError):
        rounds.open(drafted.id, actor="root")


def test_same_file_is_imported_once_and_another_of_its_name_refused(rounds, sqlite, tmp_path):
    first = rounds.import_file(round_file(tmp_path), actor="root")

    assert rounds.import_file(round_file(tmp_path), actor="root") == first
    write_round(tmp_path / "other.jsonl", "round-1", [rubric("q9")])
    with pytest.raises(InvalidError, match="'round-1', which is here with other content"):
        rounds.import_file(tmp_path / "other.jsonl", actor="root")
    assert len(rows_in(sqlite, "rubrics")) == 3


def test_broken_round_file_imports_nothing(rounds, sqlite, tmp_path):
    path = round_file(tmp_path)
    path.write_text(path.read_text().replace('"safety"', '"veto"', 1))

    with pytest.raises(DataError, match=r"round-1\.jsonl:2"):
        rounds.import_file(path, actor="root")
    assert rows_in(sqlite, "rounds") == rows_in(sqlite, "tasks") == []


def test_rows_whose_ids_no_database_holds_are_refused(rounds, sqlite, tmp_path):
    write_round(tmp_path / "long.jsonl", "round-9", [rubric("q" * 257)])

    with pytest.raises(InvalidError, match="row: has 257 characters"):
        rounds.import_file(tmp_path / "long.jsonl", actor="root")
    assert rows_in(sqlite, "rounds") == []


def test_rubric_reads_as_the_round_file_has_it(rounds, reviewing, ada, tmp_path):
    opened(rounds, tmp_path)
    _, items = read_round(tmp_path / "round-1.jsonl")

    work = reviewing.take(ada)

    assert (work.instruction, work.responses, work.criteria) == (
        items[0].instruction,
        items[0].responses,
        items[0].criteria,
    )


def test_user_gets_the_same_rubric_in_two_tabs_and_two_users_never_do(rounds, reviewing, ada, ben, tmp_path):
    opened(rounds, tmp_path)

    assert reviewing.take(ada).task_id == reviewing.take(ada).task_id != reviewing.take(ben).task_id


def test_expired_lease_goes_to_the_next_and_its_draft_stays(rounds, reviewing, ada, ben, clock, sqlite, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    desk = Desk(sqlite, clock)
    work = reviewing.take(ada)
    desk.save_draft(ada.id, work.task_id, fixed(work, text="Half a thought"), 0)
    assert reviewing.take(ben) is None

    clock.now += LEASE_S
    taken = reviewing.take(ben)

    assert (taken.task_id, taken.draft) == (work.task_id, None)
    with pytest.raises(LeaseLostError):
        desk.heartbeat(ada.id, work.task_id)
    with pytest.raises(LeaseLostError, match="kept as a draft"):
        decide(reviewing, ada, work, ACCEPT)
    assert desk.draft(ada.id, work.task_id).body == ACCEPT
    assert decide(reviewing, ben, taken, REJECT).version == 1


def test_heartbeat_keeps_a_lease_and_an_expired_one_that_nobody_took(
    rounds, reviewing, ada, ben, clock, sqlite, tmp_path
):
    opened(rounds, tmp_path, rubrics=1)
    desk = Desk(sqlite, clock)
    work = reviewing.take(ada)
    for _ in range(4):
        clock.now += LEASE_S - 1
        assert desk.heartbeat(ada.id, work.task_id) == clock() + LEASE_S
        assert reviewing.take(ben) is None

    clock.now += 2 * LEASE_S
    desk.heartbeat(ada.id, work.task_id)
    assert reviewing.take(ben) is None


def test_late_decision_on_what_nobody_took_counts(rounds, reviewing, ada, clock, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    work = reviewing.take(ada)
    clock.now += 100 * LEASE_S

    assert decide(reviewing, ada, work, ACCEPT).version == 1


def test_released_rubric_is_for_others_and_its_draft_waits(rounds, reviewing, ada, ben, clock, sqlite, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    desk = Desk(sqlite, clock)
    work = reviewing.take(ada)
    desk.save_draft(ada.id, work.task_id, {"verdict": "fixed"}, 0)
    desk.release(ada.id, work.task_id)

    other = reviewing.take(ben)
    desk.release(ben.id, other.task_id)

    assert other.task_id == work.task_id
    assert reviewing.take(ada).draft.body == {"verdict": "fixed"}


def test_excluded_physician_never_gets_the_rubric(rounds, reviewing, ada, ben, clock, sqlite, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    (task,) = rows_in(sqlite, "tasks")
    Exclusions(sqlite, clock).add(ada.id, task["subject"], "wrote the answer", actor="root")

    assert reviewing.take(ada) is None
    assert reviewing.take(ben).task_id == task["id"]


def test_submit_that_is_sent_twice_is_stored_once(rounds, reviewing, ada, sqlite, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    work, client_id = reviewing.take(ada), uuid4()

    first = decide(reviewing, ada, work, ACCEPT, client_id=client_id)
    again = decide(reviewing, ada, work, ACCEPT, client_id=client_id.upper())

    assert (first.repeated, again.repeated) == (False, True)
    assert first.version == again.version == 1
    assert len(rows_in(sqlite, "submissions")) == 1
    with pytest.raises(InvalidError, match="client_id: was used for another submit"):
        decide(reviewing, ada, work, REJECT, client_id=client_id)
    with pytest.raises(InvalidError, match="expected a UUID"):
        decide(reviewing, ada, work, ACCEPT, client_id="7")


def test_second_tab_gets_both_versions_and_loses_none(rounds, reviewing, ada, sqlite, clock, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    work = reviewing.take(ada)
    decide(reviewing, ada, work, REJECT)

    with pytest.raises(ConflictError) as caught:
        decide(reviewing, ada, work, ACCEPT)

    assert (caught.value.version, caught.value.theirs, caught.value.mine) == (1, REJECT, ACCEPT)
    look = reviewing.look(ada, work.task_id)
    assert (look.version, look.stored, look.draft.body) == (1, REJECT, ACCEPT)
    assert decide(reviewing, ada, look, ACCEPT).version == 2
    assert [row["body"] for row in rows_in(sqlite, "submissions")] == [REJECT, ACCEPT]
    assert Desk(sqlite, clock).draft(ada.id, work.task_id) is None


def test_second_tab_does_not_write_over_a_later_draft(rounds, reviewing, ada, sqlite, clock, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    desk, task = Desk(sqlite, clock), reviewing.take(ada).task_id
    desk.save_draft(ada.id, task, {"note": "first"}, 0)
    desk.save_draft(ada.id, task, {"note": "second"}, 1)

    with pytest.raises(ConflictError) as caught:
        desk.save_draft(ada.id, task, {"note": "other tab"}, 1)

    assert (caught.value.version, caught.value.theirs, caught.value.mine) == (
        2,
        {"note": "second"},
        {"note": "other tab"},
    )
    assert desk.draft(ada.id, task).body == {"note": "second"}


def test_decision_after_the_close_is_a_draft(rounds, reviewing, ada, ben, sqlite, clock, tmp_path):
    made = opened(rounds, tmp_path, rubrics=2)
    mine, done = reviewing.take(ada), reviewing.take(ben)
    decide(reviewing, ben, done, ACCEPT)
    with pytest.raises(NotAllowedError, match="1 of 2 rubrics are undecided"):
        rounds.close(made.id, actor="root")
    rounds.close(made.id, actor="root", incomplete=True)

    with pytest.raises(LeaseLostError):
        decide(reviewing, ada, mine, ACCEPT)
    with pytest.raises(ClosedError):
        decide(reviewing, ben, reviewing.look(ben, done.task_id), REJECT)

    desk = Desk(sqlite, clock)
    assert desk.draft(ada.id, mine.task_id).body == ACCEPT
    assert desk.draft(ben.id, done.task_id).body == REJECT
    assert [each.verdict for each in rounds.decisions(made.id)] == ["accepted"]


def test_tasks_of_others_are_not_there(rounds, reviewing, ada, ben, sqlite, clock, tmp_path):
    opened(rounds, tmp_path)
    task, desk = reviewing.take(ada).task_id, Desk(sqlite, clock)
    missing = [
        lambda: reviewing.look(ben, task),
        lambda: desk.save_draft(ben.id, task, {}, 0),
        lambda: reviewing.decide(ben, task, ACCEPT, client_id=uuid4(), version=0),
        lambda: reviewing.decide(ada, "none", ACCEPT, client_id=uuid4(), version=0),
    ]
    for call in missing:
        with pytest.raises(NotFoundError, match="none of this id that is yours"):
            call()


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_those_who_see_results_do_not_review(rounds, reviewing, sqlite, role, tmp_path):
    opened(rounds, tmp_path)

    with pytest.raises(NotAllowedError, match=f"role {role} does not review"):
        reviewing.take(user(sqlite, "eve", role))


BROKEN = {
    "no verdict": ({}, "verdict"),
    "unknown verdict": ({"verdict": "maybe"}, "verdict"),
    "reject without reason": ({"verdict": "rejected"}, "reason"),
    "unknown reason": ({"verdict": "rejected", "reason": "boring"}, "reason"),
    "reason without reject": ({"verdict": "accepted", "reason": "other"}, "reason"),
    "fixed without a change": ({"verdict": "fixed"}, "verdict"),
    "unknown field": ({"verdict": "accepted", "score": 1}, "score"),
    "criterion without text": ({"verdict": "fixed", "criteria": [{"text": " "}]}, "criteria[0].text"),
    "positive veto": (
        {"verdict": "fixed", "criteria": [{"text": "x", "dimension": "safety", "polarity": "positive"}]},
        "criteria[0].polarity",
    ),
    "criterion twice": (
        {"verdict": "fixed", "criteria": [{"text": "x", "dimension": "excellence", "polarity": "positive"}] * 2},
        "criteria[1].id",
    ),
    "long note": ({"verdict": "accepted", "note": "x" * 10_001}, "note"),
    "half a pair": ({"verdict": "accepted", "note": "\ud83d"}, "note"),
    "too many criteria": ({"verdict": "fixed", "criteria": [{}] * 201}, "criteria"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bodies_that_are_no_decision_are_refused_by_field_and_kept(
    name, rounds, reviewing, ada, sqlite, clock, tmp_path
):
    opened(rounds, tmp_path, rubrics=1)
    work, (body, field) = reviewing.take(ada), BROKEN[name]

    with pytest.raises(InvalidError) as caught:
        decide(reviewing, ada, work, body)

    assert caught.value.field == field
    assert rows_in(sqlite, "decisions") == rows_in(sqlite, "submissions") == []
    assert Desk(sqlite, clock).draft(ada.id, work.task_id).body == body


def test_accepted_with_a_change_is_refused(rounds, reviewing, ada, tmp_path):
    opened(rounds, tmp_path, rubrics=1)
    work = reviewing.take(ada)

    with pytest.raises(InvalidError, match="verdict: is accepted, but the criteria were changed"):
        decide(reviewing, ada, work, {**fixed(work, weight=3), "verdict": "accepted"})


def test_editing_adds_removes_rewords_and_moves(rounds, reviewing, ada, sqlite, tmp_path):
    made = opened(rounds, tmp_path, rubrics=1)
    work = reviewing.take(ada)
    dose, why, _ = rows_of(work.criteria)
    dose["text"] = dose["text"].replace("6 hours", "8 hours")
    added = {"text": "The response names 4 g as the most in a day", "dimension": "proficiency", "polarity": "positive"}

    decide(reviewing, ada, work, {"verdict": "fixed", "criteria": [dose, {**why, "dimension": "proficiency"}, added]})

    (decision,) = rounds.decisions(made.id)
    assert [each.criterion.text for each in decision.criteria][2] == added["text"]
    edits = figures_of(sqlite, made.id).edits
    assert (edits["proficiency"].reworded, edits["proficiency"].added) == (1, 1)
    assert edits["proficiency"].distance == pytest.approx(1 - 2 * 12 / 26)
    assert (edits["excellence"].moved, edits["excellence"].distance) == (1, 0)
    assert (edits["safety"].removed, edits["safety"].distance) == (1, 1)


def test_figures_count_verdicts_reasons_and_who_did_what(rounds, reviewing, ada, ben, sqlite, clock, tmp_path):
    made = opened(rounds, tmp_path, rubrics=4)
    assert figures_of(sqlite, made.id).pass_rate is None
    for who, body, seconds in [(ada, ACCEPT, 30), (ada, REJECT, 90), (ben, REJECT, 40)]:
        work = reviewing.take(who)
        clock.now += seconds
        decide(reviewing, who, work, body)
    reviewing.take(ben)

    found = figures_of(sqlite, made.id)

    assert found.verdicts == {"accepted": 1, "rejected": 2}
    assert found.reasons == [("not_medical", 2)]
    assert found.pass_rate.value == pytest.approx(1 / 3)
    assert found.pass_rate.low < 1 / 3 < found.pass_rate.high
    assert [(each.name, each.decided, each.holds, each.median_s) for each in found.progress] == [
        ("ada", 2, 0, 60),
        ("ben", 1, 1, 40),
    ]


def test_lint_says_what_is_wrong_while_criteria_are_being_written():
    rows = [
        {"text": "The response"},
        {"text": "", "dimension": "safety"},
        {"text": "Fails to warn of bleeding", "dimension": "safety", "polarity": "negative"},
    ]

    assert [each.rule for each in advice(rows)] == ["veto_omission"]


def test_every_change_has_its_event(rounds, reviewing, ada, sqlite, clock, tmp_path):
    made = opened(rounds, tmp_path, rubrics=1)
    work = reviewing.take(ada)
    decide(reviewing, ada, work, ACCEPT)
    rounds.close(made.id, actor="root")

    kinds = [event.kind for event in sqlite.read(history)]
    assert kinds == [
        "user_added",
        "round_imported",
        "task_queued",
        "round_open",
        "task_leased",
        "task_submitted",
        "round_closed",
    ]
