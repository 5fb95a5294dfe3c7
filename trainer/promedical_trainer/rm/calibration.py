"""From dev labels and logits to Platt parameters and thresholds, as the bundle carries them. Trains nothing.

Every decision here is made by the calibration that the service runs, so what is measured on dev is what is served.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from promedical.rubric import Criterion, Dimension
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.predictions import Key, Prediction
from promedical_model.calibration import LOGIT_DIGITS, Calibration, PlattCell, Verdict
from promedical_trainer.rm.veto_thresholds import MAX_FALSE_VETOES, VetoQuality, choose_veto_threshold

MIN_LABELS: Final = 200
"""Labels that a cell needs; with fewer it uses the global parameters."""

_DIGITS: Final = 6
"""Significant, of parameters: more differ between machines, and a bundle's revision is a hash of them."""

_GLOBAL: Final = "global"
_SAFETY: Final = "safety/negative"  # safety criteria are worded as violations, always
_ONE_SIDED: Final = 0.98
"""Share of equal verdicts from which a cell is said to decide nothing."""

Parameters: TypeAlias = tuple[float, float]
"""Scale and offset."""


class CalibrationError(ValueError):
    """The logits do not tell which criteria are met, so the model cannot be calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCalibration:
    """A calibration, and what its reader must know.

    Attributes:
        cells: Parameters by "global" and "dimension/polarity".
        notes: Which cells fell back to the global parameters and why, and what thresholds cost.
        vetoes: None where no safety threshold could be chosen.
    """

    cells: dict[str, PlattCell]
    notes: tuple[str, ...]
    vetoes: VetoQuality | None

    @property
    def calibration(self) -> Calibration:
        """As the service runs it."""
        return Calibration(cells=self.cells)


def fit_calibration(frame: pd.DataFrame, prompts: Sequence[LabelledPrompt]) -> FittedCalibration:
    """Fit Platt scaling per dimension and polarity, and choose thresholds.

    Proficiency and excellence keep the threshold 0.5: of a calibrated probability it makes the fewest errors, and
    "met" then means "more likely than not" to every reader. The price: a weak model mostly says the frequent class,
    so responses tie in the lexicographic order; a note names each cell that says little else.
    Safety gets the lowest threshold that vetoes at most `MAX_FALSE_VETOES` of the safe responses: a response has
    several veto criteria, whose false alarms add up.

    Args:
        frame: The table of `promedical_data.measures.predictions.table` on dev labels. Of the predictions only the
            logits are used.
        prompts: The prompts that the frame was made from, with their criteria.

    Raises:
        CalibrationError: No labels, one class only, or logits that do not rise with the labels over all of them.
    """
    rounded = frame.assign(logit=[round(logit, LOGIT_DIGITS) for logit in frame["logit"]])
    cells, notes = _fit_cells(rounded)
    criteria = {(prompt.id, c.id): c for prompt in prompts for c in prompt.criteria}
    safety = rounded[rounded["dimension"] == Dimension.SAFETY]
    vetoes = choose_veto_threshold(_violation_probabilities(safety, criteria, Calibration(cells=cells)))
    if vetoes is not None:
        cell = cells.get(_SAFETY, cells[_GLOBAL])
        cells[_SAFETY] = PlattCell(scale=cell.scale, offset=cell.offset, threshold=vetoes.threshold)
    one_sided = _one_sided_notes(rounded, criteria, Calibration(cells=cells))
    return FittedCalibration(cells=cells, notes=(*notes, _veto_note(vetoes), *one_sided), vetoes=vetoes)


def predict(
    logits: Mapping[Key, float], prompts: Sequence[LabelledPrompt], calibration: Calibration
) -> dict[Key, Prediction]:
    """What the service would answer for these logits, for the bench to judge."""
    criteria = {(prompt.id, c.id): c for prompt in prompts for c in prompt.criteria}
    return {key: _prediction(logit, criteria[key[0], key[2]], calibration) for key, logit in logits.items()}


def platt(logits: Sequence[float], met: Sequence[bool]) -> Parameters:
    """Scale and offset by logistic regression on Platt's smoothed targets (Platt 1999, section 2.2).

    A label counts as (n + 1) / (n + 2) of its class and the rest of the other, n the size of its class: without
    that, labels that a threshold separates would have no finite fit.
    """
    labels = np.asarray(met, dtype=bool)
    sizes = np.where(labels, labels.sum(), (~labels).sum())
    own = (sizes + 1) / (sizes + 2)
    column = np.asarray(logits, dtype=float)[:, None]
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(
        np.concatenate([column, column]),
        np.concatenate([labels, ~labels]),
        sample_weight=np.concatenate([own, 1 - own]),
    )
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _fit_cells(frame: pd.DataFrame) -> tuple[dict[str, PlattCell], list[str]]:
    cells, notes = {_GLOBAL: _global_cell(frame)}, []
    for (dimension, polarity), labels in frame.groupby(["dimension", "polarity"]):
        name = f"{dimension}/{polarity}"
        cell, reason = fit_cell(labels)
        if cell is None:
            notes.append(f"{name}: uses the global parameters, because {reason}")
        else:
            cells[name] = cell
    return cells, notes


def _global_cell(frame: pd.DataFrame) -> PlattCell:
    if frame["met"].nunique() < 2:  # noqa: PLR2004 - met and not met
        raise CalibrationError(f"{len(frame)} labels of one class or none; calibrate on a dev split with both")
    scale, offset = platt(frame["logit"].tolist(), frame["met"].tolist())
    if not scale > 0:
        raise CalibrationError(
            f"the logits do not rise with the labels (scale {scale:.3g} over {len(frame)} labels), so they "
            "cannot be calibrated: the model has not learnt to read criteria, or, without loss.pointwise, where their "
            "zero is; train longer, raise the learning rate or loss.pointwise, or check the sign of pairs and labels"
        )
    return _rounded(scale, offset)


def _rounded(scale: float, offset: float) -> PlattCell:
    return PlattCell(scale=float(f"{scale:.{_DIGITS}g}"), offset=float(f"{offset:.{_DIGITS}g}"))


def fit_cell(labels: pd.DataFrame) -> tuple[PlattCell | None, str]:
    """A cell of Platt's parameters for these labels, or why there is none."""
    if len(labels) < MIN_LABELS:
        return None, f"it has {len(labels)} labels, fewer than {MIN_LABELS}"
    if labels["met"].nunique() < 2:  # noqa: PLR2004 - met and not met
        return None, f"its {len(labels)} labels are all of one class"
    scale, offset = platt(labels["logit"].tolist(), labels["met"].tolist())
    if not scale > 0:
        return None, f"its logits do not rise with its labels (scale {scale:.3g})"
    return _rounded(scale, offset), ""


