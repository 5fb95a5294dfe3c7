"""The tasks on real medical data; skipped where it is absent."""

import os
from functools import cache
from pathlib import Path

import pytest

from judges import by_verdict
from promedical_bench.tasks.catalog import load_task
from promedical_bench.tasks.healthbench_meta import PHYSICIANS
from promedical_data.measures.controls import LONGER

DATA = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


@cache
def task_of(name, file):
    if not (DATA / file).is_file():
        pytest.skip(f"{DATA / file} is absent; set PROMEDICAL_DATA to the folder that holds criteria/ and sources/")
    return load_task(name, DATA / file)


def never(task):
    return by_verdict(task.cases, lambda *_: False)


def told_by_labels(task, labels):
    """Verdicts that repeat the labels; not met where there is none."""
    known = {(row.prompt, row.response, row.criterion): row.met for row in labels.itertuples()}
    texts = {(p.id, r.text): r.id for p in (item.prompt for item in task.items) for r in p.responses}

    def answers(case):
        rule = by_verdict([case], lambda text, c: known.get((case.id, texts[case.id, text], c.id), False))
        return rule[case.id]

    return {case.id: answers(case) for case in task.cases}


def test_promedical_longer_answer_gets_what_the_data_says_it_gets():
    task = task_of("promedical", "criteria/test.jsonl.gz")
    longer = task.controls(never(task))[LONGER]
    known = {
        "pair_accuracy_macro": {"proficiency": 0.671, "excellence": 0.527, "safety": 0.429, "overall": 0.652},
        "pair_accuracy_micro": {"proficiency": 0.658, "excellence": 0.547, "safety": 0.479, "overall": 0.638},
    }
    for metric, expected in known.items():  # there, one tie in a thousand counts half
        found = {group: tally.value for group, tally in longer[metric].items()}
        assert found == pytest.approx(expected, abs=0.003)


def test_healthbench_score_by_the_grades_themselves_is_the_graded_score():
    task = task_of("healthbench", "criteria/test.jsonl.gz")
    said = told_by_labels(task, task.labels(never(task)))
    found = task.tallies(said)
    assert found["score_error"]["overall"].value == pytest.approx(0)
    assert found["order_accuracy"]["overall"].value == 1
    assert found["balanced_f1"]["overall"].value == 1
    assert found["graded_before"]["overall"].n == 839


def test_healthbench_reads_all_items_and_grades_the_ideal_completions():
    task = task_of("healthbench", "healthbench/rubrics.jsonl.gz")
    assert len(task.cases) == 691
    found = task.tallies(never(task))
    assert set(found) == {"score"}
    assert found["score"]["overall"].value == 0
    assert {"axis: accuracy", "theme: hedging", "theme: emergency referrals"} <= set(found["score"])


def test_healthbench_meta_physicians_agree_as_published():
    task = task_of("healthbench-meta", "criteria/kqa_physicians.jsonl.gz")
    people = task.controls(never(task))[PHYSICIANS]
    assert people["krippendorff_alpha"]["overall"].n == 798
    assert 0.7 < people["krippendorff_alpha"]["overall"].value < 0.8


def test_kqa_reads_the_physicians_labels_and_the_questions():
    labelled = task_of("kqa", "sources/kqa/NLI_medical_annotator.csv")
    found = labelled.tallies(never(labelled))
    assert len(labelled.cases) == 50
    assert sum(len(each.statements) for each in labelled.answered) == 399
    assert found["hallucination_physicians"]["overall"].value == pytest.approx(12 / 50)
    questions = task_of("kqa", "sources/kqa/questions_w_answers.jsonl")
    assert len(questions.cases) == 201
    assert [(entry.part, entry.count) for entry in questions.facts.skipped] == [("criterion", 3)]
