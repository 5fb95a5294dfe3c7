"""evaluation.json of a run: what it learnt from, its calibration, and what was measured on each split so far."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from promedical_data.files import write_atomically
from promedical_data.measures.evaluation import Evaluation
from promedical_data.measures.slices import Slice
from promedical_data.report import as_dict
from promedical_trainer.rm import Until
from promedical_trainer.rm.calibration import FittedCalibration
from promedical_trainer.rm.card import NOTHING_BESIDE, Beside, Facts
from promedical_trainer.rm.splits import Splits

UNTRAINED: Final = "untrained"
"""The base, as a control."""


def write_evaluation(
    path: Path,
    splits: Splits,
    facts: Facts,
    fitted: FittedCalibration,
    evaluations: Mapping[str, Evaluation],
    sliced: Mapping[str, Sequence[Slice]] = MappingProxyType({}),
    beside: Beside = NOTHING_BESIDE,
) -> None:
    """Write what the run learnt from and what was measured so far."""
    document: dict[str, Any] = {
        "training": asdict(facts),
        "data": [as_dict(replace(report, path=Path(report.path.name))) for report in splits.reports],
        "calibration": {
            name: {"scale": cell.scale, "offset": cell.offset, "threshold": cell.threshold}
            for name, cell in fitted.cells.items()
        },
        "notes": fitted.notes,
    }
    if fitted.vetoes is not None:
        document["vetoes"] = asdict(fitted.vetoes)
    document |= {name: found for name, found in asdict(beside).items() if found}
    if sliced:
        document["slices"] = {name: [asdict(each) for each in found] for name, found in sliced.items()}
    document |= {name: evaluation.as_dict() for name, evaluation in evaluations.items()}
    write_atomically(path, json.dumps(document, indent=1) + "\n")


def evaluated_until(path: Path) -> Until:
    """The last part of the evaluation that was made; "dev" where none was."""
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "test" not in document:
        return "dev"
    return "controls" if UNTRAINED in document["test"]["scores"] else "test"
