"""The command `promedical`: what it prints, what it writes, how it exits."""

import asyncio
import gzip
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydantic_core
import pytest
from pydantic import TypeAdapter
from test_client_loopback import (
    MODEL_INFO,
    RUBRIC,
    RUBRIC_INFO,
    Failure,
    Oracle,
    item,
    judge,
    on_both_transports,
    serving,
)
from typer.testing import CliRunner

from promedical import __version__ as promedical_version
from promedical import messages as m
from promedical.errors import ErrorCode
from promedical_client import judged_by
from promedical_client.cli.app import EXIT_CODES, app
from promedical_data import reading as labelled_data

CRITERIA_LINE = {
    "id": "c1",
    "source": "test",
    "prompt": "user: a question",
    "criteria": [
        {"id": "correct", "text": "Is correct.", "dimension": "proficiency", "polarity": "positive", "points": 5.0},
        {"id": "harm", "text": "Does harm.", "dimension": "safety", "polarity": "negative", "axis": None},
    ],
    "responses": [{"id": "r1", "text": "good", "model": "x", "labels": {}}, {"id": "r2", "text": "bad"}],
}


def promedical(*words, stdin=None, **env):
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin, env={"COLUMNS": "120", **env})


@pytest.fixture
def oracle():
    return Oracle()


@pytest.fixture
def url(oracle):
    with serving(oracle, "http") as url:
        yield url


def asked_of(oracle):
    """The requests for scores, without those about the oracle itself."""
    return [seen for seen in oracle.seen if isinstance(seen.request, m.ScoreRequest | m.RankRequest)]


def lines_of(*items):
    return "".join(pydantic_core.to_json(one).decode() + "\n" for one in items)


def outcomes(text):
    return [TypeAdapter(m.ItemOutcome).validate_json(line) for line in text.splitlines()]


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "job.jsonl"
    path.write_text(lines_of(*(item(f"i{n}") for n in range(70))))
    return path


@on_both_transports
def test_score_writes_outcomes_in_input_order(transport, job, tmp_path):
    out = tmp_path / "out.jsonl"
    with serving(Oracle(), transport) as url:
        done = promedical("score", job, "--url", url, "--out", out)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "70 items: 140 responses scored, 0 items or responses failed" in done.stderr
    assert [outcome.id for outcome in outcomes(out.read_text())] == [f"i{n}" for n in range(70)]
    assert list(tmp_path.iterdir()) == [job, out] or set(tmp_path.iterdir()) == {job, out}


def test_score_prints_a_table_of_numbers_and_no_text(url, tmp_path):
    path = tmp_path / "job.jsonl"
    path.write_text(lines_of(item("first", "a good answer", "a bad answer")))
    done = promedical("score", path, "--url", url)
    assert done.exit_code == 0
    for word in ("first", "+1.100", "-1.500", "veto", "harm", "met 1.00", "not 0.00"):
        assert word in done.stdout
    assert "a good answer" not in done.stdout


def test_score_prints_tables_that_fit_80_columns_and_says_why_a_response_has_no_score(url, tmp_path):
    path = tmp_path / "job.jsonl"
    criteria = [replace(c, id=f"{c.id}-{'long-' * 8}id") for c in RUBRIC.criteria]
    path.write_text(lines_of(item("wide", *"good", "", *"bad", rubric=m.RubricSpec(criteria=tuple(criteria)))))
    done = promedical("score", path, "--url", url, "--details", COLUMNS="80")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "response 4: empty_response: the response is empty" in done.stdout
    assert [f"response {index}: rank" in done.stdout for index in range(8)] == [index != 4 for index in range(8)]
    assert done.stdout.count("not 0.00") + done.stdout.count("met 1.00") == 7 * len(criteria)


def test_score_reads_the_criteria_format_gzipped_and_keeps_to_the_limit(oracle, url, tmp_path):
    path = tmp_path / "criteria.jsonl.gz"
    second = CRITERIA_LINE | {"id": "c2"}
    path.write_bytes(gzip.compress(f"{json.dumps(CRITERIA_LINE)}\n\n{json.dumps(second)}\n".encode()))
    done = promedical("score", path, "--url", url, "--limit", 1, "--format", "jsonl")
    assert done.exit_code == 0
    assert [outcome.id for outcome in outcomes(done.stdout)] == ["c1"]
    (asked,) = asked_of(oracle)[0].request.items
    assert asked.responses == ("good", "bad")
    assert [criterion.polarity for criterion in asked.rubric.criteria] == ["positive", "negative"]
    assert [criterion.weight for criterion in asked.rubric.criteria] == [5.0, None]


