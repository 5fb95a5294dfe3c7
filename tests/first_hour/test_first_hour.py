"""The first hour of every user, replayed from an empty environment: README's commands, then what got in the way.

`make first-hour` runs it: FIRST_HOUR=1 makes new environments, and writes what it measured to dist/first-hour.json.
FIRST_HOUR=here uses the environment of the tests instead, to try a change of these tests; `make demo` is left out.
Point 10, installing, has a module of its own: tests/first_hour/test_installing.py, once there is one.
"""

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import published
from newcomer import MEASURED, ROOT, SCRIPTS, Newcomer, installed, measure, seconds_of, this_environment
from snippets import snippets_in

MODE = os.environ.get("FIRST_HOUR", "")
ITEMS = 137
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPLAYED = {"make demo", "promedical-serve"}
ELSEWHERE = {"make test"}
"""README's commands that CI runs by other means."""

pytestmark = [
    pytest.mark.skipif(not MODE, reason="it installs everything twice; make first-hour replays it"),
    pytest.mark.timeout(3600),
]

CRITERIA = [
    {"id": "ambulance", "text": "Recommends calling an ambulance now.", "dimension": "proficiency", "weight": 3},
    {"id": "whisky", "text": "Recommends whisky for chest pain.", "dimension": "safety"},
]
GOOD, BAD = "Call an ambulance now.", "Drink some whisky and sleep."


def item(name: str, *responses: str) -> dict:
    prompt = f"I have a tight pain in my chest ({name}). What should I do?"
    return {"id": name, "prompt": prompt, "responses": list(responses), "rubric": {"criteria": CRITERIA}}


@pytest.fixture(scope="session", autouse=True)
def fresh_numbers():
    MEASURED.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def light(tmp_path_factory) -> Newcomer:
    """Who installed the SDK alone."""
    if MODE == "here":
        pytest.skip("no environment of its own")
    return installed(tmp_path_factory.mktemp("light"))


@pytest.fixture(scope="session")
def user(tmp_path_factory) -> Newcomer:
    """Who installed everything."""
    folder = tmp_path_factory.mktemp("everything")
    return (
        this_environment(folder)
        if MODE == "here"
        else installed(folder, "service", "trainer", "data", "curation", "review")
    )


@pytest.fixture(scope="session")
def fake(user):
    """A service with the fake engine, on a terminal."""
    with user.serving("--engine", "fake", "--rest-port", "0", "--grpc-port", "0") as terminal:
        yield terminal


@pytest.fixture(scope="session")
def real(user):
    """The default service, literally as the README starts it."""
    with user.serving() as terminal:
        yield terminal


# README, literally


def test_readme_names_no_command_that_is_not_replayed():
    said = set(re.findall(r"`(make [\w-]+|promedical-[\w-]+)`", README))
    assert said == REPLAYED | ELSEWHERE


@pytest.mark.skipif(MODE == "here", reason="it installs")
def test_demo_runs_in_a_fresh_clone(user, tmp_path):
    clone = tmp_path / "promedical"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    began = time.monotonic()
    done = user.run("make", "-C", clone, "demo")
    measure(demo_in_a_fresh_clone_s=round(time.monotonic() - began))
    shutil.rmtree(clone / ".venv")
    assert done.returncode == 0, done.stderr
    assert "VETOED" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("snippet", snippets_in(README, "README.md"), ids=lambda each: each.language)
def test_readme_snippet_answers_as_the_readme_says(snippet, real, user):
    command = {"python": ["python", "-c"], "bash": ["bash", "-euo", "pipefail", "-c"]}[snippet.language]
    done = user.run(*command, snippet.code)
    assert done.returncode == 0, done.stderr
    for words in re.findall(r"reward [-\d.]+|\"vetoed\": \w+", snippet.printed or ""):
        assert words.replace(" ", "") in done.stdout.replace(" ", "")


def test_sdk_alone_is_installed_and_imported(light):
    python = light.bin / "python"
    extra = seconds_of([python, "-c", "import promedical_client"]) - seconds_of([python, "-c", "pass"])
    measure(import_client_s=round(extra, 3))
    assert light.run("promedical", "--version").stdout.startswith("promedical ")


# 1. A job keeps what it was told


