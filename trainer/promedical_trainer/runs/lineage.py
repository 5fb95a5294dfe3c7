"""The lineage of a run: its data by hash, and the hardware. A run resumes only with the data that it started with."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch

from promedical_data.files import write_atomically
from promedical_data.report import DataReport
from promedical_trainer.runs.checkpoints import last_checkpoint
from promedical_trainer.runs.distributed import processes
from promedical_trainer.runs.recipe_files import RecipeError

_FILE: Final = "lineage.json"


def record_lineage(folder: Path, checkpoints: Path, data: Path, reports: Iterable[DataReport]) -> str:
    """Record what a run starts with, or check that it resumes with the same.

    Args:
        folder: The folder of the run.
        checkpoints: The folder of checkpoints; until there is one, the data may still be corrected.
        data: The folder that names of data files are relative to.
        reports: The report of every file.

    Returns:
        The hardware that the run started on.

    Raises:
        RecipeError: The data have changed since then.
    """
    path = folder / _FILE
    hashes = {os.path.relpath(each.path, data): each.sha256 for each in reports}
    if last_checkpoint(checkpoints) is None or not path.is_file():
        write_atomically(path, json.dumps({"data": hashes, "hardware": _hardware()}, indent=1) + "\n")
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(name for name, _ in hashes.items() ^ begun["data"].items())
    if changed:
        raise RecipeError(
            f"{folder}: {changed[0]} has changed since this run started; give another --output, or restore that file"
        )
    return str(begun["hardware"])


def _hardware() -> str:
    count = processes().num_processes
    if torch.cuda.is_available():
        return f"{count} x {torch.cuda.get_device_name()}"
    return f"CPU only ({torch.get_num_threads()} threads, {platform.machine()}), processes: {count}"
