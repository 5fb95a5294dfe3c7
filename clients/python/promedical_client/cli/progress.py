"""The progress bar of every command: a bar on a terminal; elsewhere nothing, or a line now and then."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")

_LINES: Final = 20
"""How many lines a stage prints if there is no terminal."""


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
