"""A job of `promedical score`: what it reads and writes, what it keeps, and when it refuses to resume."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cli_commands import asked_of, lines_of, promedical
from test_client_loopback import MODEL_INFO, RUBRIC, Failure, Oracle, item, judge, serving

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.pins import FINGERPRINT_PIN
from promedical_client import AsyncClient, DeadlineError, MockTransport, judged_by
from promedical_client.chunking import MAX_ITEMS, Cutter, estimated_tokens
from promedical_client.cli.progress import in_words
from promedical_client.jsonl import InputError, read_items
from promedical_data.errors import DataError

ITEMS = [item(f"i{n}") for n in range(20)]
CRITERIA = [{"id": "harm", "text": "Does harm.", "dimension": "safety"}]


@pytest.fixture(scope="module")
def served():
    oracle = Oracle()
    with serving(oracle, "http") as url:
        yield oracle, url


@pytest.fixture
def oracle(served):
    """The oracle of the module, as if nobody had asked it."""
    served[0].seen.clear()
    served[0].score = judged_by(judge, fingerprint="f1")
    return served[0]


@pytest.fixture
def job(tmp_path, monkeypatch, oracle, served):
    """Score a file of twenty items."""
    path = tmp_path / "job.jsonl"
    path.write_text(lines_of(*ITEMS))
    monkeypatch.setenv("PROMEDICAL_CACHE", str(tmp_path / "cache"))

    def run(*words, file=path):
        return promedical("score", file, "--url", served[1], *words)

    return run


def fails_at(last):
    """A handler that cannot score the item of this name."""

    def score(request):
        if any(one.id == last for one in request.items):
            raise Failure(ErrorCode.INTERNAL)
        return judged_by(judge, fingerprint="f1")(request)

    return score


def fail(job, oracle, out):
    """A run that ends before all is answered."""
    oracle.score = fails_at("i19")
    done = job("--out", out)
    assert done.exit_code == 3
    oracle.score = judged_by(judge, fingerprint="f1")
    return done


# What is kept


@pytest.mark.parametrize(
    ("words", "change", "said"),
    [
        (("--limit", "19"), None, r"of 20 items there, "),
        (("--truncation", "response_end"), None, "option truncation none there, response_end here"),
        ((), "f2", "oracle fingerprint f1 there, f2 here"),
    ],
    ids=["input", "options", "oracle"],
)
def test_answers_of_another_job_are_refused_with_the_difference_until_fresh_is_given(
    words, change, said, job, oracle, tmp_path, monkeypatch
):
    out = tmp_path / "out.jsonl"
    fail(job, oracle, out)
    if change:
        info = replace(MODEL_INFO, model=replace(MODEL_INFO.model, fingerprint=change))
        monkeypatch.setattr("test_client_loopback.MODEL_INFO", info)
    done = job("--out", out, *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "--fresh" in done.stderr
    assert not out.exists()
    done = job("--out", out, *words, "--fresh")
    assert (done.exit_code, out.exists(), (tmp_path / "out.jsonl.partial").exists()) == (0, True, False)


def test_job_asks_for_the_oracle_that_it_began_with_unless_fresh_is_given(job, oracle, tmp_path):
    """Behind a gateway that splits calls, chance would else decide whether a job resumes."""
    out = tmp_path / "out.jsonl"

    def asked():
        return [seen.metadata.get(FINGERPRINT_PIN) for seen in oracle.seen if seen.method == "model"]

    fail(job, oracle, out)
    assert asked() == [None]
    assert job("--out", out).exit_code == 0
    assert asked() == [None, "f1"]
    fail(job, oracle, tmp_path / "other.jsonl")
    assert job("--out", tmp_path / "other.jsonl", "--fresh").exit_code == 0
    assert asked() == [None, "f1", None, None]
    assert job("--expected-fingerprint", "f1").exit_code == 0
    assert asked()[4:] == ["f1"]


def test_without_a_file_answers_are_kept_in_the_cache_and_resumed(job, oracle, tmp_path):
    oracle.score = fails_at("i19")
    assert job().exit_code == 3
    (kept,) = (tmp_path / "cache" / "scores").iterdir()
    assert "a question" not in kept.read_text()
    oracle.score = judged_by(judge, fingerprint="f1")
    done = job("--format", "jsonl")
    assert "resumes: " in done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [one.id for one in ITEMS]
    assert list((tmp_path / "cache" / "scores").iterdir()) == []


def test_kept_answers_that_asking_again_may_change_are_asked_again(job, oracle, tmp_path):
    broken = m.ErrorInfo(code=ErrorCode.ENGINE_FAILURE, message="the engine failed", retryable=True)

    def some_fail(request):
        if any(one.id == "i19" for one in request.items):
            raise Failure(ErrorCode.INTERNAL)
        answer = judged_by(judge, fingerprint="f1")(request)
        return replace(answer, items=tuple(replace(one, error=broken, result=None) for one in answer.items))

    oracle.score, out = some_fail, tmp_path / "out.jsonl"
    assert job("--out", out).exit_code == 3
    oracle.score = judged_by(judge, fingerprint="f1")
    oracle.seen.clear()
    assert job("--out", out).exit_code == 0
    assert sum(len(seen.request.items) for seen in asked_of(oracle)) == 20


def test_a_cut_last_line_of_kept_answers_is_asked_again(job, oracle, tmp_path):
    out, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    fail(job, oracle, out)
    partial.write_bytes(partial.read_bytes()[:-10])
    assert job("--out", out).exit_code == 0
    assert len(out.read_text().splitlines()) == 20


def test_a_damaged_file_of_kept_answers_is_named(job, oracle, tmp_path):
    partial = tmp_path / "out.jsonl.partial"
    partial.write_text("nonsense\n")
    done = job("--out", tmp_path / "out.jsonl")
    assert done.exit_code == 2
    assert f"{partial}: does not hold kept answers; remove it, or give --fresh" in done.stderr


def test_a_job_that_is_interrupted_keeps_what_was_answered_and_says_how_to_resume(tmp_path):
    release = []

    def hangs(request):
        if any(one.id == "i19" for one in request.items):
            release.append(process)
            process.send_signal(signal.SIGINT)
            raise Failure(ErrorCode.UNAVAILABLE, retry_after_s=60.0)
        return judged_by(judge, fingerprint="f1")(request)

    path, out = tmp_path / "job.jsonl", tmp_path / "out.jsonl"
    path.write_text(lines_of(*ITEMS))
    main = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    main += "from promedical_client.cli.app import main; main()"
    with serving(Oracle(score=hangs), "grpc") as url:
        process = subprocess.Popen(
            [sys.executable, "-c", main, "score", path, "--url", url, "--out", out],
            stderr=subprocess.PIPE,
            env=os.environ,
            text=True,
        )
        _, said = process.communicate(timeout=120)
    assert release
    assert process.returncode == 130, said
    assert f"of 20 items were answered; they are in {out}.partial, and the same command resumes" in said
    assert "Traceback" not in said


def test_a_service_that_is_too_slow_is_said_with_the_option(job, oracle):
    oracle.score = Failure(ErrorCode.OVERLOADED, retry_after_s=60.0, message="full")
    done = job("--timeout-s", "2", "--limit", "1")
    assert done.exit_code == 3
    assert "deadline: no answer within --timeout-s, which is 2 s (overloaded: full); raise --timeout-s" in done.stderr


# How a job is cut


def test_calls_grow_with_the_rate_of_the_service_and_shrink_with_it():
    items = [item(str(n)) for n in range(1000)]
    cost = estimated_tokens(items[0])
    cutter = Cutter(items, call_s=10.0, first_tokens=1)
    assert len(cutter.next()) == 1
    cutter.learn(cost, 0.001)
    assert len(cutter.next()) == 4, "one lucky call is not trusted"
    for _ in range(9):
        cutter.learn(cost, 0.001)
    assert len(cutter.next()) == MAX_ITEMS
    cutter.learn(10 * cost, 20.0)
    assert len(cutter.next()) == 5, "ten items took twice as long as a call should"
    cutter.learn(cost, 1e6)
    assert len(cutter.next()) == 1


async def test_a_part_that_misses_its_deadline_is_sent_again_in_halves_until_it_does_not():
    def slow(request):
        if len(request.items) > 2:
            raise DeadlineError("too slow")
        return judged_by(judge)(request)

    told = []
    transport = MockTransport(score=slow)
    client = AsyncClient(transport=transport, max_in_flight=1)
    answer = await client.score(ITEMS, chunk_timeout_s=60.0, on_outcomes=told.extend)
    assert [outcome.id for outcome in answer.items] == [one.id for one in ITEMS]
    assert sorted(outcome.id for outcome in told) == sorted(one.id for one in ITEMS)
    assert max(len(call.items) for call in transport.calls) > 2


async def test_one_item_that_misses_its_deadline_ends_the_job_with_what_was_answered():
    def slow(request):
        if any(one.id == "i7" for one in request.items):
            raise DeadlineError("too slow")
        return judged_by(judge)(request)

    client = AsyncClient(transport=MockTransport(score=slow), max_in_flight=1)
    with pytest.raises(DeadlineError) as caught:
        await client.score(ITEMS, chunk_timeout_s=60.0)
    assert [outcome.id for outcome in caught.value.partial] == [f"i{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("seconds", "said"), [(20, "20 s"), (100, "2 min"), (1800, "30 min"), (9000, "2.5 h")], ids=str
)
def test_lengths_of_time_are_said_as_exactly_as_people_want(seconds, said):
    assert in_words(seconds) == said


# Files


CSV = 'question,one,two\nIs it safe?,good,"bad, very"\nAnd this?,bad,\n'


def test_score_reads_csv_with_a_map_of_columns(job, oracle, tmp_path):
    path = tmp_path / "answers.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    named = [f"--column={pair}" for pair in ("prompt=question", "response=one", "response=two")]
    done = job(*named, "--rubric-id", "general", file=path)
    assert done.exit_code == 1, done.stderr  # the scripted oracle knows no rubric by name
    asked = sorted((one for seen in asked_of(oracle) for one in seen.request.items), key=lambda one: one.id)
    assert [(one.id, one.prompt, one.responses) for one in asked] == [
        ("record 1", "Is it safe?", ("good", "bad, very")),
        ("record 2", "And this?", ("bad", "")),
    ]


def test_items_are_the_same_from_every_kind_of_file(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"id": f"r{n}", "prompt": "q", "responses": ["a", "b"], "rubric": {"criteria": CRITERIA}} for n in range(3)]
    expected = [m.ScoreItem(id=f"r{n}", prompt="q", responses=("a", "b"), rubric=RUBRIC_OF_CRITERIA) for n in range(3)]
    lines, array, table, sheet = (tmp_path / f"items{end}" for end in (".jsonl", ".json", ".parquet", ".csv"))
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    array.write_text(json.dumps(rows))
    parquet.write_table(pa.Table.from_pylist(rows), table)
    with sheet.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "prompt", "responses", "criteria"])
        writer.writerows([row["id"], "q", json.dumps(row["responses"]), json.dumps(CRITERIA)] for row in rows)
    for path in (lines, array, table, sheet):
        assert read_items(str(path)) == expected, path


RUBRIC_OF_CRITERIA = m.RubricSpec(criteria=(m.CriterionSpec(id="harm", text="Does harm.", dimension="safety"),))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            [],
            "record 1: has no prompt; name its column with --column prompt=COLUMN; its columns are question, one, two",
        ),
        (["prompt=question"], "record 1: has no response; name its column with --column response=COLUMN"),
        (["promt=question"], "--column: is 'promt=question'; expected NAME=COLUMN with a name of id, prompt, "),
        (["prompt=qestion"], "record 1: has no column 'qestion', which --column names; its columns are question, one"),
        (["prompt"], "did you mean prompt=COLUMN?"),
        (["prompt=question", "response=one", "rubric=two"], "record 1: rubric: is not JSON"),
    ],
    ids=["none", "no response", "misspelt name", "misspelt column", "no column", "no JSON"],
)
def test_columns_that_do_not_fit_are_said_with_what_there_is(columns, said, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(CSV)
    with pytest.raises(InputError) as caught:
        read_items(str(path), columns=columns)
    assert said in str(caught.value)


def test_outcomes_are_written_by_the_ending_of_the_name_and_say_which_oracle_judged(job, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    outs = [tmp_path / f"out{end}" for end in (".jsonl", ".json", ".csv", ".csv.gz", ".parquet")]
    assert [job("--out", out).exit_code for out in outs] == [0] * 5
    lines, array, sheet, zipped, table = outs
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    assert json.loads(array.read_text()) == read
    assert read[0]["oracle"] == {"name": "mock", "status": "fake", "fingerprint": "f1"}
    rows = list(csv.DictReader(sheet.read_text().splitlines()))
    assert gzip.decompress(zipped.read_bytes()).decode() == sheet.read_bytes().decode()
    columns = parquet.read_table(table).to_pylist()
    assert len(rows) == len(columns) == 40
    for row, column in zip(rows, columns, strict=True):
        assert (row["item"], float(row["reward"])) == (column["item"], column["reward"])
        assert json.loads(row["criteria"]) == column["criteria"]
        assert row["oracle_status"] == column["oracle_status"] == "fake"


@pytest.mark.parametrize("name", ["out.xlsx", "out.tsv", "out.txt"])
def test_a_name_that_promises_another_kind_of_file_is_refused_before_anything_is_asked(name, job, oracle, tmp_path):
    done = job("--out", tmp_path / name)
    assert done.exit_code == 2
    assert "expected .jsonl, .json, .csv or .parquet" in done.stderr
    assert oracle.seen == []


# Tables


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("responses", [1, 4, 5, 128])
def test_tables_fit_the_screen_and_explain_themselves(responses, width, served, tmp_path):
    path = tmp_path / "many.jsonl"
    long = [replace(c, id=f"{c.id}-{'long-' * 8}id") for c in RUBRIC.criteria]
    path.write_text(
        lines_of(item("wide", *(["good", "bad"] * 64)[:responses], rubric=m.RubricSpec(criteria=tuple(long))))
    )
    for details in ((), ("--details",)):
        shown = promedical("score", path, "--url", served[1], *details, COLUMNS=str(width)).stdout
        assert max(map(len, shown.splitlines())) <= width
        assert shown.startswith("FAKE ORACLE")
        assert "met: the criterion holds as worded" in " ".join(shown.split())
    shown = promedical("score", path, "--url", served[1], COLUMNS=str(width)).stdout
    rows = [line for line in shown.splitlines() if "+1.100" in line or "-1.500" in line]
    assert len(rows) == responses
    if responses > 4:
        assert rows[0].split()[:2] == ["0", "1"], "the best comes first"
        assert "- met 1.00 harm" in rows[-1], "a violation is worse than a fact that is missing"


# Whatever a user gives

names = st.sampled_from(list(m.ScoreItem.__slots__))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.sampled_from(list(m.ScoreItem.__slots__)), inner)
    ),
    max_leaves=8,
)
near_items = st.fixed_dictionaries(
    {"id": words, "prompt": values | words, "responses": values | st.lists(words)},
    optional={
        "rubric": values | st.just({"criteria": CRITERIA}),
        "criteria": values,
        "chosen": values,
        "rubrics": values,
    },
)
contents = st.one_of(
    st.binary(max_size=60),
    st.lists(near_items, max_size=3).map(lambda rows: "".join(f"{json.dumps(row)}\n" for row in rows).encode()),
    words.map(str.encode),
    st.sampled_from([b"PAR1", b"\x1f\x8b", gzip.compress(b"{}"), b"\xff\xfe[", b"a,b\n1,2,3\n", b'"', b"[" * 5000]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    content=contents,
    ending=st.sampled_from([".jsonl", ".json", ".csv", ".parquet", ".gz", ""]),
    column=st.none() | words | st.just("prompt=a"),
)
def test_no_file_is_a_traceback(content, ending, column, tmp_path):
    path = tmp_path / f"input{ending}"
    path.write_bytes(content)
    with suppress(DataError):
        read_items(str(path), columns=[column] if column else [])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    command=st.sampled_from(["score", "rank", "model", "rubrics", "rubric"]),
    more=st.lists(
        words
        | st.sampled_from(
            ["--out", "--column", "--timeout-s", "--limit", "--format", "--url", "nan", "-1", "--prompt"]
        ),
        max_size=4,
    ),
)
def test_no_arguments_are_a_traceback(command, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = promedical(command, *more, "--url", "ftp://nowhere", stdin="")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
