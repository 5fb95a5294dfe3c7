"""The service as a child process on free ports, for the scripts of `make`. Its log is read but not shown."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

SERVE: Final = (sys.executable, "-m", "promedical_service")
PORTS_AND_LOG: Final = ("--rest-port", "0", "--grpc-port", "0", "--log-format", "json", "--log-level", "info")
KEPT_SETTINGS: Final = ("PROMEDICAL_CACHE", "PROMEDICAL_BAKED", "PROMEDICAL_OFFLINE")
"""What is kept of the caller's environment: where the model is. Keys, TLS and limits belong to another service."""
POLL_S: Final = 0.1
STOP_S: Final = 60
LAST_LINES: Final = 20
COMPLAINT: Final = "promedical-serve: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service that is ready."""

    rest_url: str
    grpc_url: str


@contextmanager
def running_service(console: Console, flags: Sequence[str]) -> Iterator[Service]:
    """`promedical-serve` on free ports, until the block ends.

    Raises:
        SystemExit: The service did not start; the message says why.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PROMEDICAL_") or k in KEPT_SETTINGS}
    with TemporaryDirectory() as folder:
        log = Path(folder) / "service.log"  # not a pipe: a full pipe would stop a service that runs for long
        with log.open("wb") as stream:
            process = subprocess.Popen([*SERVE, *PORTS_AND_LOG, *flags], stdout=stream, stderr=stream, env=environ)
        try:
            with busy(console, "Starting the service; the first start fetches and converts the model"):
                service = _until_ready(process, log)
            yield service
        finally:
            process.terminate()
            process.wait(timeout=STOP_S)


@contextmanager
def busy(console: Console, what: str) -> Iterator[None]:
    """Show that something takes time: a clock in a terminal, one line elsewhere."""
    if not console.is_terminal:
        console.print(f"{what} ...")
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def _until_ready(process: "subprocess.Popen[bytes]", log: Path) -> Service:
    while process.poll() is None:
        events = _events(_lines(log))
        if any(event["event"] == "ready" for event in events):
            ports = next(event for event in events if event["event"] == "listening")
            return Service(
                rest_url=f"http://127.0.0.1:{ports['rest_port']}", grpc_url=f"grpc://127.0.0.1:{ports['grpc_port']}"
            )
        time.sleep(POLL_S)
    raise SystemExit("\n".join(("the service did not start:", *_reasons(_lines(log)))))


def _lines(log: Path) -> list[str]:
    """The complete lines; the last one may be incomplete."""
    return log.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0].splitlines()


def _events(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith("{")]


def _reasons(lines: Sequence[str]) -> Sequence[str]:
    """What the service said to people; if it said nothing, the end of its log."""
    complaints = [line.removeprefix(COMPLAINT) for line in lines if line.startswith(COMPLAINT)]
    errors = [f"{e['event']}: {e.get('reason', '')}" for e in _events(lines) if e["level"] in ("error", "critical")]
    return [*complaints, *errors] or lines[-LAST_LINES:]