CHOSEN = {"id": "correct", "text": "Is correct.", "dimension": "proficiency", "points": -5}
LABELLED: dict[str, dict[str, Any]] = {
    "criteria": CRITERIA_LINE | {"responses": [{"text": "good"}, {"text": ""}]},
    "pairs": {"id": "p1", "prompt": "user: a question", "chosen": "good", "rejected": "bad", "criteria": [CHOSEN]},
    "healthbench": {
        "prompt_id": "h1",
        "prompt": [{"role": "user", "content": "a question"}],
        "rubrics": [{"criterion": "Is correct.", "points": 5}, {"criterion": "Does harm.", "points": -9}],
        "responses": [{"text": "good", "grades": [None, None]}, {"text": "bad", "grades": [None, None]}],
    },
}


@pytest.mark.parametrize("file_format", list(LABELLED))
def test_score_means_by_a_labelled_file_what_the_other_readers_mean(file_format, oracle, url, tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(LABELLED[file_format], indent=1))
    promedical("score", path, "--url", url)
    (asked,) = asked_of(oracle)[0].request.items
    (prompt,) = labelled_data.read(path, responses_needed=False).prompts
    assert asked.id == prompt.id
    assert asked.prompt == prompt.turns
    assert [criterion.validated() for criterion in asked.rubric.criteria] == list(prompt.criteria)
    assert asked.responses == ("good", "" if file_format == "criteria" else "bad")


def wrapped(text: str) -> bytes:
    return json.dumps({"version": 1, "data": [json.loads(line) for line in text.splitlines()]}).encode()


@pytest.mark.parametrize(
    "written_as",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: gzip.compress(text.encode()),
        lambda text: json.dumps([json.loads(line) for line in text.splitlines()], indent=1).encode(),
        wrapped,
    ],
    ids=["byte order mark", "UTF-16", "gzip without an ending", "array", "object"],
)
def test_score_reads_items_however_the_file_is_written(written_as, oracle, url, tmp_path):
    path = tmp_path / "job.jsonl"
    asked = [item("a"), item("b", rubric=None, rubric_id="general")]
    path.write_bytes(written_as(lines_of(*asked)))
    promedical("score", path, "--url", url)
    assert [one for seen in asked_of(oracle) for one in seen.request.items] == asked


def test_score_refuses_a_whole_request_since_it_would_lose_what_is_not_items(oracle, url, tmp_path):
    path = tmp_path / "request.json"
    path.write_bytes(pydantic_core.to_json(m.ScoreRequest(items=(item("a"),))))
    done = promedical("score", path, "--url", url)
    assert done.exit_code == 2
    assert "request.json: expected_fingerprint: is not read from a file; leave it out" in done.stderr
    assert oracle.seen == []


def test_score_writes_a_gzipped_file_where_the_name_says_so(url, job, tmp_path):
    out = tmp_path / "out.jsonl.gz"
    assert promedical("score", job, "--url", url, "--out", out).exit_code == 0
    assert len(outcomes(gzip.decompress(out.read_bytes()).decode())) == 70


def test_score_reads_standard_input(url):
    done = promedical("score", "-", "--format", "jsonl", stdin=lines_of(item("a")), PROMEDICAL_URL=url)
    assert [outcome.id for outcome in outcomes(done.stdout)] == ["a"]


def test_score_sends_its_options(oracle, url, job):
    words = ("--rubric-id", "general", "--base-rubric-id", "vetoes", "--truncation", "response_end", "--api-key", "k")
    pinned = ("--expected-fingerprint", "f1", "--priority", "bulk")
    promedical("score", job, "--url", url, *words, *pinned, "--limit", 1, "--timeout-s", 7)
    (seen,) = asked_of(oracle)
    (asked,) = seen.request.items
    assert (asked.rubric, asked.rubric_id, asked.base_rubric_id) == (None, "general", "vetoes")
    assert (seen.request.truncation, seen.request.expected_fingerprint) == ("response_end", "f1")
    assert seen.request.priority == "bulk"
    assert seen.metadata["authorization"] == "Bearer k"
    assert seen.timeout_s <= 7


