"""What a training run measured, read from its evaluation.json: the gate need not ask about the test split again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from promedical_data.errors import DataError
from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.controls import LONGER
from promedical_data.measures.evaluation import MODEL, Scores

_SCORES: TypeAdapter[Mapping[str, Mapping[str, Estimate]]] = TypeAdapter(Mapping[str, Mapping[str, Estimate]])


def measured_on_test(path: Path) -> tuple[Scores, Scores, int]:
    """The model's metrics on test, the same less those of the longer answer, and the number of prompts.

    Raises:
        DataError: The file is no evaluation of a run that looked at the test split.
    """
    split = _split(path, "test")
    return (
        _scores(path, split["scores"], MODEL),
        _scores(path, split["differences"], LONGER),
        split["counts"]["prompts"],
    )


def measured_by_physicians(path: Path) -> tuple[Scores, int] | None:
    """The model's metrics on the labels of physicians and the number of prompts; None if the run had none.

    Raises:
        DataError: The file is no evaluation of a run.
    """
    if "physicians" not in _read(path):
        return None
    split = _split(path, "physicians")
    return _scores(path, split["scores"], MODEL), split["counts"]["prompts"]


def _read(path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); give evaluation.json of a training run") from None
    if not isinstance(whole, dict):
        raise DataError(f"{path}: holds no evaluation; give evaluation.json of a training run")
    return whole


def _split(path: Path, name: str) -> dict[str, Any]:
    split = _read(path).get(name)
    if not isinstance(split, dict) or not {"scores", "differences", "counts"} <= split.keys():
        raise DataError(f"{path}: has no evaluation of {name}; run promedical-train rm without --until dev")
    return split


def _scores(path: Path, found: Mapping[str, Any], judge: str) -> Scores:
    try:
        return _SCORES.validate_python(found.get(judge, {}))
    except ValidationError as error:
        raise DataError(f"{path}: the numbers of {judge!r} are not those of an evaluation: {error}") from None
