"""How good the model is on a little of dev while it learns: the same few prompts at fixed steps, one line for each.

It is a measurement beside the training: it draws nothing and changes no weight, so that a run with and without it ends
with the same weights. A step that is made again after a kill is measured again, and the later line counts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from promedical_data.files import appending
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.evaluation import DIMENSIONS, OVERALL
from promedical_data.measures.metrics import accuracy_macro, auc_pooled
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import Predictions, table
from promedical_data.selection import drawn_prompts, drawn_responses
from promedical_model.calibration import Calibration
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm.calibration import predict
from promedical_trainer.rm.recipe import Curve
from promedical_trainer.rm.scores import ModelScorer

AUC: Final = "AUC over all labels"

Point = Mapping[str, Mapping[str, float | None]]
"""Numbers by split and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What was measured after a step.

    Attributes:
        step: The step.
        measured: By split: pair accuracy, mean over prompts, by dimension and overall, and an AUC.
    """

    step: int
    measured: Point


def watched(splits: Mapping[str, Sequence[LabelledPrompt]], curve: Curve) -> dict[str, tuple[LabelledPrompt, ...]]:
    """The few prompts of each split that are measured, of those in which a criterion tells responses apart."""
    fewer = {name: [drawn_responses(each, curve.responses) for each in prompts] for name, prompts in splits.items()}
    return {
        name: drawn_prompts([each for each in prompts if _has_pair(each)], curve.prompts)
        for name, prompts in fewer.items()
    }


class LearningCurve(TrainerCallback):
    """Measures the model at fixed steps and after the last one.

    Args:
        path: The file that gets a line each time.
        splits: What is measured.
        renderer: The renderer of the model.
        every: The number of steps between two measurements.
    """

    def __init__(
        self, path: Path, splits: Mapping[str, Sequence[LabelledPrompt]], renderer: PromptRenderer, every: int
    ) -> None:
        self._path = path
        self._splits = splits
        self._renderer = renderer
        self._every = every

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **others: Any
    ) -> None:
        """Measure, if this is such a step."""
        del control, others
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=args.bf16):
            measured = {name: _measured(model, self._renderer, prompts) for name, prompts in self._splits.items()}
        with appending(self._path) as file:
            file.write(json.dumps({"step": state.global_step, "measured": measured}).encode() + b"\n")


def read_curve(path: Path) -> tuple[CurvePoint, ...]:
    """The curve in the order of steps; of a step that was made twice, the later line; empty without a file."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    rows = {row["step"]: row["measured"] for row in (json.loads(line) for line in lines if line.endswith("\n"))}
    return tuple(CurvePoint(step=step, measured=rows[step]) for step in sorted(rows))


def _has_pair(prompt: LabelledPrompt) -> bool:
    names = {name for response in prompt.responses for name in response.labels}
    return any(len({r.labels[name].met for r in prompt.responses if name in r.labels}) > 1 for name in names)


def _measured(model: TreeModel, renderer: PromptRenderer, prompts: Sequence[LabelledPrompt]) -> dict[str, float | None]:
    scorer = ModelScorer(model, renderer)
    logits = {
        (prompt.id, response, criterion): logit
        for prompt in prompts
        for response, by_criterion in scorer.logits(prompt).items()
        for criterion, logit in by_criterion.items()
    }
    return _numbers(prompts, predict(logits, prompts, Calibration()))


def _numbers(prompts: Sequence[LabelledPrompt], said: Predictions) -> dict[str, float | None]:
    found, labels = pairs(prompts, said), table(prompts, said)
    parts = {name: found if name == OVERALL else found[found["dimension"] == name] for name in DIMENSIONS}
    accuracies = {name: None if part.empty else accuracy_macro(part).value for name, part in parts.items()}
    return accuracies | {AUC: None if labels.empty else auc_pooled(labels).value}
