"""The command `promedical-data`: what it prints, what it writes, how it exits."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import published
from commands import run_here
from promedical_client.cli.data import app
from promedical_data.publishers.catalog import PUBLISHERS
from promedical_data.reading import read

COMMAND = (sys.executable, "-c", "from promedical_client.cli.data import main; main()")


def data(*words):
    return run_here(app, [str(word) for word in words])


def test_convert_writes_the_result_and_a_report_and_prints_counts_to_stderr(tmp_path):
    source = published.written(tmp_path, "llmeval-med")
    done = data("convert", source, "--to", tmp_path / "out.jsonl.gz", "--report", tmp_path / "report.md")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    table = [line.split() for line in done.stderr.splitlines()]
    assert [str(source), "llmeval-med", "4", "1"] in table
    assert ["criteria", "3", "8", "2", "0", "0"] in table
    assert len(read(tmp_path / "out.jsonl.gz", responses_needed=False).prompts) == 3
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("# Conversion")


def test_convert_writes_the_report_as_json_by_its_ending(tmp_path):
    source = published.written(tmp_path, "rar")
    data("convert", source, "--to", tmp_path / "out.parquet", "--report", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["prompts"] == 1
    assert report["inputs"][0]["licence"] == "not stated by the publisher"


def test_convert_takes_the_names_that_the_user_gives(tmp_path):
    published.written(tmp_path / "argilla", "argilla")
    records = tmp_path / "argilla" / "records.json"
    records.write_text(records.read_text().replace('"prompt":', '"question":'))
    words = (
        "convert",
        tmp_path / "argilla",
        "--to",
        tmp_path / "out.jsonl",
        "--source",
        "ward",
        "--licence",
        "private",
    )
    done = data(*words, "--from", "argilla", "--column", "prompt=question")
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert (row["source"], row["licence"]) == ("ward", "private")


def test_convert_reads_standard_input_and_writes_to_a_pipe(tmp_path):
    done = subprocess.run(
        [*COMMAND, "convert", "-", "--to", tmp_path / "out.jsonl"],
        input=gzip.compress(published.written(tmp_path, "rar").read_bytes()),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.jsonl").read_text())["provenance"]["rows"] == ["-: line 1"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--from", "rar"), "is not in the format rar: line 1 lacks question, rubric; has the keys"),
        (("--from", "nothing"), "format 'nothing' is unknown"),
        (("--column", "prompt=q"), "format kqa has no column 'prompt' to be named"),
        (("--column", "prompt"), "--column takes NAME=KEY"),
        (("--prompts", "absent.jsonl"), "absent.jsonl: cannot be read: No such file or directory"),
        (("--report", "no/such/folder.md"), "no/such/folder.md: cannot be written: No such file or directory"),
    ],
)
def test_convert_refuses_what_it_cannot_use_and_leaves_nothing(tmp_path, more, reason):
    source = published.written(tmp_path / "in", "kqa")
    done = data("convert", source, "--to", tmp_path / "out.jsonl", *more)
    assert done.returncode == 2
    assert reason in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_convert_that_fails_leaves_no_report(tmp_path):
    source = published.written(tmp_path / "in", "rar", [{**published.RAR, "rubric": []}])
    assert data("convert", source, "--to", tmp_path / "out.jsonl", "--report", tmp_path / "r.md").returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_convert_without_the_extra_says_what_to_install(tmp_path):
    """In a process that has no pyarrow."""
    program = f"import sys; sys.modules['pyarrow'] = None; {COMMAND[2]}"
    words = ["convert", published.written(tmp_path / "in", "kqa"), "--to", tmp_path / "out.parquet"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"promedical-data: {tmp_path}/out.parquet: Parquet needs pyarrow; run: pip install 'promedical[data]'\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_convert_that_is_interrupted_leaves_the_old_result_and_no_trace(tmp_path):
    rows = [{**published.RAR, "question": f"Question {number}?"} for number in range(60_000)]
    source = published.written(tmp_path / "in", "rar", rows)
    (tmp_path / "out.jsonl").write_text("old")
    process = subprocess.Popen(
        [*COMMAND, "convert", source, "--to", tmp_path / "out.jsonl"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".out.jsonl.*")):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "promedical-data: stopped; nothing was written\n")
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jsonl"]


def test_formats_lists_every_publisher():
    done = data("formats")
    assert done.returncode == 0
    assert all(publisher.name in done.stdout for publisher in PUBLISHERS)


def test_show_prints_the_first_row_in_readable_form(tmp_path):
    done = data("show", published.written(tmp_path, "simple-evals"))
    assert done.returncode == 0, done.stderr
    assert published.USER["content"] in done.stdout
    assert "Advises to see a doctor." in done.stdout
    assert "Answer of m1." in done.stdout


def test_show_prints_both_sides_of_a_pair(tmp_path):
    done = data("show", published.written(tmp_path, "ultramedical"))
    assert "Kidney injury." in done.stdout
    assert "overall: chosen" in done.stdout


def test_check_says_what_is_in_a_file_and_writes_nothing(tmp_path):
    source = published.written(tmp_path, "rar")
    done = data("check", source)
    assert done.returncode == 0
    assert "is a pitfall whose wording does not say" in " ".join(done.stdout.split())
    assert [path.name for path in tmp_path.iterdir()] == ["rar.jsonl"]


def test_help_needs_no_heavy_modules():
    heavy = "{'ijson', 'numpy', 'pyarrow', 'pydantic'}"
    program = f"import sys, promedical_client.cli.data; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
