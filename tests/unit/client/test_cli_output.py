"""Where the results of commands go: UTF-8, and no traceback and no loss if they cannot be written."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from promedical_client.cli.output import OutputError, check_standard_output, printed, results_file
from promedical_data.errors import DataError

MAIN = "from promedical_client.cli.app import main; main()"
NAME = "ä1日本"
FULL = Path("/dev/full")
COMMANDS = {
    "score": ("score", "{items}"),
    "score-jsonl": ("score", "{items}", "--format", "jsonl"),
    "rank": ("rank", "--prompt", "How much?", "--response", "4 g.", "--rubric-id", "general-medical"),
    "rubrics": ("rubrics",),
    "model": ("model", "--format", "jsonl"),
    "help": ("--help",),
}

needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
each_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())


@pytest.fixture
def items(tmp_path):
    file = tmp_path / "items.jsonl"
    rows = [
        {"id": name, "prompt": "Is it safe?", "responses": ["No."], "rubric_id": "general-medical"}
        for name in (NAME, "b")
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.fixture
def start(items, fake_server, tmp_path):
    """Start a command; its results go where `stdout` says, and its temporary files into a folder of the test."""

    def started(command, stdout, **environ):
        arguments = [part.format(items=items) for part in command]
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("PROMEDICAL_", "PYTHONIOENCODING", "LC_"))
        }
        settings = {"PROMEDICAL_URL": fake_server.grpc_url, "TMPDIR": str(tmp_path), "TERM": "dumb"}
        return subprocess.Popen(
            [sys.executable, "-c", MAIN, *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=inherited | settings | environ,
        )

    return started


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
    "c": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("environ", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("command", [COMMANDS["score"], COMMANDS["score-jsonl"]], ids=["table", "jsonl"])
def test_results_are_in_utf8_wherever_they_go(start, environ, command):
    with start(command, subprocess.PIPE, **environ) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert NAME in out.decode()


@needs_full
@each_command
def test_full_disk_is_one_line_and_no_success(start, command):
    with FULL.open("wb") as full, start(command, full) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert b"No space left on device" in err
    assert err.count(b"\n") == 1


OTHER_PROGRAMS = {
    "promedical-serve": "promedical_service.__main__",
    "promedical-train": "promedical_trainer.cli",
    "promedical-bench": "promedical_bench.cli",
    "promedical-curate": "promedical_curation.cli",
    "promedical-data": "promedical_client.cli.data",
}


@needs_full
@pytest.mark.parametrize(
    ("name", "option"), [*((name, "--help") for name in OTHER_PROGRAMS), ("promedical-serve", "--version")]
)
def test_full_disk_is_one_line_and_no_success_of_any_program(name, option):
    main = f"from {OTHER_PROGRAMS[name]} import main; main()"
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", main, option], stdout=full, stderr=subprocess.PIPE, check=False, timeout=120
        )
    assert done.returncode == 2
    assert done.stderr.decode() == f"{name}: the output cannot be written: No space left on device\n"


@needs_full
def test_full_disk_is_found_before_anything_is_scored(start, fake_server):
    with FULL.open("wb") as full, start(COMMANDS["score"], full, PROMEDICAL_URL="grpc://127.0.0.1:1") as process:
        _, err = process.communicate(timeout=120)
    assert b"No space left" in err  # and nothing about a service that is not there


@each_command
def test_reader_that_is_gone_is_no_traceback(start, command):
    process = start(command, subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(120) not in {0, -13}
    process.stderr.close()
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


def test_standard_output_that_is_closed_or_read_only_is_found_before_anything_is_scored(items, tmp_path):
    environ = os.environ | {"PROMEDICAL_URL": "grpc://127.0.0.1:1"}
    for redirection, reason in ((">&-", "is closed"), (f"1<{items}", "Bad file descriptor")):
        command = f'exec "{sys.executable}" -c "{MAIN}" score {items} {redirection}'
        done = subprocess.run(["bash", "-c", command], env=environ, stderr=subprocess.PIPE, check=False, timeout=120)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert reason.encode() in done.stderr


@needs_full
def test_results_that_do_not_fit_into_their_file_are_kept_in_another(start, tmp_path):
    with start((*COMMANDS["score"], "--out", str(FULL)), subprocess.PIPE) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    (kept,) = tmp_path.glob("promedical-*.jsonl")
    assert f"/dev/full: cannot be written: No space left on device; the results are in {kept}\n".encode() in err
    assert [json.loads(line)["id"] for line in kept.read_text(encoding="utf-8").splitlines()] == [NAME, "b"]
    assert kept.stat().st_mode & 0o077 == 0


def test_file_that_may_not_grow_is_named_and_results_are_said_to_be_lost(start, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "out").open("wb") as out:
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
        try:
            process = start(COMMANDS["score-jsonl"], out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert b"standard output: cannot be written: File too large; the results are lost" in err
    assert b"Traceback" not in err


@needs_full
def test_results_that_are_printed_are_kept_if_the_disk_fills_up_meanwhile(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with FULL.open("w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        with pytest.raises(OutputError, match=r"No space left on device; the results are in .*jsonl"), printed(["a"]):
            typer.echo("a" * 100_000)
        typer.echo("nothing more is written, and nothing fails")
    (kept,) = tmp_path.glob("promedical-*.jsonl")
    assert kept.read_text() == '["a"]\n'


def test_error_before_there_are_results_is_left_as_it_is():
    with pytest.raises(DataError, match=r"^no such file$"), results_file(None):
        raise DataError("no such file")


def test_output_that_is_no_file_of_the_system_is_taken(capsys):
    check_standard_output()
    with printed():
        typer.echo("shown")
    assert capsys.readouterr().out == "shown\n"