def _violation_probabilities(
    safety: pd.DataFrame, criteria: Mapping[tuple[str, str], Criterion], calibration: Calibration
) -> pd.DataFrame:
    verdicts = _verdicts(safety, criteria, calibration)
    return safety[["prompt", "response", "met"]].assign(probability=[verdict.probability for verdict in verdicts])


def _one_sided_notes(
    frame: pd.DataFrame, criteria: Mapping[tuple[str, str], Criterion], calibration: Calibration
) -> list[str]:
    verdicts = frame.assign(said=[verdict.met for verdict in _verdicts(frame, criteria, calibration)])
    shares = verdicts.astype({"met": float, "said": float}).groupby(["dimension", "polarity"])[["met", "said"]].mean()
    return [
        f"{dimension}/{polarity}: {said:.0%} of the dev verdicts are met, {met:.0%} of the labels; "
        "the verdict says almost nothing, so use probabilities"
        for (dimension, polarity), met, said in shares.itertuples(name=None)
        if max(said, 1 - said) >= _ONE_SIDED
    ]


def _veto_note(vetoes: VetoQuality | None) -> str:
    if vetoes is None:
        return "safety: threshold 0.5, because no dev response with safety labels is free of violations"
    kept = "" if vetoes.false_veto_rate <= MAX_FALSE_VETOES else f" (more than the {MAX_FALSE_VETOES:.0%} aimed at)"
    recall = "no response violates" if vetoes.recall is None else f"{vetoes.recall:.0%} of {vetoes.violating} violating"
    return (
        f"safety: threshold {vetoes.threshold:.4f} vetoes {vetoes.false_veto_rate:.1%} of {vetoes.safe} safe dev "
        f"responses{kept}; recall: {recall}"
    )


def _verdicts(
    frame: pd.DataFrame, criteria: Mapping[tuple[str, str], Criterion], calibration: Calibration
) -> list[Verdict]:
    rows = zip(frame["prompt"], frame["criterion"], frame["logit"], strict=True)
    return [calibration.verdict(logit, criteria[prompt, criterion]) for prompt, criterion, logit in rows]


def _prediction(logit: float, criterion: Criterion, calibration: Calibration) -> Prediction:
    verdict = calibration.verdict(logit, criterion)
    return Prediction(logit=verdict.logit, probability=verdict.probability, met=verdict.met)
