"""transformers' Trainer over steps of tree-packed passes: the loop, optimizer, precision, ranks and resume are its own.

One item of the data is one optimizer step, already cut into this rank's passes, so that accumulation is by
tokens and not by a fixed count. What is added to the library's loop: several passes per step, and checkpoints
that hold only what is trained.
"""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainingArguments
from transformers.utils import SAFE_WEIGHTS_NAME

from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm.encoding import EncodedPrompts
from promedical_trainer.rm.expansion import Group
from promedical_trainer.rm.loss_weights import LossWeights
from promedical_trainer.rm.objective import eci_loss
from promedical_trainer.rm.passes import Pass, step_passes
from promedical_trainer.runs.recipe_files import RecipeError


class StepData(Dataset[list[Pass]]):
    """Optimizer steps by number, as the passes of this process.

    Args:
        steps: The groups of each step.
        encoded: The prompts that the groups are of.
        weights: The weights of the loss.
        tokens_per_pass: The most tokens of a pass.
        rank: The number of this process.
        world_size: The number of processes.
    """

    def __init__(
        self,
        steps: Sequence[Sequence[Group]],
        encoded: EncodedPrompts,
        weights: LossWeights,
        *,
        tokens_per_pass: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._steps = steps
        self._encoded = encoded
        self._weights = weights
        self._tokens_per_pass = tokens_per_pass
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> list[Pass]:
        passes = step_passes(
            self._steps[index],
            self._encoded,
            self._weights,
            tokens_per_pass=self._tokens_per_pass,
            world_size=self._world_size,
        )
        return passes[self._rank]


class EciTrainer(Trainer):
    """Trains a `TreeModel` whose trainable parameters require gradients.

    Args:
        model: The model, on any device: the library places it.
        args: Arguments of transformers; accumulation, batch size and sharding of data must stay at their defaults.
        steps: The steps to train.
        head_learning_rate: The score head's learning rate; the head has no weight decay.
        **others: Further arguments of transformers' trainer, such as callbacks.
    """

    def __init__(
        self,
        model: TreeModel,
        args: TrainingArguments,
        steps: StepData,
        *,
        head_learning_rate: float,
        **others: Any,
    ) -> None:
        super().__init__(model=model, args=args, train_dataset=steps, **others)
        self.model: Any = self.model
        self._steps = steps
        self._head_learning_rate = head_learning_rate
        self._sums: dict[str, torch.Tensor] = {}
        self._counted = 0
        self._started = time.monotonic()

    def get_train_dataloader(self) -> DataLoader[list[Pass]]:
        """Steps in order; each rank takes its own passes of every step, so nothing is sharded here."""
        return DataLoader(self._steps, batch_size=1, shuffle=False, collate_fn=itemgetter(0))

    def training_step(
        self, model: torch.nn.Module, inputs: Any, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Forward and backward of all passes of one step; gradients are exchanged once, with the last pass."""
        del num_items_in_batch
        model.train()
        total = torch.zeros((), device=self.args.device)
        for index, pass_ in enumerate(inputs):
            last = index == len(inputs) - 1
            self.accelerator.gradient_state._set_sync_gradients(last)  # noqa: SLF001 - as the library's loop does
            with nullcontext() if last else self.accelerator.no_sync(model):
                total += self._backward(model, pass_)
        self._counted += 1
        return total

    def _backward(self, model: torch.nn.Module, pass_: Pass) -> torch.Tensor:
        with self.compute_loss_context_manager():
            logits = model(pass_.trees)
        loss = eci_loss(logits, pass_.targets.to(logits.device))
        # Ranks average their gradients, and each has only its share of the step's sum.
        self.accelerator.backward(loss.total * self.accelerator.num_processes)
        for name in ("pairwise", "pointwise", "accuracy"):
            value = getattr(loss, name)
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        total: torch.Tensor = loss.total.detach() * self.accelerator.num_processes
        return total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the parts of the loss since the last log, summed over ranks, and the time spent in all sessions.

        Raises:
            RecipeError: The loss or the gradient is not finite; what comes after that could not be calibrated.
        """
        if self._counted:
            logs["seconds"] = self._earlier_seconds() + time.monotonic() - self._started
            for name, value in self._sums.items():
                whole = self.accelerator.reduce(value, reduction="sum") if "loss" in logs else value
                logs[name] = whole.item() / self._counted
            self._sums, self._counted = {}, 0
        super().log(logs, start_time)
        self._check_finite(logs)

    def _check_finite(self, logs: dict[str, float]) -> None:
        """Every rank has the loss and the norm of all, so that they stop together."""
        found = {name: float(logs.get(name, 0.0)) for name in ("loss", "grad_norm")}
        if not all(map(math.isfinite, found.values())):
            said = ", ".join(f"{name} is {value}" for name, value in found.items())
            raise RecipeError(
                f"step {self.state.global_step}: {said}; lower optimisation.learning_rate, which is "
                f"{self.args.learning_rate:g}, or raise warmup_share, and give another --output"
            )

    def _earlier_seconds(self) -> float:
        """Spent before this process resumed the run."""
        before = [entry for entry in self.state.log_history if entry["step"] <= self._initial_global_step]
        return float(max((entry.get("seconds", 0.0) for entry in before), default=0.0))

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW, with the head in a group of its own."""
        if self.optimizer is None:
            named = [(name, each) for name, each in (model or self.model).named_parameters() if each.requires_grad]
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            groups = [
                {
                    "params": [each for name, each in named if not name.endswith("head")],
                    "weight_decay": self.args.weight_decay,
                },
                {
                    "params": [each for name, each in named if name.endswith("head")],
                    "lr": self._head_learning_rate,
                    "weight_decay": 0.0,
                },
            ]
            self.optimizer = kind([group for group in groups if group["params"]], **options)
        return self.optimizer

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        trained = load_file(Path(resume_from_checkpoint) / SAFE_WEIGHTS_NAME)
        unfit = set(trained) ^ self._trainable()
        if unfit:
            raise ValueError(f"{resume_from_checkpoint}: holds other weights than are trained, such as {min(unfit)}")
        self.model.load_state_dict(trained, strict=False)

    def _trainable(self) -> set[str]:
        return {name for name, each in self.model.named_parameters() if each.requires_grad}

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        trainable = self._trainable()
        whole = self.model.state_dict() if state_dict is None else state_dict
        super()._save(output_dir, {name: value.contiguous() for name, value in whole.items() if name in trainable})