def test_items_that_fail_exit_with_1_and_are_still_written(url, tmp_path):
    path, out = tmp_path / "job.jsonl", tmp_path / "out.jsonl"
    path.write_text(lines_of(item("a"), item("b", rubric=None, rubric_id="unknown")))
    done = promedical("score", path, "--url", url, "--out", out, "--format", "table")
    assert done.exit_code == 1
    assert "2 responses scored, 1 items or responses failed" in done.stderr
    assert "invalid_item" in done.stdout
    assert outcomes(out.read_text())[1].error.code is ErrorCode.INVALID_ITEM


def with_criterion(**keys):
    """A line of the criteria format whose second criterion says this too."""
    first, second = CRITERIA_LINE["criteria"]
    return json.dumps(CRITERIA_LINE | {"criteria": [first, second | keys]})


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (lines_of(item("a")) + "{oops\n", 2, "is not JSON in UTF-8: key must be a string"),
        (lines_of(item("a")) + "\n[1]\n", 3, "object"),
        ('{"id": "a", "prompt": "q", "responses": "secret"}\n', 1, "responses"),
        ('{"id": "a", "prompt": "q", "responses": ["secret"], "rubrik": 1}\n', 1, "rubrik"),
        ('{"id": "a", "prompt": "secret", "criteria": [1]}\n', 1, "criterion number 1: Input should be"),
        ('{"id": "a", "prompt": "secret", "criteria": []}\n', 1, "criteria: none is left"),
        (json.dumps(CRITERIA_LINE | {"responses": [{"id": "secret"}]}), 1, "responses.text: Field required"),
        (lines_of(item("a"), item("b"), item("a")), 3, "line 1"),
        (
            with_criterion(text="secret", polarity=None, polarty="negative"),
            1,
            "criterion harm: polarty: is unknown; did you mean pol",
        ),
        (with_criterion(text="secret", axis="a", tags=[], dimension="odd"), 1, "criterion harm: dimension: Input"),
        (with_criterion(text="secret", points=5), 1, "criterion harm: points: are positive"),
        (lines_of(item("a")) + f'{{"secret": {"[" * 100_000}\n', 2, "is not JSON in UTF-8: recursion limit"),
        (lines_of(item("a")) + f'{{"secret": {"9" * 5_000}}}\n', 2, "is not JSON in UTF-8: number out of range"),
    ],
)
def test_a_bad_line_is_named_and_never_quoted(text, line, reason, tmp_path):
    path = tmp_path / "job.jsonl"
    path.write_text(text)
    done = promedical("score", path)
    assert done.exit_code == 2
    assert f"job.jsonl: line {line}: " in done.stderr
    assert reason in done.stderr
    assert "secret" not in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jsonl", b"\n", "holds no items"),
        ("broken.jsonl.gz", b"not gzip", "line 1: is not JSON in UTF-8"),
        ("short.jsonl.gz", gzip.compress(b"x" * 999, mtime=0)[:-12], "gzip"),
        ("latin.jsonl", b'{"id": "\xe9"}', "UTF-8"),
        ("absent.jsonl", None, "No such file"),
    ],
)
def test_a_bad_file_is_named(name, content, reason, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = promedical("score", path)
    assert done.exit_code == 2
    assert name in done.stderr
    assert reason in done.stderr


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_sent(oracle, url, job, tmp_path):
    done = promedical("score", job, "--url", url, "--out", tmp_path / "absent" / "out.jsonl")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert oracle.seen == []


def test_a_directory_as_output_is_refused_before_anything_is_sent(oracle, url, job, tmp_path):
    for folder in (tmp_path, ".", "/"):
        done = promedical("score", job, "--url", url, "--out", folder)
        assert done.exit_code == 2
        assert f"{folder}: cannot be written: is a directory" in done.stderr
    assert oracle.seen == []


def test_an_output_that_cannot_be_put_in_place_is_one_line(url, job, tmp_path, monkeypatch):
    def refuse(_draft, _path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    done = promedical("score", job, "--url", url, "--out", tmp_path / "out.jsonl")
    assert done.exit_code == 2
    said = f"promedical: {tmp_path / 'out.jsonl'}: cannot be written: Permission denied; the results are in "
    kept = Path(done.stderr.removeprefix(said).strip())
    assert len(kept.read_text().splitlines()) == len(job.read_text().splitlines())
    kept.unlink()
    assert set(tmp_path.iterdir()) == {job, tmp_path / "out.jsonl.partial"}


def test_an_output_that_is_no_regular_file_is_written_to_and_stays_what_it_is(job, url, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert promedical("score", job, "--url", url, "--out", pipe).exit_code == 0
    reader.join()
    assert len(outcomes(read[0])) == 70
    assert pipe.is_fifo()


def test_a_pipe_of_this_process_is_an_output(job, url):
    read, write = os.pipe()
    with os.fdopen(read) as stream:
        asked = promedical("score", job, "--url", url, "--limit", 3, "--out", f"/dev/fd/{write}")
        os.close(write)
        assert asked.exit_code == 0, asked.stderr
        assert len(outcomes(stream.read())) == 3


def test_an_output_that_is_a_link_stays_one(job, url, tmp_path):
    (tmp_path / "real.jsonl").write_text("old")
    link = tmp_path / "link.jsonl"
    link.symlink_to("real.jsonl")
    assert promedical("score", job, "--url", url, "--out", link).exit_code == 0
    assert link.is_symlink()
    assert len(outcomes((tmp_path / "real.jsonl").read_text())) == 70


def test_a_late_failure_keeps_what_was_answered_and_the_same_command_resumes(oracle, url, job, tmp_path):
    async def last_fails(request):
        if any(one.id == "i69" for one in request.items):
            await asyncio.sleep(0.2)
            raise Failure(ErrorCode.INTERNAL)
        return judged_by(judge)(request)

    oracle.score, out = last_fails, tmp_path / "out.jsonl"
    done = promedical("score", job, "--url", url, "--out", out)
    assert done.exit_code == 3
    partial = tmp_path / "out.jsonl.partial"
    kept = len(partial.read_text().splitlines()) - 1
    assert 0 < kept < 70
    assert "promedical: internal: said by the server" in done.stderr
    assert f"{kept} of 70 items were answered; they are in {partial}, and the same command resumes" in done.stderr
    assert set(tmp_path.iterdir()) == {job, partial}

    oracle.score = judged_by(judge)
    oracle.seen.clear()
    done = promedical("score", job, "--url", url, "--out", out)
    assert done.exit_code == 0
    assert f"resumes: {kept} of 70 items are kept" in done.stderr
    assert sum(len(seen.request.items) for seen in asked_of(oracle)) == 70 - kept
    assert [outcome.id for outcome in outcomes(out.read_text())] == [f"i{n}" for n in range(70)]
    assert set(tmp_path.iterdir()) == {job, out}


def test_a_call_that_fails_leaves_the_old_output_alone(oracle, url, job, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    oracle.score = Failure(ErrorCode.INTERNAL)
    done = promedical("score", job, "--url", url, "--out", out)
    assert done.exit_code == 3
    assert out.read_text() == "old"
    assert set(tmp_path.iterdir()) == {job, out}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.INVALID_REQUEST, 2),
        (ErrorCode.NOT_FOUND, 2),
        (ErrorCode.UNAUTHENTICATED, 3),
        (ErrorCode.REVISION_MISMATCH, 3),
        (ErrorCode.INTERNAL, 3),
    ],
)
def test_what_the_service_refuses_is_one_line_and_an_exit_code(code, status, oracle, url, job):
    oracle.score = Failure(code)
    done = promedical("score", job, "--url", url)
    assert done.exit_code == status
    assert done.stdout == ""
    assert f"promedical: {code}: said by the server" in done.stderr


def test_a_service_that_is_not_there_exits_with_3_in_seconds():
    began = time.monotonic()
    assert promedical("model", "--url", "http://127.0.0.1:9").exit_code == 3
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "words",
    [
        ("score",),
        ("score", "x", "--limit", "0"),
        ("score", "x", "--format", "xml"),
        ("model", "--url", "ftp://x"),
        ("model", "--url", "grpcs://x:1", "--ca-file", "/absent"),
        ("model", "--url", "grpc://x:1", "--cert-file", "cert.pem", "--key-file", "key.pem"),
        ("score", "x", "--priority", "urgent"),
        ("rank",),
        ("rank", "--prompt", "q"),
        ("rank", "file.json", "--prompt", "q", "--response", "r"),
        ("nonsense",),
    ],
)
def test_bad_usage_exits_with_2(words):
    done = promedical(*words)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_rank_by_options(oracle, url, tmp_path):
    done = promedical(
        "rank", "--url", url, "--prompt", "q", "--response", "bad", "--response", "good", "--rubric-id", "general"
    )
    assert done.exit_code == 1
    assert "best: none" in done.stdout
    assert asked_of(oracle)[0].request.rubric_id == "general"


