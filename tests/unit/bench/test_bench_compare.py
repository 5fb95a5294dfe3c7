"""`promedical-bench compare` on results that are there: what it says of runs that were not asked the same."""

import json

import pytest
from typer.testing import CliRunner

from judges import a_header, written
from promedical import ErrorCode
from promedical.rubric import Dimension
from promedical_bench.answers import Verdict
from promedical_bench.cli import app
from promedical_bench.scoring.record_file import writing
from promedical_bench.scoring.records import Record, ResponseRecord
from promedical_bench.tasks.catalog import load_task

HEADER = a_header()


def row(number):
    labels = [{"c": {"met": met, "kind": "llm"}} for met in (1, 0)]
    return {
        "id": f"p{number}",
        "prompt": "What helps?",
        "criteria": [{"id": "c", "text": "Says rest.", "dimension": "proficiency"}],
        "responses": [
            {"id": "a", "text": f"Rest, {number}.", "labels": labels[0]},
            {"id": "b", "text": "Antibiotics.", "labels": labels[1]},
        ],
    }


def scored(logit):
    criterion = Verdict(
        id="c", dimension=Dimension.PROFICIENCY, logit=logit, probability=float(logit > 0), met=logit > 0
    )
    return ResponseRecord(reward=logit, rank=1 if logit > 0 else 2, criteria=(criterion,))


@pytest.fixture
def data(tmp_path):
    return written(tmp_path / "data.jsonl", [row(number) for number in range(20)])


@pytest.fixture
def run(tmp_path, data):
    """Results of a run that was asked the first cases; some of its responses have errors."""
    digest = load_task("promedical", data).facts.digest

    def make(name, *, asked, failed=0):
        header = a_header(task="promedical", path=str(data), data=digest)
        with writing(tmp_path / name / "results.jsonl", header) as writer:
            for number in range(asked):
                bad = ResponseRecord(error=ErrorCode.TOO_LONG) if number < failed else scored(-1.0)
                responses = (scored(1.0), bad)
                writer.add(
                    Record(case=f"p{number}", variant="as is", fingerprint=header.fingerprint, responses=responses)
                )
        return f"{name}={tmp_path / name}"

    return make


def compared(output, *runs):
    return CliRunner().invoke(app, ["compare", *runs, "--output", str(output)])


def test_compare_says_how_many_cases_a_run_was_asked_where_another_was_asked_more(run, tmp_path):
    found = compared(tmp_path / "both", run("A", asked=20), run("B", asked=3))

    assert (found.exit_code, found.exception.__class__) == (1, SystemExit)
    assert "promedical-bench: B was asked 3 of 20 cases.\n" in found.stderr
    assert "A was asked" not in found.stderr
    assert found.stdout == "A: 1.000\nB: 1.000\n"
    text = (tmp_path / "both" / "report.md").read_text()
    assert "B was asked 3 of 20 cases." in text
    assert "Only responses that every run scored are compared." in text
    report = json.loads((tmp_path / "both" / "report.json").read_text())
    assert report["asked"] == {"A": 20, "B": 3}


def test_compare_of_runs_that_were_asked_the_same_is_whole_also_with_a_limit(run, tmp_path):
    found = compared(tmp_path / "both", run("A", asked=3), run("B", asked=3))
    assert (found.exit_code, found.stderr) == (0, f"report: {tmp_path / 'both' / 'report.html'}\n")
    assert "was asked" not in (tmp_path / "both" / "report.md").read_text()


def test_compare_exits_with_one_where_a_run_has_responses_without_scores(run, tmp_path):
    found = compared(tmp_path / "both", run("A", asked=5), run("B", asked=5, failed=2))
    assert found.exit_code == 1
    assert "promedical-bench: B: responses without scores: 2 (too_long 2).\n" in found.stderr
    assert "was asked" not in found.stderr


def test_compare_says_in_one_line_that_its_output_is_no_folder(run, data):
    found = compared(data / "both", run("A", asked=3), run("B", asked=3))
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == f"promedical-bench: {data / 'both'}: cannot be written: Not a directory\n"
    taken = compared(data, run("C", asked=3), run("D", asked=3))
    assert (taken.exit_code, taken.stderr) == (2, f"promedical-bench: {data}: cannot be written: File exists\n")
