"""Rounds in a run's folder: what is drawn, what decisions do to it, and what is refused. No model is asked."""

import json
from dataclasses import replace

import pytest

import curating
from promedical_curation.errors import CurationError
from promedical_curation.line import decided_parts
from promedical_curation.pipeline.row_files import RowFile
from promedical_curation.pipeline.run_folder import expect, read_run, states
from promedical_curation.recipes.recipe_files import read_recipe
from promedical_curation.review_rounds import (
    decisions_of,
    draw_round,
    gated_rows,
    import_decisions,
    pool_of,
    read_rounds,
    summary,
)
from promedical_curation.rubrics.pool import held_out
from promedical_data.rounds.files import write_decisions
from promedical_data.rounds.round import Decision

ASKED = curating.endpoint("http://127.0.0.1:9/v1")
AT = "2026-11-30T12:00:00+00:00"


def entry(name):
    return {
        "id": name, "text": f"States {name}.", "dimension": "proficiency", "polarity": "positive", "weight": 2.0,
        "citation": None, "factual": False, "drafters": ["drafters/1"],
    }  # fmt: skip


def gated(name):
    notes = {
        "category": {"specialty": "cardiology", "kind": "medication"},
        "candidates": {
            "responses": [{"id": "r1", "model": "m", "text": "4 g."}, {"id": "r2", "model": "m", "text": "No."}]
        },
        "verdicts": {"votes": []},
        "gate": {"criteria": [entry("c1"), entry("c2")], "refused": []},
    }
    return curating.row(f"How much, {name}?", id=name, notes=notes)


@pytest.fixture
def run(tmp_path):
    rows = [gated(f"q{number:02}") for number in range(20)]
    curating.run_line(tmp_path / "run", [curating.source(rows, name="gate")], ASKED)
    return tmp_path / "run"


def drawn(run, size=5):
    found = read_run(run)
    return draw_round(run, found.id, gated_rows(run, found), size, seed=0)


def decide(item, verdict="accepted"):
    criteria = {"accepted": item.criteria, "fixed": item.criteria[:1], "rejected": ()}[verdict]
    reason = "unclear_question" if verdict == "rejected" else None
    return Decision(row=item.row, verdict=verdict, criteria=criteria, reason=reason, rater="r1", at=AT)


def take_in(run, round_id, decisions):
    file = run.parent / "in.jsonl"
    write_decisions(file, round_id, decisions)
    return import_decisions(run, file, 0.95)


def test_round_is_the_same_until_it_has_decisions_and_then_others_are_drawn(run):
    first = drawn(run)
    assert drawn(run) == first
    assert sum(1 / item.probability for item in first.items) == pytest.approx(20)

    take_in(run, first.id, [decide(item) for item in first.items])
    second = drawn(run)

    assert (second.number, len(second.items)) == (2, 5)
    assert not {item.row for item in second.items} & {item.row for item in first.items}


def test_decisions_add_up_and_a_later_one_replaces_an_earlier(run):
    found = drawn(run)
    one, other, *_ = found.items

    first = take_in(run, found.id, [decide(one), decide(other)])
    second = take_in(run, found.id, [decide(other, "rejected")])

    assert (first.new, first.changed, second.new, second.changed) == (2, 0, 0, 1)
    assert {row: each.verdict for row, each in decisions_of(read_rounds(run)).items()} == {
        one.row: "accepted",
        other.row: "rejected",
    }


def test_estimate_is_written_and_two_rounds_above_the_target_end_reviewing(run):
    for _ in range(2):
        found = drawn(run, size=8)
        take_in(run, found.id, [decide(item) for item in found.items])

    rounds = read_rounds(run)
    estimate = json.loads((run / "rounds" / "2" / "estimate.json").read_text())["estimate"]
    assert estimate["value"] == 1
    assert summary(rounds, target=estimate["low"], level=0.95)[-1].startswith("reviewing may stop")
    assert summary(rounds, target=0.99, level=0.95)[-1].startswith("go on reviewing")


def test_corrected_rubrics_enter_the_pool_and_rejected_ones_do_not(run):
    found = drawn(run, size=12)
    take_in(run, found.id, [decide(item, "fixed" if n % 2 else "rejected") for n, item in enumerate(found.items)])

    kept = {item.row for n, item in enumerate(found.items) if n % 2 and not held_out(item.row)}
    assert {each.id for each in pool_of(read_rounds(run)).examples} == kept
    assert {len(each.criteria) for each in pool_of(read_rounds(run)).examples} == {1}


def test_decisions_make_drafting_and_review_out_of_date_on_purpose(run):
    recipe = read_recipe("preference-50k")
    before = decided_parts(recipe, [])
    found = drawn(run)
    take_in(run, found.id, [decide(item, "fixed") for item in found.items])
    now = decided_parts(recipe, read_rounds(run))

    assert before["review"] != now["review"]
    assert before["drafting"] != now["drafting"]
    without = read_recipe("preference-50k", ["drafting.examples=0"])
    assert decided_parts(without, read_rounds(run))["drafting"] == before["drafting"]
    expect(run, {"gate": {"config.rows": "other"}, "drafting": now["drafting"]})
    (state,) = states(run, read_run(run).stages)
    assert "config.rows was" in state.why


def test_rounds_need_a_gate_that_is_up_to_date(run, tmp_path):
    expect(run, {"gate": {"config.rows": "other"}})
    with pytest.raises(CurationError, match="stage gate is out of date"):
        gated_rows(run, read_run(run))
    curating.run_line(tmp_path / "other", [curating.source([gated("q1")])], ASKED)
    with pytest.raises(CurationError, match="has no stage gate"):
        gated_rows(tmp_path / "other", read_run(tmp_path / "other"))


def test_round_is_refused_when_all_is_decided(run):
    found = drawn(run, size=20)
    take_in(run, found.id, [decide(item) for item in found.items])
    with pytest.raises(CurationError, match="no rubric is left to review: 20 have been decided on"):
        drawn(run)


def cut(file, found):
    write_decisions(file, found.id, [decide(item) for item in found.items])
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


WRONG = {
    "another round": (lambda found, file: write_decisions(file, "x-1", [decide(found.items[0])]), "is about round x-1"),
    "another row": (
        lambda found, file: write_decisions(file, found.id, [replace(decide(found.items[0]), row="q99")]),
        "row q99 is not of round",
    ),
    "accepted with an edit": (
        lambda found, file: write_decisions(
            file, found.id, [replace(decide(found.items[0]), criteria=found.items[0].criteria[:1])]
        ),
        "is accepted, but its criteria are not those of round",
    ),
    "no file": (lambda found, file: None, "in.jsonl: cannot be read"),
    "no decisions": (lambda found, file: file.write_text("{}\n"), "in.jsonl:1: format: Field required"),
    "cut off": (lambda found, file: cut(file, found), "it was cut off"),
    "no text": (lambda found, file: file.write_bytes(b"\xff\xfe\x00"), "in.jsonl"),
}


@pytest.mark.parametrize("case", WRONG)
def test_decisions_that_cannot_be_used_change_nothing(run, case):
    found = drawn(run)
    make, message = WRONG[case]
    file = run.parent / "in.jsonl"
    make(found, file)

    with pytest.raises(CurationError) as refused:
        import_decisions(run, file, 0.95)

    assert message in str(refused.value)
    assert read_rounds(run)[0].decisions == {}


def test_rows_of_a_round_are_those_of_the_gate(run):
    assert {item.row for item in drawn(run, size=20).items} == {
        row.id for row in RowFile(run / "stages" / "gate" / "rows.parquet")
    }
