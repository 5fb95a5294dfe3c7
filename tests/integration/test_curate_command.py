"""The command `promedical-curate` as a user runs it, on a real model's server; and what wrong input makes it say."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fault_proxy import Proxy, running_proxy
from promedical_curation.cli import app

QUESTIONS = (
    "What is the first-line treatment of uncomplicated cystitis in an adult woman?",
    "Can I take ibuprofen together with aspirin 100 mg for my heart?",
    "How is a suspected pulmonary embolism in pregnancy investigated?",
)
SECRET = "sk-a-key-that-must-not-be-seen"


def curate(*arguments: object, **environ: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "promedical_curation.cli", *map(str, arguments)]
    own = {name: value for name, value in os.environ.items() if name != "PROMEDICAL_CURATION_STORE"}
    return subprocess.run(command, capture_output=True, text=True, timeout=250, env=own | environ, check=False)


def curate_here(*arguments: object) -> tuple[int, str]:
    """The exit code and what was said on standard error, without a process of its own."""
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.stderr


def only_difficulty(rows: Path, endpoints: Path, output: Path, *more: object) -> tuple[object, ...]:
    """The arguments of a run that has the stages input and difficulty only."""
    settings = ("until=difficulty", "screens=null", "dedup=null", "decontamination=null", *more)
    chosen = [part for setting in settings for part in ("--set", setting)]
    return (output, "--recipe", "preference-50k", "--input", rows, "--endpoints", endpoints, *chosen)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [{"id": f"q{number}", "source": "made", "instruction": text} for number, text in enumerate(QUESTIONS)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def endpoint_file(tmp_path: Path, url: str = "http://127.0.0.1:9/v1", **settings: object) -> Path:
    path = tmp_path / "endpoints.yaml"
    values = {"base_url": url, "model": "smollm2", "seed": True, "prices": {"input": 1.0, "output": 2.0}} | settings
    path.write_text(json.dumps({"endpoints": {"difficulty": values}}))  # JSON is YAML
    return path


def test_command_checks_plans_runs_and_explains(llama, tmp_path, rows):
    with running_proxy(llama) as proxy:
        endpoints, output = endpoint_file(tmp_path, proxy.url), tmp_path / "run"
        common = only_difficulty(rows, endpoints, output)
        assert curate("check", "--endpoints", endpoints).stdout == "1 endpoints answer: difficulty\n"
        planned = curate("plan", *common, "--sample", 1)
        assert planned.stdout.startswith("difficulty: 3 rows, 3 calls, of which 1 are answered already\n")
        ran = curate("run", *common)
        assert (ran.returncode, ran.stdout) == (0, "")
        assert set(proxy.by_question.values()) == {1}
        sent = len(proxy.log)
        again = curate("run", *common)
        assert "difficulty (up to date): 3 in" in again.stderr
        changed = curate("run", *common, "--set", "difficulty.keep=0-10")
        assert changed.returncode == 2
        assert 'recipe: difficulty.keep was "5-9" and is now "0-10"' in changed.stderr
        assert "difficulty: config.keep was 5-9 and is now 0-10" in changed.stderr
        wider = curate("run", *common, "--set", "difficulty.keep=0-10", "--accept-changes")
        assert "difficulty: 3 in, 3 kept; dropped: none; failed: none" in wider.stderr
        assert len(proxy.log) == sent  # deciding again costs no call
    status = curate("status", output).stdout
    assert "input: up to date\n  3 in, 3 kept" in status
    assert "3 answers in 3 calls" in status
    shown = curate("show", output, "q1").stdout
    assert shown.startswith("input: kept\n")
    assert shown.count(QUESTIONS[1]) == 1
    assert 'note of difficulty: {"difficulty":' in shown


def test_changed_prompt_runs_its_stage_again_and_asks_anew(llama, tmp_path, rows):
    prompt = tmp_path / "prompt.md"
    prompt.write_text("How hard is this question, from 0 to 10?")
    own = ("--set", f"prompt_files.difficulty={prompt}")
    rows.write_text(rows.read_text().splitlines()[0])
    with running_proxy(llama) as proxy:
        common = only_difficulty(rows, endpoint_file(tmp_path, proxy.url), tmp_path / "run")
        assert curate("run", *common).returncode == 0
        refused = curate("run", *common, *own)
        assert "difficulty: config.prompt was sha256:" in refused.stderr
        assert curate("run", *common, *own, "--accept-changes").returncode == 0
        assert len(proxy.by_question) == 2


def test_batch_files_and_calls_are_one_store(llama, tmp_path, rows):
    with running_proxy(llama) as proxy:
        common = only_difficulty(rows, endpoint_file(tmp_path, proxy.url), tmp_path / "run")
        stage = ("--stage", "difficulty")
        exported = curate("batch", "export", *common, *stage, "--to", tmp_path / "out")
        assert exported.stdout == f"3 requests: {tmp_path}/out/difficulty.001.jsonl\n"
        lines = [json.loads(line) for line in (tmp_path / "out/difficulty.001.jsonl").read_text().splitlines()]
        assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
        answers = run_batch(proxy, lines, tmp_path / "answers.jsonl")
        imported = curate("batch", "import", common[0], answers, *common[1:], *stage)
        assert imported.stdout == "2 answers kept, 0 were there already; without an answer: bad_request 1\n"
        again = curate("batch", "import", common[0], answers, *common[1:], *stage)
        assert again.stdout == "0 answers kept, 2 were there already; without an answer: bad_request 1\n"
        left = curate("batch", "export", *common, *stage, "--to", tmp_path / "left")
        assert left.stdout.startswith("1 requests:")
        proxy.log.clear()
        assert curate("run", *common).returncode == 0
        assert len(proxy.calls) == 1  # the one whose line had an error
        assert json.loads(json.dumps(proxy.calls[0].body)) == lines[0]["body"]


def run_batch(proxy: Proxy, lines: list[dict], path: Path) -> Path:
    """What `vllm run-batch` does: a call for every line, an answer in its form; the first line fails."""
    import httpx

    out = []
    for number, line in enumerate(lines):
        answer = {"status_code": 200, "request_id": f"b-{number}", "body": None}
        if number:
            answer["body"] = httpx.post(f"{proxy.url}/chat/completions", json=line["body"], timeout=200).json()
        error = None if number else {"message": "it failed"}
        out.append({"id": f"b-{number}", "custom_id": line["custom_id"], "response": answer, "error": error})
    path.write_text("".join(json.dumps(each) + "\n" for each in reversed(out)))
    return path


def test_no_prompt_answer_or_key_is_logged(llama, tmp_path, rows):
    """At the most talkative level of every library, with servers that quote the prompt in their errors."""
    faults = ["500", "429_seconds", "bad_request", "wrong_schema", "not_a_completion"]
    script = lambda body, before: faults.pop() if faults else None  # noqa: E731
    noisy = "import logging; logging.basicConfig(level=1); from promedical_curation.cli import main; main()"
    with running_proxy(llama, script) as proxy:
        endpoints = endpoint_file(tmp_path, proxy.url, key_env="MY_KEY")
        command = [sys.executable, "-c", noisy, "run", *only_difficulty(rows, endpoints, tmp_path / "run")]
        environ = os.environ | {"MY_KEY": SECRET, "OPENAI_LOG": "debug"}
        ran = subprocess.run(
            [*map(str, command), "--max-failed=1"],
            capture_output=True,
            text=True,
            timeout=280,
            env=environ,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert all(f"Bearer {SECRET}" in call.headers for call in proxy.log)
        assert faults == []
    said = ran.stdout + ran.stderr
    assert [text for text in (*QUESTIONS, SECRET, "You rate how", "seven", '"reasons"') if text in said] == []
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept


WRONG = {
    "input that is absent": (lambda f: {"--input": f / "absent.jsonl"}, "absent.jsonl: cannot be read"),
    "input of another kind": (
        lambda f: {"--input": write(f / "rows.xlsx", "x")},
        "expected a file of rows, named .jsonl",
    ),
    "input without a column": (
        lambda f: {"--input": write(f / "a.jsonl", '{"id": "1", "q": "x"}')},
        "a.jsonl:1: lacks the field instruction; its fields are id, q",
    ),
    "input with another column": (
        lambda f: {"--input": write(f / "a.jsonl", '{"id": "1", "instruction": "x", "answer": "y"}')},
        "has the field answer, which no row has",
    ),
    "input with a number for text": (
        lambda f: {"--input": write(f / "a.jsonl", '{"id": 1, "instruction": "x"}')},
        'id is "int"; expected text',
    ),
    "input that is no object": (lambda f: {"--input": write(f / "a.jsonl", "[1]")}, "a.jsonl:1: is no object"),
    "input that is cut": (lambda f: {"--input": write(f / "a.jsonl", '{"id": "1", "instr')}, "a.jsonl:1: is not JSON"),
    "input with a field twice": (
        lambda f: {"--input": write(f / "a.jsonl", '{"id": "1", "id": "2", "instruction": "x"}')},
        "a.jsonl:1: is not JSON",
    ),
    "input that is not UTF-8": (
        lambda f: {"--input": write(f / "a.jsonl", b'{"id": "\xff"}')},
        "a.jsonl:1: is not UTF-8",
    ),
    "input whose gzip is cut": (
        lambda f: {"--input": write(f / "a.jsonl.gz", gzip.compress(b"{}" * 999)[:-9])},
        "a.jsonl.gz: is broken",
    ),
    "input that is no gzip": (lambda f: {"--input": write(f / "a.jsonl.gz", "{}")}, "a.jsonl.gz: is broken"),
    "input that is no Parquet": (
        lambda f: {"--input": write(f / "a.parquet", "PAR1")},
        "a.parquet: cannot be read as Parquet",
    ),
    "endpoints that are absent": (lambda f: {"--endpoints": f / "absent.yaml"}, "absent.yaml: cannot be read"),
    "endpoints with an unknown setting": (
        lambda f: {"--endpoints": endpoint_file(f, modell="x")},
        "endpoint difficulty: modell: ",
    ),
    "endpoints with a key": (
        lambda f: {"--endpoints": endpoint_file(f, api_key=SECRET)},
        "a key never stands in this file",
    ),
    "endpoint that is down": (
        lambda f: {},
        r"endpoint difficulty (http://127.0.0.1:9/v1): the connection failed (ConnectError); is the server running",
    ),
    "endpoint whose key is missing": (
        lambda f: {"--endpoints": endpoint_file(f, key_env="MY_UNSET_KEY")},
        "the environment variable MY_UNSET_KEY is not set",
    ),
    "bounds in disorder": (lambda f: {"--set": "difficulty.keep=9-5"}, "keep 9-5: expected two numbers from 0 to 10"),
    "bounds that are none": (
        lambda f: {"--set": "difficulty.keep=hard"},
        "difficulty.keep is 'hard': expected two whole numbers",
    ),
    "prompt that is absent": (
        lambda f: {"--set": f"prompt_files.difficulty={f}/absent.md"},
        "absent.md: cannot be read",
    ),
    "prompt that is empty": (
        lambda f: {"--set": f"prompt_files.difficulty={write(f / 'empty.md', ' ')}"},
        "empty.md: is empty",
    ),
    "stage that is none": (lambda f: {"--stage": "rubrics"}, "stage rubrics: is not one of input, difficulty"),
    "store that is none": (lambda f: {"--store": "redis://h/0"}, "expected sqlite:///PATH or postgresql://"),
    "folder that is a file": (lambda f: {"RUN": write(f / "taken", "x")}, "taken: cannot be written"),
    "folder with other files": (
        lambda f: {"RUN": write(f / "mine" / "thesis.tex", "x").parent},
        "is not empty and holds no run",
    ),
}


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named_with_what_to_do(tmp_path, rows, case):
    changed, message = WRONG[case]
    options = {"--input": rows, "--endpoints": endpoint_file(tmp_path), "RUN": tmp_path / "run"} | changed(tmp_path)
    common = only_difficulty(options.pop("--input"), options.pop("--endpoints"), options.pop("RUN"))
    code, said = curate_here("run", *common, *[part for pair in options.items() for part in pair])
    assert code == 2
    assert message in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "nowhere"), "nowhere: holds no run of promedical-curate"),
        (("show", "nowhere", "q1"), "nowhere: holds no run of promedical-curate"),
        (("check", "--endpoints", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
    ],
    ids=["status", "show", "check"],
)
def test_commands_without_their_files_say_so(arguments, message):
    code, said = curate_here(*arguments)
    assert code == 2
    assert message in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no JSON", "a.jsonl:1: is no answer of a batch"),
        ("{}", "a.jsonl:1: is no answer of a batch"),
        ('{"custom_id": 3, "response": null}', "a.jsonl:1: is no answer of a batch"),
        ('{"custom_id": "abc", "response": null}', "custom_id abc is no request of stage difficulty as it is now"),
    ],
    ids=["text", "empty", "number", "unknown"],
)
def test_file_that_is_no_batch_of_this_stage_is_refused(tmp_path, rows, line, message):
    common = only_difficulty(rows, endpoint_file(tmp_path), tmp_path / "run")
    answers = write(tmp_path / "a.jsonl", line)
    code, said = curate_here("batch", "import", common[0], answers, *common[1:], "--stage", "difficulty")
    assert code == 2
    assert message in said


def test_schema_that_a_server_does_not_accept_is_said_before_the_run(llama, tmp_path, rows):
    """An older server, which knows no schemas: it answers them with 400 and its reason."""

    def refuse(body, before):
        return "bad_request" if "response_format" in body else None

    with running_proxy(llama, refuse) as proxy:
        proxy.faults_checks = True
        common = only_difficulty(rows, endpoint_file(tmp_path, proxy.url), tmp_path / "run")
        ran = curate("run", *common)
        assert proxy.calls == []
    assert ran.returncode == 2
    assert "does not accept JSON schemas; it says: " in ran.stderr
    assert "set output: json_object or none for it" in ran.stderr


def test_wrong_key_is_said_before_the_run(llama, tmp_path, rows):
    with running_proxy(llama, lambda body, before: "401") as proxy:
        proxy.faults_checks = True
        endpoints = endpoint_file(tmp_path, proxy.url, key_env="MY_KEY")
        ran = curate("check", "--endpoints", endpoints, MY_KEY=SECRET)
    assert ran.returncode == 2
    assert "the server answered 401: the key is missing, wrong, or not allowed to use the model" in ran.stderr
    assert SECRET not in ran.stderr


def test_help_needs_no_heavy_module():
    helped = "import sys\nfrom promedical_curation.cli import app\napp(['run', '--help'], standalone_mode=False)"
    ran = subprocess.run(
        [sys.executable, "-c", f"{helped}\nprint(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Run the stages of a recipe that are out of date" in ran.stdout
    assert [name for name in ("openai", "pyarrow", "sqlalchemy") if f"'{name}'" in ran.stdout] == []
