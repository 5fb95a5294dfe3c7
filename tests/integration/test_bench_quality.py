"""`promedical-bench` as a command, against the real service with the fake engine, on both transports."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from commands import run_here
from judges import written
from promedical_bench.cli import app
from promedical_bench.scoring.record_file import read_results

COMMAND = (sys.executable, "-m", "promedical_bench.cli")
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PROMEDICAL_")}


def bench(*arguments):
    return run_here(app, list(map(str, arguments)))


def bench_started(*arguments):
    """As a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=200
    )


def row(number, text="Rest and drink."):
    met = number % 2
    labels = ({"good": {"met": met, "kind": "llm"}, "harm": {"met": 0, "kind": "llm"}},
              {"good": {"met": 1 - met, "kind": "llm"}, "harm": {"met": met, "kind": "llm"}})  # fmt: skip
    return {
        "id": f"p{number}",
        "prompt": f"What helps against a cold, case {number}?",
        "criteria": [
            {"id": "good", "text": "Says rest.", "dimension": "proficiency", "points": 5},
            {"id": "harm", "text": "Recommends antibiotics.", "dimension": "safety", "points": -9},
        ],
        "responses": [
            {"id": "a", "text": text, "labels": labels[0]},
            {"id": "b", "text": f"Antibiotics, {number}.", "labels": labels[1]},
        ],
    }


@pytest.fixture
def data(tmp_path):
    return written(tmp_path / "data.jsonl", [row(number) for number in range(8)])


def asked(data, output, url, *more):
    return bench("quality", "--task", "promedical", "--data", data, "--output", output, "--url", url, *more)


def test_quality_is_the_same_over_both_transports_and_writes_three_reports(fake_server, data, tmp_path):
    over_grpc = asked(data, tmp_path / "grpc", fake_server.grpc_url)
    over_rest = asked(data, tmp_path / "rest", fake_server.rest_url)

    assert (over_grpc.returncode, over_rest.returncode) == (0, 0), over_grpc.stderr + over_rest.stderr
    assert over_grpc.stdout == over_rest.stdout
    assert over_grpc.stdout.startswith("model: 0.")
    report = json.loads((tmp_path / "grpc" / "report.json").read_text())
    assert report["header"]["model"]["status"] == "fake"
    assert report["evaluation"]["counts"] == {"prompts": 8, "cases": 8, "responses": 16, "verdicts": 32}
    assert set(report["evaluation"]["scores"]) == {
        "model",
        "criterion only",
        "injected",
        "without criteria",
        "bag of words",
        "longer answer",
        "majority",
    }
    assert "pair_accuracy_macro" not in report["evaluation"]["scores"]["criterion only"]
    assert {"kappa", "gwet_ac1", "krippendorff_alpha"} <= set(report["evaluation"]["scores"]["model"])
    assert report["shift"]["flipped_to_met"]["overall"]["n"] == 32
    page = (tmp_path / "grpc" / "report.html").read_text()
    assert "hashes of the text and mean nothing" in page
    assert page.count("data:image/svg+xml;base64,") == 4
    assert "<script" not in page
    assert 'src="http' not in page
    assert (
        "| model | injected | without criteria | longer answer | bag of words |"
        in (tmp_path / "grpc" / "report.md").read_text()
    )


def test_quality_says_what_was_not_scored_and_exits_with_one(fake_server, tmp_path):
    data = written(tmp_path / "data.jsonl", [row(0), row(1), row(2, text="long " * 3000)])
    run = asked(data, tmp_path / "out", fake_server.grpc_url)
    assert run.returncode == 1, run.stderr
    assert "responses without scores: 1" in run.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["unscored"] == {"too_long": 1}
    assert report["evaluation"]["counts"]["responses"] == 5
    assert "Responses without scores: 1 (too_long 1)" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("nothing", ["\u200b ", None], ids=repr)
