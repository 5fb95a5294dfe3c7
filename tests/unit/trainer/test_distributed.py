"""What processes of a training run do together: start one to a GPU, and stop by one clock."""

import time
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from transformers import TrainerControl, TrainerState, TrainingArguments

from promedical_trainer.runs import distributed as ranks
from promedical_trainer.runs import progress
from promedical_trainer.runs.progress import Deadline, StepBar
from promedical_trainer.runs.recipe_files import RecipeError


@pytest.mark.parametrize(("gpus", "processes", "refused"), [(0, 1, False), (1, 1, False), (2, 1, True), (2, 2, False)])
def test_one_process_for_several_gpus_is_told_how_to_start(monkeypatch, gpus, processes, refused):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(ranks, "processes", lambda: SimpleNamespace(num_processes=processes))
    if not refused:
        ranks.check_launched()
        return
    with pytest.raises(RecipeError, match="one process sees 2 GPUs; use accelerate launch"):
        ranks.check_launched()


@pytest.mark.parametrize(("mine", "others", "stops"), [(-1, False, True), (60, True, True), (60, False, False)])
def test_time_is_up_for_all_where_it_is_for_one(monkeypatch, tmp_path, mine, others, stops):
    monkeypatch.setattr(progress, "gathered", lambda passed: [passed, others])
    bar = StepBar(Console(quiet=True), lambda _: None, Deadline(at=time.monotonic() + mine))
    control = TrainerControl()

    bar.on_step_end(TrainingArguments(output_dir=str(tmp_path)), TrainerState(), control)

    assert control.should_training_stop is control.should_save is stops
