"""What waits for the candidate: a queue with a bound in bytes, filled by the event loop and emptied by threads."""

import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from promedical.messages import ItemOutcome, ModelRef, ScoreItem, ScoreRequest

_BYTES_PER_VERDICT: Final = 512
"""About what one verdict takes, with its numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request and what the caller heard."""

    request: ScoreRequest
    outcomes: tuple[ItemOutcome, ...]
    model: ModelRef
    caller: str
    request_ids: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many responses it has."""
        return sum(len(item.responses) for item in self.request.items)

    @property
    def bytes(self) -> int:
        """About the memory that it holds."""
        scored = (each.scores for item in self.outcomes if item.result for each in item.result.responses)
        verdicts = sum(len(scores.criteria) for scores in scored if scores)
        return sum(map(_bytes, self.request.items)) + _BYTES_PER_VERDICT * (self.count + verdicts)


class Waiting:
    """A queue that never makes whoever fills it wait."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0
        self._queue: deque[tuple[Answered, int]] = deque()
        self._news = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, answered: Answered) -> bool:
        """Let it wait; False if there is no room."""
        size = answered.bytes
        with self._news:
            if self._closed or self._held + size > self._most:
                return False
            self._held += size
            self._queue.append((answered, size))
            self._news.notify()
        return True

    def get(self) -> Answered | None:
        """What has waited longest, as soon as something waits; None when the queue is closed."""
        with self._news:
            self._news.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return None
            answered, size = self._queue.popleft()
            self._held -= size
            return answered

    def shed(self) -> int:
        """Drop everything that waits; how much it was."""
        with self._news:
            count, self._held = len(self._queue), 0
            self._queue.clear()
        return count

    def close(self) -> int:
        """Let nothing wait any more, and drop what does; how much it was."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        return self.shed()


def _bytes(item: ScoreItem) -> int:
    turns = (item.prompt,) if isinstance(item.prompt, str) else tuple(turn.content for turn in item.prompt)
    criteria = item.rubric.criteria if item.rubric else ()
    return sum(map(sys.getsizeof, (*turns, *item.responses, *(each.text for each in criteria))))