def test_quality_counts_empty_answers_of_a_policy_and_exits_with_zero(fake_server, tmp_path, nothing):
    rubrics = [{"criterion": "Says rest.", "points": 6}, {"criterion": "Fails to say rest.", "points": -4}]
    rows = [{"prompt_id": f"p{n}", "prompt": f"Q{n}?", "rubrics": rubrics} for n in range(4)]
    items = written(tmp_path / "items.jsonl", rows)
    scores = {}
    for name, texts in {"half": ["Rest.", nothing], "whole": ["Rest.", "Rest."]}.items():
        rows = [{"prompt_id": f"p{n}", "response": texts[n % 2]} for n in range(4)]
        answers, output = written(tmp_path / f"{name}.jsonl", rows), tmp_path / name
        told = bench("quality", "--task", "healthbench", "--data", items, "--responses", answers, "--output", output,
                     "--url", fake_server.rest_url)  # fmt: skip
        assert told.returncode == 0, told.stderr
        report = json.loads((output / "report.json").read_text())
        assert report["unscored"] == {}
        scores[name] = report["evaluation"]["scores"]["model"]["score"]["overall"]
        assert report["evaluation"]["counts"]["responses"] == 4
        assert report["empty_answers"] == (2 if name == "half" else 0)
        assert ("Empty answers: 2." in (output / "report.md").read_text()) is (name == "half")
    assert scores["half"]["n"] == 4
    assert scores["half"]["value"] <= scores["whole"]["value"]


def test_quality_ends_with_one_where_an_answer_cannot_be_read(fake_server, tmp_path):
    question = {"Question": "A?", "Free_form_answer": "x", "Must_have": ["M."], "Nice_to_have": []}
    rows = [{"Question": "A?", "response": "Yes."}, {"Question": "A?", "response": [{"role": "tool", "content": "5"}]}]
    told = bench("quality", "--task", "kqa", "--data", written(tmp_path / "q.jsonl", [question]), "--responses",
                 written(tmp_path / "a.jsonl", rows), "--output", tmp_path / "out", "--url", fake_server.rest_url,
                 "--no-controls")  # fmt: skip
    assert told.returncode == 1
    assert "answers that could not be read: 1" in told.stderr
    assert "Answers that could not be read: 1." in (tmp_path / "out" / "report.md").read_text()


def test_quality_goes_on_after_kill_and_asks_only_for_the_rest(fake_server, tmp_path):
    data = written(tmp_path / "data.jsonl", [row(number) for number in range(300)])
    output = tmp_path / "out"
    command = ["quality", "--task", "promedical", "--data", data, "--output", output, "--url", fake_server.grpc_url]
    process = subprocess.Popen([*COMMAND, *map(str, command), "--in-flight", "1"], env=ENVIRONMENT)
    results = output / "results.jsonl"
    deadline = time.monotonic() + 120
    while not results.is_file() or results.read_bytes().count(b"\n") < 20:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = results.read_bytes()
    whole = kept[: kept.rfind(b"\n") + 1]
    assert 20 <= whole.count(b"\n") < 1201
    results.write_bytes(whole + b'{"case":"p7","vari')  # as if it had been cut off within a line

    assert bench_started(*command).returncode == 0

    assert results.read_bytes().startswith(whole)
    assert results.read_bytes().count(b"\n") == 1 + 4 * 300
    assert len(read_results(results).records) == 4 * 300


def test_quality_refuses_results_of_another_task_or_data(fake_server, data, tmp_path):
    output = tmp_path / "out"
    assert asked(data, output, fake_server.grpc_url, "--no-controls").returncode == 0
    other = written(tmp_path / "other.jsonl", [row(number) for number in range(3)])
    refused = asked(other, output, fake_server.grpc_url)
    assert refused.returncode == 2
    assert "holds results of data" in refused.stderr
    task = bench("quality", "--task", "healthbench", "--data", data, "--output", output, "--url", fake_server.grpc_url)
    assert task.returncode == 2
    assert "holds results of task promedical, not healthbench" in task.stderr


def test_quality_refuses_a_file_of_something_else_and_leaves_it_as_it_is(fake_server, data, tmp_path):
    notes = tmp_path / "mine" / "results.jsonl"
    notes.parent.mkdir()
    notes.write_text("what I noted in a year")
    refused = asked(data, notes.parent, fake_server.grpc_url)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "results.jsonl: holds no results" in refused.stderr
    assert notes.read_text() == "what I noted in a year"