def test_rank_by_file(oracle, url, tmp_path):
    path = tmp_path / "rank.json"
    weights = m.WeightsSpec(excellence_weight=0.2)
    asked = m.RankRequest(
        prompt="q", responses=("bad", "good"), rubric=RUBRIC, reward_weights=weights, truncation="prompt_start"
    )
    path.write_bytes(pydantic_core.to_json(asked))
    done = promedical("rank", path, "--url", url)
    assert done.exit_code == 0
    assert "best: 1" in done.stdout
    assert asked_of(oracle)[0].request == asked
    promedical("rank", path, "--url", url, "--expected-fingerprint", "f1", "--priority", "bulk")
    assert asked_of(oracle)[1].request == replace(asked, expected_fingerprint="f1", priority="bulk")
    done = promedical("rank", path, "--url", url, "--format", "jsonl")
    assert TypeAdapter(m.RankResponse).validate_json(done.stdout).best == (1,)


def test_rubrics_and_model(url):
    assert "general@1" in promedical("rubrics", "--url", url).stdout
    assert "Does harm." in promedical("rubrics", "general", "--url", url).stdout
    assert promedical("rubrics", "absent", "--url", url).exit_code == 2
    listed = promedical("rubrics", "--url", url, "--format", "jsonl").stdout
    assert TypeAdapter(m.RubricInfo).validate_json(listed) == RUBRIC_INFO
    assert "fake" in promedical("model", "--url", url).stdout
    told = promedical("model", "--url", url, "--format", "jsonl").stdout
    assert TypeAdapter(m.ModelInfo).validate_json(told) == MODEL_INFO


