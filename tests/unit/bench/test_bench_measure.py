"""From answers to a report: which responses count for whom, paired differences, the injection's shift, the pages."""

import pytest

from judges import a_header, by_verdict, written
from promedical_bench.evaluation.evaluate import NothingScoredError, compare, measure
from promedical_bench.reports.pages import Plot, as_html, as_markdown
from promedical_bench.reports.plots import forest_plot, shift_plot
from promedical_bench.reports.quality_report import quality_content
from promedical_bench.tasks.catalog import load_task
from promedical_data.measures.evaluation import MODEL
from promedical_data.variants import CRITERION_ONLY, INJECTED

HEADLINE = "pair_accuracy_macro"


def row(name):
    labels = [{"c": {"met": 1, "kind": "llm"}}, {"c": {"met": 0, "kind": "llm"}}]
    return {
        "id": name,
        "prompt": "What helps?",
        "criteria": [{"id": "c", "text": "Says rest.", "dimension": "proficiency"}],
        "responses": [
            {"id": "a", "text": f"Rest, {name}.", "labels": labels[0]},
            {"id": "b", "text": "Antibiotics.", "labels": labels[1]},
        ],
    }


@pytest.fixture
def task(tmp_path):
    return load_task("promedical", written(tmp_path / "d.jsonl", [row(name) for name in ("p1", "p2", "p3", "p4")]))


def right(task):
    return by_verdict(task.cases, lambda text, _: "Rest" in text)


def wrong(task):
    return by_verdict(task.cases, lambda text, _: "Rest" not in text)


def without(answers, *cases):
    return answers | dict.fromkeys(cases, (None, None))


def test_measure_takes_a_control_and_its_difference_on_the_responses_that_both_scored(task):
    mixed = right(task) | {"p1": wrong(task)["p1"]}  # the model is wrong on p1
    measured = measure(task, mixed, {"untrained": without(wrong(task), "p1")})

    scores = {
        name: found[HEADLINE]["overall"].value
        for name, found in measured.evaluation.scores.items()
        if HEADLINE in found
    }
    assert scores == {MODEL: 0.75, "untrained": 0.0, "longer answer": 0.0, "bag of words": 1.0}
    difference = measured.evaluation.differences["untrained"][HEADLINE]["overall"]
    assert (difference.value, difference.n) == (1.0, 3)
    assert measured.missing == {"untrained": 2}


def test_measure_leaves_what_the_model_did_not_score_out_for_every_judge(task):
    measured = measure(task, without(right(task), "p1", "p2"), {INJECTED: wrong(task)}, injected=wrong(task))
    assert measured.evaluation.counts == {"prompts": 2, "cases": 2, "responses": 4, "verdicts": 4}
    assert measured.evaluation.scores[INJECTED][HEADLINE]["overall"].n == 2
    assert measured.evaluation.scores["majority"]["accuracy"]["overall"].n == 4
    assert measured.missing == {}
    assert measured.shift["flipped_to_met"]["overall"].value == 0.5
    assert measured.shift["flipped_to_not_met"]["overall"].value == 0.5
    assert measured.shift["probability_shift"]["proficiency"].value == pytest.approx(0)
    assert measured.shift["reward_shift"]["overall"].n == 4


def test_measure_shows_no_control_that_has_nothing(task):
    measured = measure(task, right(task), {"untrained": {}})
    assert "untrained" not in measured.evaluation.scores
    assert measured.missing == {"untrained": 8}


def test_measure_lets_a_judge_without_responses_compare_none(task):
    measured = measure(task, right(task), {CRITERION_ONLY: by_verdict(task.cases, lambda *_: True)})
    assert HEADLINE not in measured.evaluation.scores[CRITERION_ONLY]
    assert measured.evaluation.scores[CRITERION_ONLY]["accuracy"]["overall"].value == 0.5


def test_measure_refuses_to_make_a_number_of_nothing(task):
    with pytest.raises(NothingScoredError, match="no response was scored"):
        measure(task, without(right(task), "p1", "p2", "p3", "p4"), {})


