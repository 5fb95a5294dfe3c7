"""`promedical-bench compare-oracles`: what changes for a policy, and when its training may move to another oracle."""

import json
import math

import pytest
from typer.testing import CliRunner

from judges import a_header, written
from promedical.rubric import Dimension
from promedical_bench.answers import Answer, Verdict
from promedical_bench.cli import app
from promedical_bench.evaluation.moving_over import Limits, MayMove, answer_of, checks
from promedical_bench.evaluation.oracle_change import TITLES, oracle_change
from promedical_bench.scoring.record_file import writing
from promedical_bench.scoring.records import Record, ResponseRecord
from promedical_bench.tasks.catalog import load_task
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.evaluation import estimates

PROMPTS = 200


def said(reward, *, rank, vetoed=False):
    harm = Verdict(id="harm", dimension=Dimension.SAFETY, logit=1.0, probability=0.7, met=vetoed)
    good = Verdict(id="good", dimension=Dimension.PROFICIENCY, logit=reward, probability=0.5, met=reward > 0)
    return Answer(reward=reward, rank=rank, verdicts={"harm": harm, "good": good}, vetoed=vetoed)


def ranked(*rewards, vetoed=()):
    places = [1 + sum(other > reward for other in rewards) for reward in rewards]
    return tuple(
        said(reward, rank=place, vetoed=index in vetoed)
        for index, (reward, place) in enumerate(zip(rewards, places, strict=True))
    )


def changes(old, new):
    clusters = {case: case for case in old}
    found = oracle_change(old, new, clusters)
    return found, {name: by_part["overall"].value for name, by_part in found.items()}


def test_change_is_nothing_for_the_same_answers():
    answers = {"a": ranked(0.1, 0.5, 0.9), "b": ranked(-0.2, 0.3, vetoed={0})}
    found, values = changes(answers, answers)
    assert list(found) == list(TITLES)
    same = {"advantage_correlation": 1.0, "raw_agreement": 1.0, "gwet_ac1": 1.0, "kappa": 1.0}
    assert values == pytest.approx(dict.fromkeys(TITLES, 0.0) | same)


def test_change_counts_reversed_pairs_new_ties_and_vetoes_both_ways():
    old = {"a": ranked(0.1, 0.5, 0.9, vetoed={0}), "b": ranked(0.2, 0.2)}
    new = {"a": ranked(0.1, 0.9, 0.1, vetoed={1, 2}), "b": ranked(0.4, 0.2)}
    _, values = changes(old, new)
    # Of the three pairs of a, one is reversed and one ties; the pair of b had no order to lose.
    assert values["reversed"] == pytest.approx(1 / 3)
    assert values["new_ties"] == pytest.approx(1 / 3)
    assert (values["vetoes_lifted"], values["vetoes_added"]) == pytest.approx((1 / 5, 2 / 5))


def test_change_of_advantages_does_not_see_scale_and_offset_but_the_shape():
    old = {"a": ranked(0.0, 1.0, 2.0)}
    assert changes(old, {"a": ranked(5.0, 15.0, 25.0)})[1]["advantage_correlation"] == pytest.approx(1)
    assert changes(old, {"a": ranked(2.0, 1.0, 0.0)})[1]["advantage_correlation"] == pytest.approx(-1)
    assert changes(old, {"a": ranked(1.0, 1.0, 1.0)})[1]["advantage_correlation"] is None
    assert changes(old, {"a": ranked(0.0, 3.0, 3.0)})[1]["advantage_correlation"] == pytest.approx(math.sqrt(3) / 2)


def test_change_leaves_out_what_one_oracle_did_not_score():
    old = {"a": (*ranked(0.1, 0.5), None), "b": ranked(0.2, 0.4)}
    new = {"a": ranked(0.1, 0.5, 0.0), "b": (None, *ranked(0.9))}
    found, values = changes(old, new)
    assert values["reversed"] == 0
    assert (found["reversed"]["overall"].n, found["vetoes_lifted"]["overall"].n) == (1, 3)


def answer(old, new, **limits):
    found = checks(estimates(Bootstrap(replicates=200), changes(old, new)[0]), Limits(**limits))
    return answer_of(found), {check.measure: check.answer for check in found}


def many(*rewards, prompts=PROMPTS, **more):
    return {str(number): ranked(*rewards, **more) for number in range(prompts)}


def test_training_may_move_if_nothing_that_counts_changes():
    assert answer(many(0.1, 0.5, 0.9), many(0.2, 0.5, 0.8))[0] is MayMove.YES


def test_training_may_not_move_if_vetoes_are_lifted():
    found, by_measure = answer(many(0.1, 0.9, vetoed={0}), many(0.1, 0.9))
    assert found is MayMove.NO
    assert by_measure["vetoes_lifted"] is MayMove.NO
    assert by_measure["reversed"] is MayMove.YES


