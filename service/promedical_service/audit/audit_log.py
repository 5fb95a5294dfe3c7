"""Records leave through a bounded queue and a thread of their own, so that an audit never slows or fails scoring.

What finds no room, or cannot be written, is dropped and counted.
"""

import queue
import threading
from collections.abc import Callable
from typing import Final, Literal

from promedical_service.audit.records import Audited, lines
from promedical_service.audit.sinks import Sink
from promedical_service.telemetry.logs import describe_error, get_logger

MOST_COST: Final = 2**18
"""As many verdicts as the largest answer has."""

Fate = Literal["written", "dropped"]


class AuditLog:
    """Writes records in the order of their answers.

    Args:
        sink: Where they go; it is closed at the end.
        salt: The secret of hashes of texts; None to write no hashes.
        on_fate: Told how many records were written or dropped; it must not block.
        most_cost: How much may wait; a single request may be larger.
    """

    def __init__(
        self,
        sink: Sink,
        salt: bytes | None,
        on_fate: Callable[[Fate, int], None] = lambda *_: None,
        most_cost: int = MOST_COST,
    ) -> None:
        self._sink = sink
        self._salt = salt
        self._on_fate = on_fate
        self._most_cost = most_cost
        self._cost = 0
        self._lock = threading.Lock()
        self._failing = False
        self._log = get_logger("promedical.audit")
        self._waiting: queue.SimpleQueue[tuple[Audited, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def put(self, audited: Audited) -> None:
        """Hand over an answered request; this neither waits nor fails."""
        kept = audited.without_texts() if self._salt is None else audited
        cost = kept.cost
        with self._lock:
            full = self._cost > 0 and self._cost + cost > self._most_cost
            self._cost += 0 if full else cost
        if full:
            self._on_fate("dropped", audited.count)
        else:
            self._waiting.put((kept, cost))

    def close(self, timeout_s: float) -> None:
        """Write what waits, if that is possible in the time; nothing may be handed over any more."""
        self._waiting.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            (audited, cost), written = waiting, 0
            try:
                for line in lines(audited, self._salt):
                    self._sink.write(line)
                    written += 1
                self._failing = False
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it is
                self._say(error)
            with self._lock:
                self._cost -= cost
            self._on_fate("written", written)
            self._on_fate("dropped", audited.count - written)
        self._sink.close()

    def _say(self, error: Exception) -> None:
        """Once until it works again: the metric counts the rest."""
        if not self._failing:
            reason = error.strerror if isinstance(error, OSError) else None
            self._log.error("audit records cannot be written", reason=reason, **describe_error(error))
        self._failing = True