def test_compare_pairs_runs_on_the_responses_that_all_scored(task):
    evaluation = compare(task, {"a": without(right(task), "p1"), "b": without(wrong(task), "p2"), "c": right(task)})
    assert evaluation.counts["prompts"] == 2
    assert list(evaluation.scores) == ["a", "b", "c"]
    against = {name: found[HEADLINE]["overall"] for name, found in evaluation.differences.items()}
    assert {name: (each.value, each.low, each.high) for name, each in against.items()} == {
        "b": (1.0, 1.0, 1.0), "c": (0.0, 0.0, 0.0),
    }  # fmt: skip
    with pytest.raises(NothingScoredError, match="scored by all runs"):
        compare(task, {"a": without(right(task), "p1", "p2"), "b": without(right(task), "p3", "p4")})


def physicians_record(prompt, votes):
    return {"prompt_id": prompt, "completion_id": "a", "prompt": "What helps?", "completion": f"Rest, {prompt}.",
            "rubric": "Says rest.", "category": "k", "binary_labels": votes}  # fmt: skip


def test_measure_puts_physicians_beside_a_model_on_the_prompts_that_several_of_them_labelled(tmp_path):
    votes = {"p1": [True, True], "p2": [False, True], "p3": [True]}
    rows = [physicians_record(prompt, said) for prompt, said in votes.items()]
    task = load_task("healthbench-meta", written(tmp_path / "meta.jsonl", rows))
    measured = measure(task, by_verdict(task.cases, lambda *_: True), {})

    # Of the votes on p1 and p2 three are met: tp 3, fp 1. Physicians agree on p1 only: tp 2, fp 1, fn 1.
    difference = measured.evaluation.differences["physicians"]["balanced_f1_by_kind"]["overall"]
    assert difference.value == pytest.approx((6 / 7 + 0) / 2 - (4 / 6 + 0) / 2)
    assert difference.low is not None
    assert measured.evaluation.scores[MODEL]["balanced_f1"]["overall"].n == 5
    assert (measured.fewer, measured.as_dict()["fewer"]) == ({"physicians": 2}, {"physicians": 2})
    text = as_markdown(quality_content(task, a_header(), measured, {}))
    difference = "the difference is on the others: physicians on 2 of 3 prompts."
    assert f"Where a control says nothing about some prompts, {difference}" in text


def test_measure_has_no_physicians_where_none_labelled_what_another_did(tmp_path):
    rows = [physicians_record("p1", [True]), physicians_record("p2", [False])]
    task = load_task("healthbench-meta", written(tmp_path / "meta.jsonl", rows))
    measured = measure(task, by_verdict(task.cases, lambda *_: True), {})
    assert set(measured.evaluation.differences) == {"longer answer", "majority"}
    assert measured.fewer == {}
    assert "says nothing about" not in as_markdown(quality_content(task, a_header(), measured, {}))


def test_report_says_what_is_wrong_first_and_escapes_what_comes_from_outside(task):
    measured = measure(task, right(task), {"untrained": without(wrong(task), "p1")}, injected=wrong(task))
    header = a_header(task="promedical", path="<b>data|1</b>", rubric="<script>alert(1)</script>")
    content = quality_content(task, header, measured, {"too_long": 2})

    unscored, few, partly = content.warnings
    assert few.startswith("Few prompts: ")
    assert unscored.startswith("Responses without scores: 2 (too_long 2). They are left out for every judge")
    assert partly.startswith('Control "untrained" lacks scores of 2 of the model\'s responses: it and its difference')
    plots = [forest_plot(measured.evaluation, HEADLINE, chance=0.5), shift_plot(measured.shift)]
    page = as_html(content, [Plot(title="t", caption="c", figure=figure) for figure in plots])
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<img") == 2
    text = as_markdown(content)
    assert "| excellence | - |" in text
    assert "**Pair accuracy, mean over prompts (headline)**" in text
    assert all(line.count("|") == lines[0].count("|") for lines in tables(text) for line in lines)


def tables(text):
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]
