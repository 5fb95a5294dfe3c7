"""When a run stops before its end: all processes vote before each step, and stop together with a checkpoint.

If the rewards of a step are mostly missing, the step is not made: its gradients are dropped, so that the checkpoint
holds the policy as it was.
"""

from collections import Counter
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from promedical_trainer.grpo.reward import Failures
from promedical_trainer.runs.distributed import gathered
from promedical_trainer.runs.progress import Deadline


class OracleLostError(Exception):
    """Too many responses of a step have no score. The message says what happened and how to resume."""


class Vote(TrainerCallback):
    """Asks every process what failed, and stops them all if it is too much, or if time is up.

    Args:
        failures: The failures of this process.
        max_unscored: The share of a step's responses that may go without a score.
        deadline: When the run must stop.
        url: The oracle's URL, for the message.
    """

    def __init__(self, failures: Failures, max_unscored: float, deadline: Deadline, url: str) -> None:
        self._failures = failures
        self._max_unscored = max_unscored
        self._deadline = deadline
        self._url = url
        self.lost: str | None = None
        self.time_is_up = False

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Vote after the gradients are computed and before the step is made."""
        del args, control
        told = gathered((self._failures, self._deadline.passed))
        self.time_is_up = any(passed for _, passed in told)
        self.lost = self._verdict([failures for failures, _ in told], state.global_step + 1)
        self._failures.reset()
        if self.lost is not None:
            others["optimizer"].zero_grad(
                set_to_none=True
            )  # a parameter without a gradient is left alone, and so is its momentum

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Keep a checkpoint and stop."""
        del args, state, others
        if self.lost is not None or self.time_is_up:
            control.should_save = control.should_training_stop = True

    def _verdict(self, told: list[Failures], step: int) -> str | None:
        hopeless = next((failures.hopeless for failures in told if failures.hopeless is not None), None)
        again = f"Check the oracle at {self._url}, then run the same command again"
        kept = f"no step was made on it, and checkpoint-{step} holds the policy as it was"
        if hopeless is not None:
            return f"step {step}: the oracle at {self._url} does not answer this run: {hopeless}; {kept}. {again}"
        codes = sum((failures.codes for failures in told), Counter[str]())
        asked = sum(failures.asked for failures in told)
        if codes.total() <= self._max_unscored * asked:
            return None
        why = ", ".join(f"{code} {count}" for code, count in codes.most_common())
        return (
            f"step {step}: {codes.total()} of {asked} responses were not scored ({why}), more than "
            f"{self._max_unscored:.0%}; {kept}. {again}"
        )
