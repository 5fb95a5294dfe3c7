"""`promedical-bench compare-policies` on results that are there."""

import csv
import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from judges import a_header, written
from promedical.rubric import Dimension
from promedical_bench.answers import Verdict
from promedical_bench.cli import app
from promedical_bench.scoring.record_file import writing
from promedical_bench.scoring.records import Record, ResponseRecord
from promedical_bench.tasks.catalog import load_task

NAMES = [f"p{number}" for number in range(30)]


def item(name, points=5):
    prompt = [{"role": "user", "content": f"What helps, {name}?"}]
    return {"prompt_id": name, "prompt": prompt, "rubrics": [{"criterion": "Says rest.", "points": points}]}


@pytest.fixture
def data(tmp_path):
    return written(tmp_path / "items.jsonl", [item(name) for name in NAMES])


@pytest.fixture
def run(tmp_path, data):
    """Results of a policy's answers, of which some say rest."""

    def make(name, *, resting, answered=NAMES, source=data, fingerprint="f1"):
        texts = {each: "Rest." if number < resting else "Wait." for number, each in enumerate(answered)}
        rows = [{"prompt_id": each, "response": text} for each, text in texts.items()]
        answers = written(tmp_path / f"{name}-answers.jsonl", rows)
        task = load_task("healthbench", source, responses=answers)
        paths = {"path": str(source), "responses_path": str(answers)}
        header = a_header(task="healthbench", data=task.facts.digest, **paths)
        model = replace(header.model, model=replace(header.model.model, fingerprint=fingerprint))
        header = replace(header, model=model)
        with writing(tmp_path / name / "results.jsonl", header) as writer:
            for case in task.cases:
                met = case.responses[0] == "Rest."
                verdict = Verdict(
                    id=case.criteria[0].id, dimension=Dimension.PROFICIENCY, logit=1.0 if met else -1.0,
                    probability=float(met), met=met,
                )  # fmt: skip
                response = ResponseRecord(reward=float(met), rank=1, criteria=(verdict,))
                writer.add(Record(case=case.id, variant="as is", fingerprint=header.fingerprint, responses=(response,)))
        return f"{name}={tmp_path / name}"

    return make


def compared(output, *runs):
    return CliRunner().invoke(app, ["compare-policies", *runs, "--output", str(output)])


def test_policies_are_shown_side_by_side_with_a_paired_difference(run, tmp_path):
    done = compared(tmp_path / "both", run("old", resting=6), run("new", resting=24))
    assert done.exit_code == 0, done.output
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["old", "new"]
    assert "old: 0.200 [" in done.stdout
    assert "new: 0.800 [" in done.stdout
    report = json.loads((tmp_path / "both" / "report.json").read_text())
    difference = report["evaluation"]["differences"]["new"]["score"]["overall"]
    assert difference["value"] == pytest.approx(-0.6)
    assert difference["high"] < 0
    with (tmp_path / "both" / "tables.csv").open() as stream:
        assert {row["column"] for row in csv.DictReader(stream)} >= {"old", "new"}


def test_policies_are_compared_on_the_questions_that_both_answered(run, tmp_path):
    done = compared(tmp_path / "both", run("old", resting=30), run("new", resting=10, answered=NAMES[:20]))
    assert done.exit_code == 1
    assert "new was asked 20 of 30 cases" in done.stderr
    assert "old: 1.000\nnew: 0.500 [" in done.stdout
    assert "Only responses that every run scored are compared" in (tmp_path / "both" / "report.md").read_text()


@pytest.mark.parametrize("what", ["oracle", "questions", "nothing shared"])
def test_policies_that_cannot_be_compared_are_refused_by_name(what, run, tmp_path):
    other: dict[str, Any] = {}
    if what == "oracle":
        other = {"fingerprint": "f2"}
    elif what == "questions":
        other = {"source": written(tmp_path / "others.jsonl", [item(name, points=7) for name in NAMES])}
    else:
        names = [f"q{number}" for number in range(30)]
        source = written(tmp_path / "others.jsonl", [item(name) for name in names])
        other = {"source": source, "answered": names}
    done = compared(tmp_path / "both", run("old", resting=6), run("new", resting=24, **other))
    expected = {"oracle": "has the fingerprint f2", "questions": "30 of its questions", "nothing shared": "no question"}
    assert (done.exit_code, expected[what] in done.stderr, "run 'new'" in done.stderr) == (2, True, True), done.stderr
    assert not (tmp_path / "both").exists()


def test_one_policy_is_no_comparison(run, tmp_path):
    assert compared(tmp_path / "both", run("old", resting=6)).exit_code == 2
