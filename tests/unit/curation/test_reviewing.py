"""A round of review from rows to physicians and back: what is decided is what stands, and nothing names a model."""

import pytest

from promedical.rubric import Criterion
from promedical_curation.rounds.estimate import pass_rate
from promedical_curation.rounds.sampling import draw
from promedical_curation.rows import Drop, Row
from promedical_curation.rubrics.pool import Pool, held_out
from promedical_curation.stages import reviewing
from promedical_data.rounds.files import read_decisions, read_round, write_decisions, write_round
from promedical_data.rounds.round import Decision, Proposed


def entry(name, text, dimension="proficiency", drafters=("drafters/1",)):
    return {
        "id": name,
        "text": text,
        "dimension": dimension,
        "polarity": "negative" if dimension == "safety" else "positive",
        "weight": None,
        "citation": None,
        "factual": False,
        "drafters": list(drafters),
    }


def row(name="q1", *, veto=False, votes=(), kind="medication"):
    criteria = [entry("c1", "States the dose.", drafters=("claude", "gpt"))]
    criteria += [entry("c2", "Tells the patient to double it.", "safety")] * veto
    return Row(
        id=name,
        source="test",
        origin="1",
        licence="MIT",
        instruction=f"How much, {name}?",
        notes={
            "category": {"specialty": "cardiology", "kind": kind},
            "candidates": {"responses": [{"id": "r1", "model": "gpt", "text": "4 g."}]},
            "gate": {"criteria": criteria, "refused": []},
            "verdicts": {
                "votes": [{"judge": j, "response": "r1", "criterion": c, "met": met} for j, c, met in votes],
                "unanswered": 0,
            },
        },
    )


def decision(name, verdict="accepted", text="States the dose."):
    if verdict == "rejected":
        return Decision(row=name, verdict=verdict, reason="other", rater="p1", at="2026-11-30T20:00:00+00:00")
    criteria = (Proposed(criterion=Criterion(id="c1", text=text, dimension="proficiency"), citation="BNF"),)
    return Decision(row=name, verdict=verdict, criteria=criteria, rater="p1", at="2026-11-30T20:00:00+00:00")


@pytest.mark.parametrize(
    ("shown", "seen", "signals"),
    [
        (row(), {"cardiology/medication"}, set()),
        (row(), {"cardiology/diagnosis"}, {"new_cluster"}),
        (row(veto=True), {"cardiology/medication"}, {"veto"}),
        (row(votes=[("a", "c1", True), ("b", "c1", False)]), {"cardiology/medication"}, {"judges_disagree"}),
        (row(votes=[("a", "c1", True), ("b", "c1", None)]), {"cardiology/medication"}, set()),
        (row(votes=[("a", "gone", True), ("b", "gone", False)]), {"cardiology/medication"}, set()),
    ],
    ids=["none", "new", "veto", "disagree", "could not assess", "criterion that the gate refused"],
)
def test_signals_are_what_speaks_for_a_look(shown, seen, signals):
    assert reviewing.signals_of(shown, seen) == signals


def test_item_names_no_model():
    item = reviewing.item_of(row(), 0.5)

    assert item.criteria[0].drafters == ("drafter 1", "drafter 2")
    assert "gpt" not in repr(item)
    assert "claude" not in repr(item)


def test_review_puts_decisions_into_rows_and_leaves_the_others_alone():
    decided = {"q2": decision("q2", "fixed", "States 3 g."), "q3": decision("q3", "rejected")}
    stage = reviewing.Reviewing(decisions=decided)

    untouched, fixed, rejected = (stage.decide(row(name), ()) for name in ("q1", "q2", "q3"))

    assert untouched.notes["review"] == {"verdict": None, "criteria": row().notes["gate"]["criteria"]}
    (criterion,) = fixed.notes["review"]["criteria"]
    assert (criterion["text"], criterion["citation"], criterion["drafters"]) == ("States 3 g.", "BNF", ["physician"])
    assert isinstance(rejected, Drop)
    assert (rejected.reason, rejected.note) == ("rejected", {"why": "other"})


def test_review_is_out_of_date_when_a_decision_is_another_one():
    def config(*decisions):
        return reviewing.Reviewing(decisions={each.row: each for each in decisions}).stage.config

    assert config(decision("q1")) == config(decision("q1"))
    assert config(decision("q1")) != config(decision("q1", text="States 3 g."))
    assert config(decision("q1")) != config()


def test_examples_are_rubrics_that_physicians_left_outside_the_held_out_slice():
    names = [f"q{n}" for n in range(60)]
    decisions = [decision(name, "rejected" if name == "q1" else "fixed") for name in names]

    pool = Pool(reviewing.examples(decisions, {name: f"question {name}" for name in names}))

    assert {each.id for each in pool.examples} == {name for name in names if name != "q1" and not held_out(name)}


def test_round_goes_out_to_physicians_and_comes_back_as_an_estimate(tmp_path):
    rows = {f"q{n}": row(f"q{n}", veto=n % 3 == 0) for n in range(40)}
    drawn = draw({name: reviewing.signals_of(each, ()) for name, each in rows.items()}, 10, seed=1)
    write_round(tmp_path / "round.jsonl", "1", [reviewing.item_of(rows[each.id], each.probability) for each in drawn])

    _, items = read_round(tmp_path / "round.jsonl")
    decisions = [decision(item.row, "fixed" if n == 0 else "accepted") for n, item in enumerate(items)]
    write_decisions(tmp_path / "decisions.jsonl", "1", decisions)
    _, back = read_decisions(tmp_path / "decisions.jsonl")

    assert [item.probability for item in items] == [each.probability for each in drawn]
    found = pass_rate(drawn, reviewing.passed_strictly(back))
    assert found.decided == 10
    assert 0.7 < found.value < 1
