"""Checkpoints as transformers writes them: which one a run resumes from, how far it is, and the model in it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from promedical_data.files import whole_folder
from promedical_trainer.runs.recipe_files import RecipeError

_OF_MODEL: Final = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model"})
"""Weights, configuration and tokenizer; the rest, and the trainer's state, is for resuming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointState:
    """How far a run is."""

    steps: int
    seconds: float


def checkpoint_state(folder: Path) -> CheckpointState:
    """How far the newest checkpoint is; zero if there is none."""
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        return CheckpointState(steps=0, seconds=0.0)
    state = TrainerState.load_from_json(str(Path(checkpoint) / TRAINER_STATE_NAME))
    return CheckpointState(
        steps=state.global_step, seconds=max((entry.get("seconds", 0.0) for entry in state.log_history), default=0.0)
    )


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to the end; a kill may have cut the one after it off."""
    whole = [each for each in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if _is_whole(each)]
    return str(max(whole, key=lambda each: int(each.name.rpartition("-")[2]))) if whole else None


def newest_checkpoint(folder: Path) -> Path:
    """The newest checkpoint, where there must be one.

    Raises:
        RecipeError: There is no checkpoint.
    """
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise RecipeError(f"{folder}: holds no checkpoint; run again")
    return Path(checkpoint)


def copy_model(checkpoint: Path, folder: Path) -> None:
    """Copy weights, configuration and tokenizer, all or nothing; a folder that exists stays.

    Raises:
        RecipeError: The checkpoint holds no weights.
    """
    if folder.is_dir():
        return
    with whole_folder(folder) as draft:
        for file in checkpoint.iterdir():
            if file.suffix in _OF_MODEL and file.name != TRAINER_STATE_NAME:
                shutil.copy(file, draft)
        if not any(draft.glob("*.safetensors")):
            raise RecipeError(
                f"{checkpoint}: holds no whole weights, so the run cannot end; start again with another --output"
            )


def _is_whole(checkpoint: Path) -> bool:
    """The library writes the state last."""
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
