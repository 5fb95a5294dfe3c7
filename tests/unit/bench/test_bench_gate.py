"""The gate: what a line comes to, which cases are held out, and what right and wrong judges get."""

import json
from dataclasses import replace

import pytest

from judges import by_verdict, written
from promedical.rubric_files import load_catalog
from promedical_bench.answers import Answer
from promedical_bench.gate.cases import GOOD, HARMFUL, demo_cases, doctors_cases, held_out_cases
from promedical_bench.gate.figures import (
    RUBRIC,
    lines_of_cases,
    lines_of_criteria,
    lines_of_demo,
    lines_of_drills,
    lines_of_physicians,
    lines_of_scores,
)
from promedical_bench.gate.lines import Line, Outcome
from promedical_bench.gate.measured import measured_by_physicians, measured_on_test
from promedical_bench.tasks.promedical import load, predictions_of
from promedical_data.errors import DataError
from promedical_data.measures.bootstrap import Bootstrap, Estimate
from promedical_data.measures.evaluation import estimates, evaluate

VETOES = {each.id: each.text for each in load_catalog().find(RUBRIC).rubric.criteria if each.dimension == "safety"}


def row(number):
    """A good answer beside a longer one that harms, and one between them that is as long as the good one."""
    met = ({"good": 1, "harm": 0}, {"good": 0, "harm": 1}, {"good": 0, "harm": 0})
    texts = ("Rest and drink, please.", "Antibiotics, as many as you like, every day.", "Nothing to say, please.")
    return {
        "id": f"p{number}",
        "prompt": f"What helps against a cold, case {number}?",
        "criteria": [
            {"id": "good", "text": "Says rest.", "dimension": "proficiency", "points": 5},
            {"id": "harm", "text": "Recommends antibiotics.", "dimension": "safety", "points": -9},
        ],
        "responses": [
            {
                "id": str(place),
                "text": text,
                "labels": {name: {"met": value, "kind": "llm"} for name, value in said.items()},
            }
            for place, (text, said) in enumerate(zip(texts, met, strict=True))
        ],
    }


def drill(number, worded):
    veto = list(VETOES)[number % len(VETOES)]
    return {
        "id": f"vetoes/x/{worded}-{number}",
        "source": "drills/vetoes/x",
        "prompt": f"Question {number}, {worded}?",
        "criteria": [{"id": veto, "text": VETOES[veto] if worded == "rubric" else "Else.", "dimension": "safety"}],
        "responses": [
            {"id": "a", "text": "harms", "labels": {veto: {"met": 1, "kind": "rule"}}},
            {"id": "b", "text": "helps", "labels": {veto: {"met": 0, "kind": "rule"}}},
        ],
    }


@pytest.fixture
def task(tmp_path):
    return load(written(tmp_path / "test.jsonl", [row(number) for number in range(20)]))


def right(task):
    return by_verdict(task.cases, lambda text, each: ("Rest" if each.id == "good" else "Antibiotics") in text)


def by_name(lines):
    return {line.name: line for line in lines}


def test_a_right_oracle_passes_every_line_and_a_reversed_one_none(task):
    good = by_name(lines_of_criteria(task, right(task)))
    wrong = by_name(
        lines_of_criteria(task, by_verdict(task.cases, lambda text, each: ("Rest" in text) == (each.id == "harm")))
    )

    # No criterion of the data is of excellence, so nothing can be said of it.
    unmeasured = {name for name, line in good.items() if line.outcome is Outcome.UNMEASURED}
    assert unmeasured == {"pairs right over the longer answer, excellence"}
    assert {line.outcome for name, line in good.items() if name not in unmeasured} == {Outcome.HELD}
    assert good["violating answers vetoed"].found.value == 1.0
    assert wrong["pairs right, overall"].outcome is Outcome.MISSED
    assert wrong["safe answers vetoed"].outcome is Outcome.MISSED
    assert wrong["whole answers in order"].outcome is Outcome.MISSED


@pytest.mark.parametrize(
    ("rule", "target", "outcome"),
    [
        ("at least", 0.5, "pass"), ("at least", 0.51, "miss"), ("at most", 0.5, "pass"), ("at most", 0.49, "miss"),
        ("below", 0.5, "miss"), ("above", 0.5, "miss"), ("above", 0.49, "pass"), ("interval above", 0.3, "miss"),
        ("interval above", 0.29, "pass"), (None, 0.0, "reported"),
    ],
)  # fmt: skip
def test_line_holds_by_its_value_or_its_interval(rule, target, outcome):
    found = Estimate(value=0.5, low=0.3, high=0.7, n=9)
    assert Line(name="x", found=found, rule=rule, target=target).outcome == outcome


@pytest.mark.parametrize("rule", ["at least", "at most", "below", "above", "interval above", None])
def test_line_without_a_value_is_not_measured(rule):
    assert Line(name="x", found=Estimate(value=None, low=None, high=None, n=0), rule=rule).outcome == "not measured"


def test_drills_count_in_the_words_of_the_rubric_only(tmp_path):
    rows = [drill(number, worded) for worded in ("rubric", "other") for number in range(12)]
    task = load(written(tmp_path / "drills.jsonl", rows))
    answers = by_verdict(task.cases, lambda text, each: (text == "harms") == (each.text in VETOES.values()))
    lines = lines_of_drills(task, answers)

    assert [line.outcome for line in lines[:6]] == [Outcome.HELD] * 6
    assert {line.found.n for line in lines[:6]} == {4}
    assert lines[6].outcome is Outcome.UNMEASURED  # there are no statements


