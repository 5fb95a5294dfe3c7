"""How far a stage is, and what its calls do: rate, calls in flight and their limit, 429s, money, time left.

On a terminal this is a bar; elsewhere a line every quarter of a minute, so that a run that waits is not taken for one
that hangs.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from promedical_curation.asking.asker import Asker

LINE_EVERY_S: Final = 15.0
_REFRESHES_PER_S: Final = 4


class StageProgress:
    """How many rows of a stage are done. `asker` is there while it asks."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0
        self.asker: Asker | None = None
        self.moved: Callable[[int], object] = lambda _: None
        self._started = time.monotonic()

    def advance(self, rows: int) -> None:
        """More rows are done."""
        self.done += rows
        self.moved(self.done)

    @property
    def calls(self) -> str:
        """What the calls do, in words."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        words = [f"{self.done / seconds:.1f} rows/s"]
        if self.asker is not None:
            words = [f"{(self.asker.tally.answered + self.asker.tally.unanswered) / seconds:.1f} replies/s"]
            fetcher = self.asker.fetcher
            paces = fetcher.paces.values()
            limit = sum(int(pace.limit.now) for pace in paces)
            words.append(f"{sum(pace.in_flight for pace in paces)} of {limit} in flight")
            words.append(f"{self.asker.tally.from_store} from the store")
            words.append(f"{sum(pace.turned_away for pace in paces)} x 429")
            words.append(f"${fetcher.spent:.2f}")
        return ", ".join(words)

    @property
    def left(self) -> str:
        """The time left, in words."""
        if not self.done or self.total is None:
            return "time left unknown"
        seconds = (time.monotonic() - self._started) / self.done * (self.total - self.done)
        return f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"  # noqa: PLR2004


@contextmanager
def stage_progress(console: Console, title: str, total: int | None) -> Iterator[StageProgress]:
    """Show how far a stage is for the length of the block."""
    progress = StageProgress(total)
    shown = _bar if console.is_terminal else _lines
    with shown(console, title, progress):
        yield progress


@contextmanager
def _bar(console: Console, title: str, progress: StageProgress) -> Iterator[None]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Words(progress))
    with Progress(*columns, console=console, transient=True, refresh_per_second=_REFRESHES_PER_S) as bar:
        task = bar.add_task(title, total=progress.total)
        progress.moved = lambda done: bar.update(task, completed=done)
        yield


class _Words(ProgressColumn):
    """Reads the progress when the bar is drawn."""

    def __init__(self, progress: StageProgress) -> None:
        super().__init__()
        self._progress = progress

    def render(self, _: Task) -> Text:
        return Text(f"{self._progress.calls}, {self._progress.left}")


@contextmanager
def _lines(console: Console, title: str, progress: StageProgress) -> Iterator[None]:
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(LINE_EVERY_S):
            total = "" if progress.total is None else f" of {progress.total:,}"
            line = f"{title}: {progress.done:,}{total} rows, {progress.calls}, {progress.left}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        ended.set()
        speaker.join()
