"""Every line of the log is one event, also what libraries say by Python's warnings."""

import json
import os
import pty
import subprocess
import sys

WARNS = """
import warnings
from promedical_service.telemetry.logs import configure_logs, get_logger
configure_logs(level="info", log_format="json")
get_logger("test").info("before")
warnings.warn("a library is old", FutureWarning)
"""


def test_a_warning_of_a_library_is_a_line_of_the_log_like_any_other() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", WARNS], capture_output=True, text=True, check=True, timeout=60
    )

    before, warned = (json.loads(line) for line in done.stderr.splitlines())
    assert before["event"] == "before"
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")
    assert "FutureWarning: a library is old" in warned["event"]


NOBODY_READS = """
import time
from promedical_service.telemetry import queued_handler
queued_handler._MAX_LINES = 100
from promedical_service.telemetry.logs import configure_logs, dropped_lines, get_logger
configure_logs(level="info", log_format="json")
began = time.monotonic()
for number in range(2000):
    get_logger("test").info("x" * 1000, number=number)
print(time.monotonic() - began, dropped_lines(), flush=True)
input()
time.sleep(1)  # the reader reads
get_logger("test").info("last")
"""


def test_logs_never_wait_for_a_reader_and_say_what_was_dropped() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", NOBODY_READS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        seconds, dropped = process.stdout.readline().split()
        assert float(seconds) < 20
        assert int(dropped) > 1000
        _, log = process.communicate("\n", timeout=60)
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["number"] for line in lines if "number" in line][:50] == list(range(50))
    told = [
        line["event"].split() for line in lines if line["event"].endswith("log lines were dropped: nobody read them")
    ]
    assert sum(int(words[0]) for words in told) == int(dropped)
    assert sum("number" in line for line in lines) + int(dropped) == 2000
    assert process.returncode == 0


def test_logs_end_with_the_process_though_nobody_reads_them() -> None:
    script = NOBODY_READS.replace("input()", "raise SystemExit(5)")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.wait(60) == 5


def test_logs_of_a_forked_process_are_written_too() -> None:
    script = """
import os
from promedical_service.telemetry.logs import configure_logs, flush_logs, get_logger
configure_logs(level="info", log_format="json")
child = os.fork()
get_logger("test").info("child" if child == 0 else "parent")
if child == 0:
    flush_logs()
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    # Python 3.12 adds a warning of its own about forks.
    assert {json.loads(line)["event"] for line in done.stderr.splitlines()} >= {"child", "parent"}


AUTO = """
import os
from promedical_service.telemetry.logs import configure_logs, get_logger
configure_logs(level="info", log_format="auto")
get_logger("test").info("hello", bars=os.environ.get("TQDM_DISABLE"))
"""


def without_bars_set() -> dict[str, str]:
    """The environment of these tests, without what one that ran before may have set."""
    return {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}


def test_auto_format_is_json_without_bars_where_nobody_sits_at_a_terminal() -> None:
    command, env = [sys.executable, "-c", AUTO], without_bars_set()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env)

    line = json.loads(done.stderr)
    assert (line["event"], line["bars"]) == ("hello", "1")


def test_auto_format_is_text_with_bars_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", AUTO], stderr=theirs, env=without_bars_set()) as process:
        os.close(theirs)
        said = os.read(ours, 4096).decode()
        assert process.wait(60) == 0
    os.close(ours)

    assert "hello" in said
    assert "None" in said
    assert "{" not in said
