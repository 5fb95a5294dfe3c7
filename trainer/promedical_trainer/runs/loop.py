"""What the training loops of all kinds of models have in common, as transformers names it."""

from pathlib import Path
from typing import Any, Protocol

from promedical_trainer.runs.recipe_files import Precision


class Loop(Protocol):
    """The settings of a recipe that every loop has."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def scheduler(self) -> str: ...
    @property
    def warmup_share(self) -> float: ...
    @property
    def max_grad_norm(self) -> float: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def save_every(self) -> int: ...
    @property
    def seed(self) -> int: ...


def loop_arguments(loop: Loop, folder: Path) -> dict[str, Any]:
    """Arguments of transformers' `TrainingArguments`; every step is logged, and a loss that is no number is seen."""
    return {
        "output_dir": str(folder),
        "learning_rate": loop.learning_rate,
        "lr_scheduler_type": loop.scheduler,
        "warmup_steps": loop.warmup_share,
        "max_grad_norm": loop.max_grad_norm,
        "bf16": loop.precision == "bf16",
        "seed": loop.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": loop.save_every,
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
