"""Records leave through a bounded queue and a thread of their own, so that an audit never slows or fails scoring.

What finds no room, or cannot be written, is dropped and counted.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol, Self

from promedical_service.audit.sinks import Sink
from promedical_service.telemetry.logs import describe_error, get_logger

MOST_COST: Final = 2**18
"""As many verdicts as the largest answer has."""

Fate = Literal["written", "dropped"]


class Recorded(Protocol):
    """One answered request, as it can be recorded."""

    @property
    def count(self) -> int:
        """How many records it makes."""

    @property
    def cost(self) -> int:
        """About how much it holds, in verdicts."""

    def without_texts(self) -> Self:
        """The same for records without hashes."""

    def lines(self, salt: bytes | None) -> Iterable[bytes]:
        """The records, each in a line."""


class AuditLog:
    """Writes records in the order of their answers.

    Args:
        sink: Where they go; it is closed at the end.
        salt: The secret of hashes of texts; None to write no hashes.
        on_fate: Told how many records were written or dropped; it must not block.
        most_cost: How much may wait; a single request may be larger.
        kind: What the records are called in the log.
    """

    def __init__(
        self,
        sink: Sink,
        salt: bytes | None,
        on_fate: Callable[[Fate, int], None] = lambda *_: None,
        most_cost: int = MOST_COST,
        kind: str = "audit",
    ) -> None:
        self._sink = sink
        self._salt = salt
        self._on_fate = on_fate
        self._most_cost = most_cost
        self._cost = 0
        self._lock = threading.Lock()
        self._failing = False
        self._kind = kind
        self._log = get_logger(f"promedical.{kind}")
        self._waiting: queue.SimpleQueue[tuple[Recorded, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=kind, daemon=True)
        self._thread.start()

    def put(self, audited: Recorded) -> None:
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
                for line in audited.lines(self._salt):
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
            self._log.error(f"{self._kind} records cannot be written", reason=reason, **describe_error(error))
        self._failing = True
