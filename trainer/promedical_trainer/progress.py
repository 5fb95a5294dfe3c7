"""What a person sees while a run goes on: one bar per stage; without a terminal, a line now and then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_LINES = 20
"""So many lines a stage where there is no terminal."""

Advance = Callable[[int], None]
"""Told how far a stage is in all."""


@contextmanager
def stage(console: Console, title: str, total: int) -> Iterator[Advance]:
    """Show one stage; the value is called with the number of things done."""
    if not console.is_terminal:
        yield _lines(console, title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)


def _lines(console: Console, title: str, total: int) -> Advance:
    every = max(total // _LINES, 1)

    def advance(done: int) -> None:
        if done % every == 0 or done == total:
            console.print(f"{title}: {done} of {total}")

    return advance


class StepBar(TrainerCallback):
    """Moves a bar with the optimizer's steps and shows the loss.

    Args:
        console: To print to.
        advance: Of the stage.
    """

    def __init__(self, console: Console, advance: Advance) -> None:
        self._console = console
        self._advance = advance

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """A step is done."""
        del args, control, others
        self._advance(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: Any,
    ) -> None:
        """Losses since the last log."""
        del args, control, others
        if logs and "pairwise" in logs and state.is_local_process_zero:
            parts = " ".join(f"{name} {logs[name]:.3f}" for name in ("pairwise", "pointwise", "accuracy"))
            self._console.print(f"step {state.global_step}: {parts}", highlight=False)
