"""What a run was begun with: its data, by hash, and where it was trained. It goes on with the same data only."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from promedical_bench.data.report import DataReport
from promedical_trainer.ranks import processes
from promedical_trainer.recipe_files import RecipeError

_FILE: Final = "beginning.json"


def begin(folder: Path, reports: Sequence[DataReport]) -> str:
    """Write down what a run begins with, or see that it goes on with the same.

    Returns:
        The hardware that the run was begun on.

    Raises:
        RecipeError: A file of the data has changed since.
    """
    path = folder / _FILE
    data = {report.path.name: report.sha256 for report in reports}
    if not path.is_file():
        path.write_text(json.dumps({"data": data, "hardware": _hardware()}, indent=1) + "\n", encoding="utf-8")
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
