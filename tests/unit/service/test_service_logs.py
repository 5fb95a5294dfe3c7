"""Every line of the log is one event, also what libraries say by Python's warnings."""

import json
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
