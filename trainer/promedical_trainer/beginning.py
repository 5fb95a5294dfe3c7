"""What a run was begun with: its data, by hash, and where it was trained. What it learnt goes on with the same data."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from promedical_trainer.ranks import processes
from promedical_trainer.recipe_files import RecipeError

_FILE: Final = "beginning.json"


def begin(folder: Path, data: Mapping[str, str], *, learnt: bool) -> str:
    """Write down what a run begins with, or see that it goes on with the same.

    Args:
        folder: Of the run.
        data: SHA-256 by file.
        learnt: Whether there is a checkpoint; until then, the data may still be mended.

    Returns:
        The hardware that the run was begun on.

    Raises:
        RecipeError: Data have changed since.
    """
    path = folder / _FILE
    if not (learnt and path.is_file()):
        scratch = path.with_suffix(".part")
        scratch.write_text(json.dumps({"data": data, "hardware": _hardware()}, indent=1) + "\n", encoding="utf-8")
        scratch.rename(path)
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(name for name, _ in data.items() ^ begun["data"].items())
    if changed:
        raise RecipeError(
            f"{folder}: {changed[0]} is not what it was when this run began; give another --output, or the data of then"
        )
    return str(begun["hardware"])


def _hardware() -> str:
    count = processes().num_processes
    if torch.cuda.is_available():
        return f"{count} x {torch.cuda.get_device_name()}"
    return f"CPU only ({torch.get_num_threads()} threads, {platform.machine()}), processes: {count}"
