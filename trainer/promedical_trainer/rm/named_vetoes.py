"""Thresholds for the vetoes of the built-in rubric, chosen together, since one answer is asked about all of them.

A rubric with six vetoes has six chances of a false alarm, so what is bounded is the share of safe responses that any
of them vetoes. A verdict may depend on its own criterion only, so each veto gets a cell of its own, by its wording.

They are chosen on two kinds of responses: those of drills, whose labels rules know, and real ones of dev that no label
calls a violation. The latter were never asked about these vetoes, so what is a violation after all counts as an alarm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import pandas as pd

from promedical.rubric import Criterion, Dimension
from promedical.rubric_files import load_catalog
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures.tallies import Numbers
from promedical_model.calibration import Calibration, PlattCell, wording_cell
from promedical_trainer.rm.calibration import FittedCalibration, fit_cell
from promedical_trainer.rm.veto_thresholds import MAX_FALSE_VETOES, lowest_threshold

RUBRIC: Final = "general-medical@1"

MADE: Final = "made by rules"
REAL: Final = "real, without a labelled violation"
"""The two kinds of responses."""

_ASSUMED: Final = Label(met=False, kind="assumed", votes=(False,))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVeto:
    """What the threshold of one veto does on dev.

    Attributes:
        criterion: Its id in the rubric.
        threshold: It counts as violated from this probability on.
        recall: The share of the violations by rules that it finds.
        false_alarms: The share of the other responses that it vetoes, by their kind.
    """

    criterion: str
    threshold: float
    recall: float
    false_alarms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVetoes:
    """The vetoes of the built-in rubric, together.

    Attributes:
        vetoes: Each of them.
        false_vetoes: The share of safe responses that any of them vetoes, by kind.
        safe: How many safe responses there are, by kind.
    """

    vetoes: tuple[NamedVeto, ...]
    false_vetoes: Mapping[str, float]
    safe: Mapping[str, int]


@cache
def rubric_vetoes() -> tuple[Criterion, ...]:
    """The vetoes of the built-in rubric."""
    named = load_catalog().find(RUBRIC)
    assert named is not None, f"{RUBRIC} comes with the contract"
    return tuple(each for each in named.rubric.criteria if each.dimension is Dimension.SAFETY)


def asked_about_vetoes(
    real: Iterable[LabelledPrompt], made: Iterable[LabelledPrompt]
) -> dict[str, tuple[LabelledPrompt, ...]]:
    """Responses to ask about the rubric's vetoes in its own words, by kind; empty if no drill knows these vetoes."""
    known = [prompt for prompt in made if _knows_vetoes(prompt)]
    if not known:
        return {}
    found = {
        MADE: [_asked(prompt, prompt.responses) for prompt in known],
        REAL: [_asked(prompt, tuple(_assumed_safe(prompt))) for prompt in real],
    }
    return {kind: tuple(prompt for prompt in prompts if prompt.responses) for kind, prompts in found.items()}


def _knows_vetoes(prompt: LabelledPrompt) -> bool:
    labelled = {name for response in prompt.responses for name in response.labels}
    return labelled >= {each.id for each in rubric_vetoes()}


def _assumed_safe(prompt: LabelledPrompt) -> Iterable[LabelledResponse]:
    safety = {each.id for each in prompt.criteria if each.dimension is Dimension.SAFETY}
    for response in prompt.responses:
        if not any(label.met for name, label in response.labels.items() if name in safety):
            yield replace(response, labels={each.id: _ASSUMED for each in rubric_vetoes()})


def _asked(prompt: LabelledPrompt, responses: Sequence[LabelledResponse]) -> LabelledPrompt:
    names = {each.id for each in rubric_vetoes()}
    kept = tuple(
        replace(each, labels={name: label for name, label in each.labels.items() if name in names})
        for each in responses
    )
    return replace(prompt, criteria=rubric_vetoes(), responses=kept, preferences=())


def with_named_vetoes(fitted: FittedCalibration, frame: pd.DataFrame) -> tuple[FittedCalibration, NamedVetoes | None]:
    """The calibration with a cell for each veto of the rubric that can have one, and what these cells do.

    Args:
        fitted: The calibration so far.
        frame: Labels with logits, as `promedical_data.measures.predictions.table` has them, and their `kind`.
    """
    cells, notes = {}, []
    for veto in rubric_vetoes():
        cell, reason = fit_cell(frame[frame["criterion"] == veto.id])
        if cell is None:
            notes.append(f"{RUBRIC}, {veto.id}: has no cell of its own, because {reason}")
        else:
            cells[veto.id] = cell
    if not cells:
        return replace(fitted, notes=(*fitted.notes, *notes)), None
    rows = frame[frame["criterion"].isin(cells)]
    rows = rows.assign(probability=_probabilities(rows, cells))
    thresholds = _together(rows)
    named = {
        wording_cell(veto.text): replace(cells[veto.id], threshold=thresholds[veto.id])
        for veto in rubric_vetoes()
        if veto.id in cells
    }
    found = _quality(rows, thresholds)
    return replace(fitted, cells=fitted.cells | named, notes=(*fitted.notes, *notes, *_notes(found))), found


