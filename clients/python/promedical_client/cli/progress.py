"""The progress bar of every command: a bar on a terminal; elsewhere nothing, or a line now and then."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")

_LINES: Final = 20
"""How many lines a stage prints if there is no terminal."""
_EVERY_S: Final = 15.0
"""How often a job prints a line if there is no terminal."""
_LONG_S: Final = 60.0
_KNOWN_AFTER: Final = 8
"""After so many items the rate of a job is known well enough to say how long it will take."""


class Advance(Protocol):
    """Moves a bar."""

    def __call__(self, done: int, total: int | None = None, /) -> None:
        """Say how much is done; the total may become known, or change, on the way."""


@contextmanager
def progress_bar(console: Console, title: str, total: int | None = None, *, lines: bool = False) -> Iterator[Advance]:
    """Show how far one stage is.

    Args:
        console: Where to print.
        title: The name of the stage.
        total: How much there is to do, if it is known at the start.
        lines: Whether to print lines if there is no terminal, and to leave the bar when the stage is done. This is for
            runs of hours, whose output is read later; it needs the total.
    """
    if lines and not console.is_terminal:
        yield _printed(console, title, total or 1)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=not lines, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, total=None, /: bar.update(task, completed=done, total=total)


def tracked(console: Console, title: str, items: Sequence[Item]) -> Iterator[Item]:
    """The items one by one, while a bar shows how far they are."""
    with progress_bar(console, title, len(items)) as advance:
        for done, item in enumerate(items, 1):
            yield item
            advance(done)


def _printed(console: Console, title: str, total: int) -> Advance:
    every = max(total // _LINES, 1)

    def advance(done: int, _: int | None = None, /) -> None:
        if done % every == 0 or done == total:
            console.print(f"{title}: {done} of {total}")

    return advance


class JobProgress:
    """How far a job is: n of N, its rate, and the time that is left by what the other items cost.

    On a terminal this is a bar, elsewhere a line now and then. A job that will take long is announced as such.

    Args:
        console: Where to print.
        title: The name of the job.
        total: How many items it has, with those that are done already.
        costs: What each item costs that is still to be done, by its name.
    """

    def __init__(self, console: Console, title: str, *, total: int, costs: Mapping[str, int]) -> None:
        self._console, self._title, self._total = console, title, total
        self._left = dict(costs)
        self._cost = sum(costs.values())
        self._begun = self._said_s = time.monotonic()
        self._items = len(costs)
        self._is_announced = False
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(title, total=total, completed=total - len(costs), pace="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, names: Iterable[str]) -> None:
        """These items are done."""
        for name in names:
            self._left.pop(name, None)
        pace = self.pace(time.monotonic() - self._begun)
        self._bar.update(self._task, completed=self._total - len(self._left), pace=pace)
        self._announce()
        if not self._console.is_terminal and time.monotonic() - self._said_s >= _EVERY_S:
            self._said_s = time.monotonic()
            self._print(f"{self._title}: {self._total - len(self._left):,} of {self._total:,} items, {pace}")

    def pace(self, seconds: float) -> str:
        """The rate after so many seconds, and how long the rest will take."""
        done = self._items - len(self._left)
        rate = done / max(seconds, 0.001)
        return f"{rate:.3g} items/s, about {in_words(self._left_s(seconds))} left"

    def _left_s(self, seconds: float) -> float:
        left = sum(self._left.values())
        return seconds * left / max(self._cost - left, 1)

    def _announce(self) -> None:
        """Say once how long a long job will take."""
        seconds = time.monotonic() - self._begun
        if self._is_announced or self._items - len(self._left) < _KNOWN_AFTER or self._left_s(seconds) < _LONG_S:
            return
        self._is_announced = True
        self._print(
            f"the {len(self._left):,} items that are left take about {in_words(self._left_s(seconds))}; answers are "
            "kept as they come, so you can stop with Ctrl-C and resume with the same command"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def in_words(seconds: float) -> str:
    """A length of time, as exactly as people want to know it."""
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1.5:  # noqa: PLR2004 - from here on minutes say enough
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if hours < 1.5 else f"{hours:.1f} h"  # noqa: PLR2004 - the same