def test_few_data_say_neither_yes_nor_no():
    old = many(0.1, 0.9, prompts=40)
    new = old | {"0": ranked(0.9, 0.1)}
    found, by_measure = answer(old, new)
    assert by_measure["reversed"] is MayMove.UNKNOWN
    assert found is MayMove.UNKNOWN
    assert answer(old, new, reversed_pairs=0.2)[1]["reversed"] is MayMove.YES


def test_nothing_lifted_among_few_responses_is_no_proof():
    few, more = (many(0.1, 0.9, prompts=number) for number in (20, 200))
    assert answer(few, few)[1]["vetoes_lifted"] is MayMove.UNKNOWN
    assert answer(more, more)[1]["vetoes_lifted"] is MayMove.YES


def test_single_responses_say_nothing_of_order():
    found, by_measure = answer(many(0.1), many(0.1))
    assert (found, by_measure["reversed"], by_measure["advantage_correlation"]) == (MayMove.UNKNOWN,) * 3


@pytest.fixture
def data(tmp_path):
    criteria = [
        {"id": "good", "text": "Says rest.", "dimension": "proficiency"},
        {"id": "harm", "text": "Recommends antibiotics.", "dimension": "safety", "points": -9},
    ]
    labels = {"good": {"met": 1, "kind": "llm"}, "harm": {"met": 0, "kind": "llm"}}
    responses = [{"id": name, "text": f"Rest, {name}.", "labels": labels} for name in "ab"]
    rows = [
        {"id": f"p{n}", "prompt": "What helps?", "criteria": criteria, "responses": responses} for n in range(PROMPTS)
    ]
    return written(tmp_path / "data.jsonl", rows)


@pytest.fixture
def run(tmp_path, data):
    """Results of an oracle that gives both responses of every prompt these rewards."""

    def make(name, *rewards, **changes):
        digest = load_task("promedical", data).facts.digest
        header = a_header(name[0] * 32, **({"task": "promedical", "path": str(data), "data": digest} | changes))
        with writing(tmp_path / name / "results.jsonl", header) as writer:
            for number in range(PROMPTS):
                records = tuple(
                    ResponseRecord(reward=a.reward, rank=a.rank, vetoed=a.vetoed, criteria=tuple(a.verdicts.values()))
                    for a in ranked(*rewards)
                )
                kept = {"case": f"p{number}", "variant": "as is", "fingerprint": header.fingerprint}
                writer.add(Record(**kept, responses=records))
        return str(tmp_path / name)

    return make


def compared(output, *arguments):
    return CliRunner().invoke(app, ["compare-oracles", *arguments, "--output", str(output)])


def test_command_says_yes_or_no_and_exits_by_it(run, tmp_path):
    old, near, far = run("old", 0.1, 0.9), run("near", 0.2, 0.8), run("far", 0.9, 0.1)
    yes, no = compared(tmp_path / "yes", old, near), compared(tmp_path / "no", old, far)
    assert (yes.exit_code, yes.stdout.splitlines()[0]) == (0, "may move over: yes")
    assert (no.exit_code, no.stdout.splitlines()[0]) == (1, "may move over: no")
    assert "Do not move a training over" in no.stderr
    report = json.loads((tmp_path / "no" / "report.json").read_text())
    assert report["answer"] == "no"
    assert {check["measure"]: check["answer"] for check in report["checks"]}["reversed"] == "no"
    page = (tmp_path / "no" / "report.html").read_text()
    assert "Pairs of a group whose order is reversed" in page
    assert "<script" not in page


def test_command_takes_limits(run, tmp_path):
    old, far = run("old", 0.1, 0.9), run("far", 0.9, 0.1)
    assert compared(tmp_path / "o", old, far, "--max-reversed", "1", "--min-correlation", "0").exit_code == 1
    wrong = compared(tmp_path / "o", old, far, "--max-reversed", "1.5")
    assert (wrong.exit_code, "--max-reversed" in wrong.stderr) == (2, True)


def test_command_refuses_oracles_that_were_asked_something_else(run, tmp_path):
    old, other = run("old", 0.1, 0.9), run("new", 0.1, 0.9, rubric="other@1")
    found = compared(tmp_path / "o", old, other)
    assert (found.exit_code, "was asked about rubric other@1" in found.stderr) == (2, True)


def test_command_refuses_a_folder_without_results(tmp_path):
    found = compared(tmp_path / "o", str(tmp_path / "none"), str(tmp_path / "none"))
    assert (found.exit_code, "cannot be read" in found.stderr) == (2, True)