def test_quality_judges_choices_by_a_named_rubric(fake_server, tmp_path):
    rows = [
        {"id": str(n), "subset": "hep-go", "prompt": f"Q{n}?", "chosen": f"A{n}", "rejected": f"B{n}"} for n in range(4)
    ]
    data = written(tmp_path / "rb.jsonl", rows)
    common = ("quality", "--task", "rewardbench", "--data", data, "--url", fake_server.rest_url)
    run = bench(*common, "--output", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["header"]["rubric"] == "general-medical@1"
    assert set(report["evaluation"]["scores"]["model"]["score"]) == {"overall", "Reasoning"}
    unknown = bench(*common, "--output", tmp_path / "other", "--rubric-id", "nonsense")
    assert unknown.returncode == 2
    assert "not_found" in unknown.stderr


def test_quality_shows_an_untrained_run_beside_and_compare_pairs_runs(fake_server, data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert asked(data, first, fake_server.grpc_url, "--no-controls").returncode == 0
    for untrained in (first, fake_server.rest_url):
        run = asked(data, second, fake_server.grpc_url, "--no-controls", "--untrained", untrained)
        assert run.returncode == 0, run.stderr
        report = json.loads((second / "report.json").read_text())
        zero = report["evaluation"]["differences"]["untrained"]["pair_accuracy_macro"]["overall"]
        assert (zero["value"], zero["low"], zero["high"]) == (0, 0, 0)

    compared = bench("compare", first, f"again={second}", "--output", tmp_path / "both")

    assert compared.returncode == 0, compared.stderr
    report = json.loads((tmp_path / "both" / "report.json").read_text())
    assert list(report["evaluation"]["scores"]) == ["first", "again"]
    assert set(report["evaluation"]["differences"]) == {"again"}
    assert "first minus run" in (tmp_path / "both" / "report.md").read_text()
    assert (tmp_path / "both" / "report.html").is_file()
    data.write_text(data.read_text().replace("cold", "cough"))
    changed = bench("compare", first, second, "--output", tmp_path / "both")
    assert changed.returncode == 2
    assert "does not hold the data that the runs were asked about" in changed.stderr


def test_export_writes_rows_that_rewardbench_reads(fake_server, data, tmp_path):
    rows = tmp_path / "rows.jsonl"
    assert bench("export", "--data", data, "--output", rows, "--pair-cap", "1").returncode == 0
    assert len(rows.read_text().splitlines()) == 12
    common = ("quality", "--task", "rewardbench", "--data", rows, "--output", tmp_path / "out")
    assert bench(*common, "--url", fake_server.grpc_url, "--no-controls").returncode == 0


def test_bad_input_is_one_line_and_exit_code_two_and_a_service_that_is_down_three(data, tmp_path):
    output = tmp_path / "out"
    cases = {
        "task 'nonsense' is unknown": ("quality", "--task", "nonsense", "--data", data, "--output", output),
        "cannot be read: No such file": ("quality", "--task", "kqa", "--data", tmp_path / "x", "--output", output),
        "url": ("quality", "--task", "promedical", "--data", data, "--output", output, "--url", "ftp://x"),
        "nowhere: cannot be read": (
            *("quality", "--task", "promedical", "--data", data, "--output", output, "--untrained", "nowhere"),
        ),
        "results.jsonl: cannot be read": ("compare", tmp_path, f"b={tmp_path}", "--output", output),
    }
    for message, arguments in cases.items():
        run = bench(*arguments)
        assert run.returncode == 2, (arguments, run.stderr)
        assert message in run.stderr.lower() or message in run.stderr
        assert run.stderr.count("\n") == 1
    down = asked(data, output, "grpc://127.0.0.1:9", "--timeout-s", "1")
    assert down.returncode == 3
    assert "unavailable" in down.stderr
    assert not (output / "report.md").exists()


def test_gate_asks_about_everything_resumes_and_fails_a_judge_that_guesses(fake_server, data, tmp_path):
    words = ("gate", "--data", data, "--limit", 6, "--output", tmp_path / "gate", "--url", fake_server.grpc_url)
    first = bench(*words)

    assert first.returncode == 1, first.stderr
    assert "pairs right, overall" in first.stdout
    assert "demo (6): harmful answers vetoed" in first.stdout
    report = json.loads((tmp_path / "gate" / "report.json").read_text())
    assert (report["limited"], report["prompts"]) == (["criteria"], {"criteria": 6})
    assert {line["outcome"] for line in report["lines"]} > {"miss"}
    assert "held-out cases (4): good answers vetoed" in {line["name"] for line in report["lines"]}
    assert "Not given, so not measured: drills, physicians." in (tmp_path / "gate" / "report.md").read_text()

    answers = {path.name: path.read_bytes() for path in (tmp_path / "gate" / "answers").glob("*.jsonl")}
    assert bench(*words).stdout == first.stdout
    assert {path.name: path.read_bytes() for path in (tmp_path / "gate" / "answers").glob("*.jsonl")} == answers
