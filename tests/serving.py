"""A real `promedical-serve` in a process of its own, on free ports, for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

READY_WITHIN_S = 240
ENDED_WITHIN_S = 60


class RunningServer:
    """Ready when made. `program` are Python's arguments; of the caller's PROMEDICAL_* only the cache reaches it.

    With `own_group` it leads a process group, so that a signal to all of it does not reach the tests.
    """

    def __init__(
        self,
        *flags: str,
        program: tuple[str, ...] = ("-m", "promedical_service"),
        own_group: bool = False,
        **environ: str,
    ) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PROMEDICAL_") or k == "PROMEDICAL_CACHE"}
        self.process = subprocess.Popen(
            [sys.executable, *program, "--rest-port=0", "--grpc-port=0", *flags],
            stderr=subprocess.PIPE,
            text=True,
            env=inherited | environ,
            process_group=0 if own_group else None,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        ports = self.wait_for("listening")
        self.rest_port, self.grpc_port, self.health_port = (ports[f"{n}_port"] for n in ("rest", "grpc", "health"))
        self.rest_url, self.grpc_target = f"http://127.0.0.1:{self.rest_port}", f"127.0.0.1:{self.grpc_port}"
        self.grpc_url = f"grpc://{self.grpc_target}"
        self.wait_for("ready")

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def rss(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def events(self, name: str) -> list[dict[str, Any]]:
        parsed = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in parsed if event["event"] == name]

    def wait_for(self, event: str) -> dict[str, Any]:
        with self._news:
            done = self._news.wait_for(lambda: self.events(event) or self._has_ended, READY_WITHIN_S)
            assert done, f"no {event!r} in time:\n{self.log}"
            assert self.events(event), f"ended without {event!r}:\n{self.log}"
        return self.events(event)[0]

    def end(self) -> int:
        """Ask it to stop; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end, and enforce it if it takes too long; the exit code."""
        try:
            code = self.process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    _has_ended = False

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(*flags: str, **options: Any) -> Iterator[RunningServer]:
    """A server for the block; it must end well."""
    server = RunningServer(*flags, **options)
    try:
        yield server
    finally:
        assert server.end() == 0, server.log
