"""Log lines leave through a bounded queue and a thread of their own.

Whoever logs never waits for the reader of the log: a pipe that nobody reads would stop the event loop, and with it
health and signals. Lines for which there is no room are dropped and counted.
"""

import contextlib
import logging
import os
import queue
import select
import threading
import time
from typing import Final

_MAX_LINES: Final = 10_000
_FLUSH_S: Final = 1.0


class QueuedHandler(logging.Handler):
    """Formats where it is called and writes to a file descriptor elsewhere.

    Attributes:
        dropped: Lines that were not written, so far.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._told = 0
        self._start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a line."""
        if self._process != os.getpid():  # a fork has no threads
            self._start()
        try:
            self._lines.put_nowait(self._line(record))
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Wait a moment for what was handed over."""
        ends = time.monotonic() + _FLUSH_S
        while self._process == os.getpid() and self._lines.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.002)

    def _start(self) -> None:
        self._process = os.getpid()
        self._lines: queue.Queue[bytes] = queue.Queue(_MAX_LINES)
        threading.Thread(target=self._write_all, args=(self._lines,), name="log", daemon=True).start()

    def _write_all(self, lines: "queue.Queue[bytes]") -> None:
        while True:
            line = lines.get()
            try:
                write_all(self._descriptor, line)
                self._tell()
            except OSError:
                self.dropped += 1
            finally:
                lines.task_done()

    def _tell(self) -> None:
        """Say how many lines are missing; not through the queue, where that could be dropped too."""
        missing = self.dropped - self._told
        if missing:
            message = f"{missing} log lines were dropped: nobody read them"
            record = logging.LogRecord("promedical.log", logging.WARNING, __file__, 0, message, None, None)
            write_all(self._descriptor, self._line(record))
            self._told += missing

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")


def write_all(descriptor: int, line: bytes) -> None:
    """Not through Python's own streams: a thread that waits inside of them holds up the end of the process."""
    while line:
        with contextlib.suppress(BlockingIOError):
            line = line[os.write(descriptor, line) :]
            continue
        select.select([], [descriptor], [])
