"""What a person sees of a run's steps, and when the run must stop."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from promedical_client.cli.progress import Advance
from promedical_trainer.runs.distributed import gathered


class TimeUpError(Exception):
    """The time for a run is over; what it has done is kept.

    Args:
        title: The stage that is not done.
        done: How much of it is done.
        total: How much there is to do.
    """

    def __init__(self, title: str, done: int, total: int) -> None:
        super().__init__(f"time is up at {title}, {done} of {total}; run the same command again to resume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a run must stop, on the monotonic clock in seconds; None: never."""

    at: float | None = None

    @classmethod
    def after(cls, minutes: float | None) -> "Deadline":
        """The deadline in this many minutes."""
        return cls(at=None if minutes is None else time.monotonic() + 60 * minutes)

    @property
    def passed(self) -> bool:
        """Whether the deadline has passed."""
        return self.at is not None and time.monotonic() >= self.at

    def check(self, title: str, done: int, total: int) -> None:
        """End a stage that is not done.

        Raises:
            TimeUpError: Says how far the stage is.
        """
        if self.passed and done < total:
            raise TimeUpError(title, done, total)


class StepBar(TrainerCallback):
    """Moves a bar with the optimizer's steps, shows what is logged, and stops with a checkpoint when time is up.

    Args:
        console: Where to print.
        advance: Moves the bar of the stage.
        deadline: When the run must stop; None: something else stops it.
        shown: Names of the metrics to show; a log without the first is not of a step.
    """

    def __init__(
        self,
        console: Console,
        advance: Advance,
        deadline: Deadline | None = None,
        *,
        shown: Sequence[str] = ("pairwise", "pointwise", "accuracy"),
    ) -> None:
        self._console = console
        self._advance = advance
        self._deadline = deadline or Deadline()
        self._shown = shown

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Move the bar after each step."""
        del args, others
        self._advance(state.global_step)
        if self._deadline.at is not None and any(gathered(self._deadline.passed)):  # clocks differ; all stop together
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: Any,
    ) -> None:
        """Show the metrics of a step."""
        del args, control, others
        if logs and self._shown[0] in logs and state.is_local_process_zero:
            parts = " ".join(f"{name} {_number(logs.get(name))}" for name in self._shown)
            self._console.print(f"step {state.global_step}: {parts}", highlight=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