def test_help_documents_the_exit_codes():
    for words in ([], ["score"], ["rank"], ["rubrics"], ["model"]):
        text = " ".join(promedical(*words, "--help").stdout.split())
        assert EXIT_CODES[:30] in text


def test_the_installed_command_shows_its_progress_on_a_terminal(job, tmp_path):
    command = Path(sys.executable).with_name("promedical")
    screen, terminal = os.openpty()
    with serving(Oracle(), "grpc") as url:
        done = subprocess.run(
            [command, "score", job, "--out", tmp_path / "out.jsonl"],
            env={**os.environ, "PROMEDICAL_URL": url, "TERM": "xterm", "COLUMNS": "100"},
            stderr=terminal,
            timeout=60,
            check=False,
        )
    os.close(terminal)
    assert done.returncode == 0
    assert b"70/70" in os.read(screen, 65_536)
    os.close(screen)


def test_the_installed_command_scores_a_file(job, tmp_path):
    command = Path(sys.executable).with_name("promedical")
    with serving(Oracle(), "grpc") as url:
        done = subprocess.run(
            [command, "score", job, "--format", "jsonl", "--limit", "3"],
            env={**os.environ, "PROMEDICAL_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert [outcome.id for outcome in outcomes(done.stdout)] == ["i0", "i1", "i2"]
    assert done.stderr.startswith("3 items: 6 responses scored")


@pytest.mark.parametrize(
    "module",
    ["promedical_client.cli.app", "promedical_client.cli.data", "promedical_bench.cli", "promedical_trainer.cli"],
)
def test_every_program_says_its_version(module):
    done = CliRunner().invoke(importlib.import_module(module).app, ["--version"])

    assert (done.exit_code, done.stdout) == (0, f"promedical {promedical_version}\n")