def test_physicians_are_reported_without_a_goal(task):
    lines = lines_of_physicians(estimates(Bootstrap(), task.tallies(right(task))))
    assert {line.outcome for line in lines if "excellence" not in line.name} == {Outcome.REPORTED}
    assert all(line.holds for line in lines)


def test_held_out_cases_are_the_starkest_and_the_same_in_any_order(tmp_path):
    rows = [row(number) for number in range(5)]
    for each in rows[:2]:  # the harmful answer also meets what is good: less stark
        each["responses"][1]["labels"]["good"]["met"] = 1
    prompts = load(written(tmp_path / "test.jsonl", rows)).prompts
    cases = held_out_cases(prompts, 3)

    assert [case.id for case in cases] == ["p2", "p3", "p4"]
    assert {case.responses[GOOD] for case in cases} == {"Rest and drink, please."}
    assert all("Antibiotics" in case.responses[HARMFUL] and not case.criteria for case in cases)
    assert held_out_cases(prompts[::-1], 3) == cases


def test_held_out_cases_need_a_safe_and_a_violating_answer(tmp_path):
    rows = [row(0), row(1)]
    del rows[0]["responses"][1]
    assert [case.id for case in held_out_cases(load(written(tmp_path / "test.jsonl", rows)).prompts)] == ["p1"]


def said(case, *, good_vetoed=False, harmful_vetoed=True, ranks=(1, 2)):
    good = Answer(reward=0.0, rank=ranks[0], verdicts={}, vetoed=good_vetoed)
    return {case.id: (good, Answer(reward=0.0, rank=ranks[1], verdicts={}, vetoed=harmful_vetoed))}


def test_cases_may_miss_one_good_answer_and_a_quarter_of_the_harmful_ones():
    cases = doctors_cases()
    answers = {}
    for number, case in enumerate(cases):
        first = number == 0
        answers |= said(case, good_vetoed=first, harmful_vetoed=number > 2, ranks=(1, 1) if first else (1, 2))
    assert [line.outcome for line in lines_of_cases("x", cases, answers, goal=True)] == [Outcome.HELD] * 3

    answers |= said(cases[1], good_vetoed=True, harmful_vetoed=False, ranks=(2, 1))
    answers |= said(cases[3], harmful_vetoed=False)
    assert [line.outcome for line in lines_of_cases("x", cases, answers, goal=True)] == [Outcome.MISSED] * 3
    assert [line.outcome for line in lines_of_cases("x", cases, answers, goal=False)] == [Outcome.REPORTED] * 3


def test_cases_without_scores_are_left_out_and_none_of_them_is_no_number():
    cases = doctors_cases()
    answers = said(cases[0]) | {cases[1].id: (None, None)}
    assert [line.found.n for line in lines_of_cases("x", cases, answers, goal=True)] == [1, 1, 1]
    assert {line.outcome for line in lines_of_cases("x", cases, {}, goal=True)} == {Outcome.UNMEASURED}


def test_demo_must_be_right_everywhere():
    cases = demo_cases()
    answers = {name: each for case in cases for name, each in said(case).items()}
    assert len(cases) == 6
    assert len({case.responses[HARMFUL] for case in cases}) == 4
    assert [line.outcome for line in lines_of_demo(cases, answers)] == [Outcome.HELD] * 2

    good, harmful = answers[cases[0].id]
    answers[cases[0].id] = (replace(good, vetoed=True), replace(harmful, vetoed=False))
    assert [line.outcome for line in lines_of_demo(cases, answers)] == [Outcome.MISSED] * 2


def test_lines_of_a_training_runs_evaluation_are_those_of_its_answers(task, tmp_path):
    answers = right(task)
    evaluation = evaluate(task.prompts, predictions_of(task.prompts, answers))
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"test": evaluation.as_dict()}))
    scores, gains, prompts = measured_on_test(path)

    assert lines_of_scores(scores, gains) == lines_of_criteria(task, answers)
    assert prompts == 20
    assert measured_by_physicians(path) is None


def test_lines_that_an_older_evaluation_lacks_are_not_measured(task):
    scores = estimates(Bootstrap(), task.tallies(right(task)))
    older = by_name(lines_of_scores({name: each for name, each in scores.items() if "matched" not in name}, {}))

    assert older["pairs of equal length right"].outcome is Outcome.UNMEASURED
    assert older["pairs right over the longer answer, overall"].outcome is Outcome.UNMEASURED
    assert older["pairs right, overall"].outcome is Outcome.HELD


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "cannot be read as JSON"), ("[]", "holds no evaluation"), ("{}", "has no evaluation of test"),
        ('{"test": {"scores": 1, "differences": 2}}', "has no evaluation of test"),
        ('{"test": {"scores": {"model": {"ece": {"overall": 3}}}, "differences": {}, "counts": {}}}', "the numbers of"),
    ],
    ids=["text", "list", "empty", "half", "wrong"],
)  # fmt: skip
def test_file_that_is_no_evaluation_is_refused(tmp_path, text, reason):
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(DataError, match=reason):
        measured_on_test(path)
