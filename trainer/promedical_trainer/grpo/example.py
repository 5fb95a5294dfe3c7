"""The example of a first run: data as a user's own would lie, which `promedical-train example` writes."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from promedical_data.files import whole_folder
from promedical_trainer.runs.recipe_files import RecipeError

RECIPE: Final = "grpo-first"
"""The recipe that is made for these data."""
_FILES: Final = files("promedical_trainer") / "examples" / "first_policy"


def write_example(folder: Path) -> None:
    """Write the data, whole or not at all.

    Raises:
        RecipeError: The folder exists already, or cannot be made.
    """
    if folder.exists():
        raise RecipeError(f"{folder}: exists already; give another --output, or use the data in it")
    try:
        with whole_folder(folder) as draft:
            for each in _FILES.iterdir():
                (draft / each.name).write_bytes(each.read_bytes())
    except OSError as error:
        raise RecipeError(f"{folder}: cannot be made a folder ({error.strerror}); give another --output") from error
