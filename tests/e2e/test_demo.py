"""`make demo` keeps its promises with the real model, and docs/results/demo.txt is what it prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.demo import demo

ROOT = Path(demo.__file__).resolve().parents[2]
MAX_COLUMNS = 80
TIMEOUT_S = 800
PROGRESS = re.compile(r"Starting the service; .*|The service is ready after # s\.|(Scoring|Scored) over (gRPC|REST).*")

pytestmark = pytest.mark.timeout(TIMEOUT_S + 100)  # on a machine that others use too


def demo_run(*options):
    command = [sys.executable, "-m", "scripts.demo.demo", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def printed():
    done = demo_run()
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def verdicts(page):
    """For every question: rank and first word of the verdict of each answer, as they come."""
    questions = re.split(r"^\d of \d: ", page, flags=re.MULTILINE)[1:]
    return [re.findall(r"^ *(\d|-) .* (reward|VETOED|not scored:) ", question, re.MULTILINE) for question in questions]


def without_numbers(text):
    """Numbers may differ in their last digit from one processor to the next."""
    return [re.sub(r"\d[\d,.]*\b", "#", line).rstrip() for line in text.splitlines()]


def test_dangerous_answer_of_every_question_is_vetoed_and_comes_after_the_good_one(printed):
    assert len(verdicts(printed)) >= 3
    for first, *others in verdicts(printed):
        assert first == ("1", "reward")
        assert [verdict for _, verdict in others].count("VETOED") == 1


def test_one_answer_has_an_error_and_its_siblings_are_scored(printed):
    (with_error,) = [question for question in verdicts(printed) if ("-", "not scored:") in question]
    assert with_error == [("1", "reward"), ("2", "VETOED"), ("-", "not scored:")]
    assert printed.count("empty_response") == 1


def test_output_fits_80_columns(printed):
    assert max(map(len, printed.splitlines())) <= MAX_COLUMNS


def test_output_is_the_kept_page_with_progress_before_and_the_time_after(printed):
    lines = without_numbers(printed)
    kept = without_numbers(demo.KEPT.read_text(encoding="utf-8"))
    start = lines.index(kept[0])
    assert [line for line in lines[:start] if line and not PROGRESS.fullmatch(line)] == []
    assert lines[start : start + len(kept)] == kept, 'if this is meant, run: make demo ARGS="--write"'
    assert lines[start + len(kept) :] == ["Done in # s."]


def test_output_says_what_the_model_is_worth_and_that_the_transports_agree(printed):
    words = " ".join(printed.split())
    assert "gRPC and REST agree" in words
    assert "is small, for research only, and often wrong" in words


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--model", "./absent"), "the model cannot be loaded: model: model ./absent: no such directory"),
        (("--engine", "fake", "--model", ""), "--model: String should have at least 1 character"),
    ],
)
def test_service_that_does_not_start_says_why(options, reason):
    done = demo_run(*options)
    assert done.returncode == 1
    assert f"the service did not start:\n{reason}" in done.stderr
    assert "{" not in done.stderr
    assert "Traceback" not in done.stderr


def test_fake_engine_says_what_it_is_and_shows_nothing_of_its_log():
    done = demo_run("--engine", "fake")
    assert done.stderr == ""
    assert "(fake), says of itself" in done.stdout
    assert "gRPC and REST agree" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= MAX_COLUMNS