def _probabilities(rows: pd.DataFrame, cells: Mapping[str, PlattCell]) -> list[float]:
    """As the service computes them."""
    vetoes = {each.id: each for each in rubric_vetoes()}
    judges = {name: (vetoes[name], Calibration(cells={"global": cell})) for name, cell in cells.items()}
    asked = [(*judges[name], logit) for name, logit in zip(rows["criterion"], rows["logit"], strict=True)]
    return [calibration.verdict(logit, veto).probability for veto, calibration, logit in asked]


def _together(rows: pd.DataFrame) -> dict[str, float]:
    """The best threshold of each veto; all of them are raised by the same number of safe responses if they must be."""
    best = {str(name): _best(labels) for name, labels in rows.groupby("criterion")}
    safe, raised = _safe(rows), best
    for spared in range(len(safe), -1, -1):
        values = {name: safe[name].to_numpy(dtype=float) for name in best}
        raised = {name: max(best[name], lowest_threshold(each, each, spared)) for name, each in values.items()}
        if max(_false_vetoes(safe, raised).values(), default=0.0) <= MAX_FALSE_VETOES:
            break
    return raised


def _best(labels: pd.DataFrame) -> float:
    """Where recall less false alarms is largest; the false alarms are those of the worse kind of responses."""
    probabilities, met = labels["probability"].to_numpy(), labels["met"].to_numpy(dtype=bool)
    values = np.unique(probabilities)
    candidates = (values[:-1] + values[1:]) / 2
    if not candidates.size:
        return 0.5
    kinds = [probabilities[~met & (labels["kind"] == kind).to_numpy()] for kind in labels["kind"].unique()]
    alarms = np.max([_share_from(each, candidates) for each in kinds if each.size], axis=0)
    return float(candidates[np.argmax(_share_from(probabilities[met], candidates) - alarms)])


def _share_from(probabilities: Numbers, thresholds: Numbers) -> Numbers:
    """The share of the probabilities that are at or above each threshold."""
    below = np.searchsorted(np.sort(probabilities), thresholds, side="left")
    shares: Numbers = 1 - below / len(probabilities)
    return shares


def _safe(rows: pd.DataFrame) -> pd.DataFrame:
    """Probabilities of responses that violate nothing: a row each, by kind, a column for each veto."""
    violating = rows.groupby(["kind", "prompt", "response"])["met"].transform("any")
    table = rows[~violating.astype(bool)].pivot_table(
        index=["kind", "prompt", "response"], columns="criterion", values="probability"
    )
    return table.reindex(columns=sorted(rows["criterion"].unique())).dropna()


def _false_vetoes(safe: pd.DataFrame, thresholds: Mapping[str, float]) -> dict[str, float]:
    vetoed = safe.ge(pd.Series(thresholds)).any(axis=1)
    return {str(kind): float(share) for kind, share in vetoed.groupby(level="kind").mean().items()}


def _quality(rows: pd.DataFrame, thresholds: Mapping[str, float]) -> NamedVetoes:
    safe = _safe(rows)
    return NamedVetoes(
        vetoes=tuple(_veto(name, rows[rows["criterion"] == name], limit) for name, limit in thresholds.items()),
        false_vetoes=_false_vetoes(safe, thresholds),
        safe={str(kind): int(count) for kind, count in safe.groupby(level="kind").size().items()},
    )


def _veto(name: str, labels: pd.DataFrame, threshold: float) -> NamedVeto:
    met, said = labels["met"].astype(bool), labels["probability"] >= threshold
    alarms = said[~met].groupby(labels["kind"][~met]).mean()
    return NamedVeto(
        criterion=name,
        threshold=threshold,
        recall=float(said[met].mean()),
        false_alarms={str(kind): float(share) for kind, share in alarms.items()},
    )


def _notes(found: NamedVetoes) -> list[str]:
    return [
        f"{RUBRIC}: its {len(found.vetoes)} vetoes together veto {share:.1%} of {found.safe[kind]} safe dev responses "
        f"({kind})" + ("" if share <= MAX_FALSE_VETOES else f", more than the {MAX_FALSE_VETOES:.0%} aimed at")
        for kind, share in found.false_vetoes.items()
    ]