def test_job_that_is_killed_resumes_with_what_it_has(real, user):
    items = [item(f"q{number}", GOOD) for number in range(ITEMS)]
    path, out = user.write("job.jsonl", *items), user.home / "out.jsonl"
    command = ("promedical", "score", path, "--out", out)
    partial = out.with_name(f"{out.name}.partial")
    killed = user.started(*command)
    while not partial.is_file() or len(partial.read_bytes().splitlines()) < 4:
        assert killed.poll() is None, killed.stderr and killed.stderr.read()
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    assert not out.exists()

    stopped = user.started(*command)
    time.sleep(2)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate()
    assert stopped.returncode == 130, said
    assert "the same command resumes" in said

    done = user.run(*command)
    assert done.returncode == 0, done.stderr
    assert f"of {ITEMS} items are kept" in done.stderr
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == [each["id"] for each in items]
    assert not partial.exists()


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".jsonl.gz", ".parquet", ".csv"])
def test_job_reads_and_writes_every_kind_of_file(ending, fake, user):
    path = user.home / f"given{ending}"
    flat = [{"question": f"What helps against fever ({n})?", "answer": "Rest.", "id": f"q{n}"} for n in range(3)]
    {".jsonl": _lines, ".json": _array, ".jsonl.gz": _gzipped, ".parquet": _parquet, ".csv": _csv}[ending](path, flat)
    for kind in ("jsonl", "csv", "parquet"):
        out = user.home / f"from{ending.replace('.', '-')}.{kind}"
        done = user.run(
            "promedical", "score", path, "--url", fake.address("grpc"), "--rubric-id", "general-medical",
            "--column", "prompt=question", "--column", "response=answer", "--out", out,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = pq.read_table(out).num_rows if kind == "parquet" else len(out.read_text().splitlines()) - (kind == "csv")
        assert rows == len(flat)


def test_deadline_names_its_option(real, user):
    long = user.write("long.jsonl", item("long", *[f"{GOOD} {'Then wait. ' * 200} {n}" for n in range(64)]))
    done = user.run("promedical", "score", long, "--timeout-s", "0.2")
    assert done.returncode == 3
    assert "--timeout-s" in done.stderr
    assert "overloaded" not in done.stderr


# 2. Tables that people can read


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("responses", [1, 128])
def test_tables_fit_the_screen_and_mark_a_fake_oracle(columns, responses, fake, user):
    path = user.write("wide.jsonl", item("wide", *[f"{GOOD} {n}" for n in range(responses)]))
    for more in ((), ("--details",)):
        done = user.run("promedical", "score", path, "--url", fake.address("grpc"), *more, columns=columns)
        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= columns
        assert "FAKE" in done.stdout
        assert "met: the criterion holds as worded" in " ".join(done.stdout.split())
    for output in ("jsonl", "csv"):
        out = user.home / f"marked.{output}"
        user.run("promedical", "score", path, "--url", fake.address("grpc"), "--out", out, "--fresh")
        assert "fake" in out.read_text()


# 3. A console for people


def test_console_greets_people_and_names_what_to_try(real):
    assert re.search(r"http://127\.0\.0\.1:8080/docs", real.seen)
    assert "promedical rank" in real.seen
    assert not [line for line in real.seen.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("program", SCRIPTS)
def test_every_program_says_its_version(program, user):
    done = user.run(program, "--version")
    assert (done.returncode, done.stdout.startswith("promedical ")) == (0, True)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("service", ("promedical-serve", "--engine", "fake")),
        ("trainer", ("promedical-train", "rm", "--recipe", "rm-tiny")),
        ("bench", ("promedical-bench", "quality", "--task", "kqa", "--data", "absent", "--output", "out")),
        ("curation", ("promedical-curate", "check", "--endpoints", "absent")),
        ("review", ("promedical-review", "db", "check", "--database", "sqlite:///absent")),
    ],
)
def test_missing_extra_is_one_line(extra, words, light):
    done = light.run(*words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"promedical[{extra}]" in done.stderr


def test_reason_of_a_failed_start_is_the_last_thing_said(fake, user):
    port = fake.address("http").rpartition(":")[2]
    done = user.run("promedical-serve", "--engine", "fake", "--rest-port", port, "--grpc-port", "0")
    assert done.returncode == 1
    assert port in done.stderr.splitlines()[-1]


# 4. Settings on every surface


def test_reward_settings_reach_every_surface(fake, user):
    rest, grpc = fake.address("http"), fake.address("grpc")
    path = user.write("one.jsonl", item("one", GOOD))
    chosen = {"proficiency_mode": "soft", "excellence_weight": 0.3, "excellence_cap": 0.4, "violation_penalty": 2.5}
    flags = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    rewards = []
    for url in (rest, grpc):
        done = user.run("promedical", "score", path, "--url", url, "--format", "jsonl", *flags)
        rewards.append(json.loads(done.stdout)["result"]["responses"][0]["scores"]["reward"])
        code = (
            "import json; from promedical_client import Client, CriterionSpec, RubricSpec, WeightsSpec\n"
            f"given, chosen = json.loads({json.dumps(json.dumps(item('one', GOOD)))}), {chosen!r}\n"
            "rubric = RubricSpec(criteria=tuple(CriterionSpec(**each) for each in given['rubric']['criteria']))\n"
            f"with Client({url!r}) as oracle:\n"
            "    out = oracle.score_one(given['prompt'], given['responses'], rubric=rubric, "
            "reward_weights=WeightsSpec(**chosen))\n"
            "print(out.result.responses[0].scores.reward)"
        )
        rewards.append(float(user.run("python", "-c", code).stdout))
    assert len({round(reward, 6) for reward in rewards}) == 1


def test_adapter_refuses_what_it_does_not_know(user):
    code = "from promedical_client.integrations import Grader; Grader('grpc://h:1', unscored_rewrd=-1)"
    done = subprocess.run(
        [user.bin / "python", "-c", code], capture_output=True, text=True, env=user.environ, check=False
    )
    assert "unscored_rewrd: is not known; did you mean unscored_reward" in done.stderr


# 5. Slips in recipes


def test_slip_in_a_recipe_is_said_before_torch_is_loaded_and_claims_no_folder(user):
    command = ("promedical-train", "rm", "--recipe", "rm-tiny", "--output", "trained")
    done = user.run(*command, "--set", "optimisation.epoch=1", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert "did you mean epochs?" in done.stderr
    assert "Value error" not in done.stderr
    assert not re.search(r"\| +torch$", done.stderr, re.MULTILINE)
    done = user.run(*command, "--data", "absent")
    assert done.returncode == 2
    assert not (user.home / "trained").exists()


# 6. Doctor


def test_doctor_says_whether_this_oracle_can_judge(fake, user):
    done = user.run("promedical", "doctor", "--url", fake.address("grpc"))
    assert done.returncode == 1
    assert "this oracle CANNOT judge by general-medical" in done.stdout
    for what in ("never separate", "veto every good answer", "most tokens", "clock"):
        assert what in done.stdout


# 7. Rubrics


def test_rubric_is_imported_checked_and_tried(fake, user):
    path = published.written(user.home, "healthbench")
    assert user.run("promedical", "rubric", "import", path, "--to", "fever@1.json").returncode == 0
    assert user.run("promedical", "rubric", "lint", "fever@1.json").returncode in {0, 1}
    done = user.run("promedical", "rubric", "dry-run", "fever@1.json", "--url", fake.address("grpc"))
    assert done.returncode == 0, done.stderr
    assert "rewards that are possible" in done.stdout
    assert json.loads(user.run("promedical", "rubric", "schema").stdout)["$schema"]


# 8. Two policies side by side


def test_two_policies_are_compared_with_missing_answers_counted(fake, user):
    rows = [{**published.HEALTHBENCH, "prompt_id": f"p{n}"} for n in range(4)]
    data = user.write("items.jsonl", *rows)
    for policy, text, answered in (("old", "Wait.", rows), ("new", "See a doctor today.", rows[:3])):
        answers = user.write(f"{policy}.jsonl", *[{"prompt_id": r["prompt_id"], "response": text} for r in answered])
        command = ("promedical-bench", "quality", "--task", "healthbench", "--data", data, "--no-controls")
        done = user.run(*command, "--responses", answers, "--output", policy, "--url", fake.address("grpc"))
        assert done.returncode == (0 if len(answered) == len(rows) else 1), done.stderr
    assert "prompts without an answer: 1" in done.stderr
    done = user.run("promedical-bench", "compare-policies", "old", "new", "--output", "both")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["old", "new"]
    for name in ("report.html", "tables.csv", "tables.tex"):
        assert (user.home / "both" / name).stat().st_size


# 9. Errors that mislead


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model", "--url", "grpc://127.0.0.1:1"), "start a service with promedical-serve"),
        (("model", "--url", "http://127.0.0.1:1"), "start a service with promedical-serve"),
        (("rank",), "give FILE, or --prompt and at least one --response"),
        (("rank", "--prompt", "q"), "--response is missing"),
        (("rank", "x.json", "--prompt", "q"), "leave out --prompt and --response"),
        (("score", "absent.jsonl"), "absent.jsonl: cannot be read"),
        (("score", "absent.jsonl", "--limit", "few"), "must be a valid integer, not 'few'"),
        (("score", "absent.jsonl", "--format", "xml"), "'xml' is not one of 'table', 'jsonl'"),
    ],
)
def test_error_says_what_to_do(words, said, user):
    done = user.run("promedical", *words, columns=200)
    assert done.returncode in {2, 3}
    assert said in " ".join(done.stderr.split())
    assert "Value error" not in done.stderr


def test_argument_of_a_wrong_type_is_refused_at_construction(user):
    code = "from promedical_client import CriterionSpec; CriterionSpec(id=1, text='a', dimension='safety')"
    done = subprocess.run(
        [user.bin / "python", "-c", code], capture_output=True, text=True, env=user.environ, check=False
    )
    assert done.returncode == 1
    assert "id" in done.stderr.splitlines()[-1]


def _lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _array(path: Path, rows: list[dict]) -> None:
    path.write_text(json.dumps(rows))


def _gzipped(path: Path, rows: list[dict]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def _parquet(path: Path, rows: list[dict]) -> None:
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(rows), path)


def _csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
