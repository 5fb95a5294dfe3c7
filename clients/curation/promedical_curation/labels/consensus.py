"""What several judges together make probable: Dawid and Skene (1979), anchored on labels that physicians gave.

Each judge has its own rates of error, which the model learns from where judges agree and from the anchors; a judge that
says "met" to everything moves nothing. Written out here for two classes: crowd-kit, which has it too, installs
transformers and nltk with it, and rests on keywords that pandas is about to remove. A test compares the two.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

_MOST_ITERATIONS: Final = 200
_SETTLED: Final = 1e-6
"""Largest change of a probability with which the iteration ends."""
_RIGHT: Final = 2.0
_WRONG: Final = 0.5
"""Votes that every judge is credited with in either state: it is taken to be better than chance until it shows
otherwise, and no rate is 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One judge's verdict on one label.

    Attributes:
        label: What is judged: the ids of row, candidate and criterion, as one string.
        judge: Who judged.
        met: Whether the criterion holds as worded; None where the judge could not assess it.
    """

    label: str
    judge: str
    met: bool | None


def consensus(votes: Iterable[Vote], golds: Mapping[str, bool]) -> dict[str, float]:
    """The probability that each label is met.

    Args:
        votes: All verdicts; those that could not assess say nothing.
        golds: Physicians' labels. They keep their own value, 1 or 0, and teach how far each judge is to be believed.

    Returns:
        By label; a label that nobody could assess is not in it.
    """
    cast = [vote for vote in votes if vote.met is not None]
    known = {label: float(met) for label, met in golds.items()}
    labels = sorted({vote.label for vote in cast})
    judges = sorted({vote.judge for vote in cast})
    said = np.zeros((2, len(labels), len(judges)))
    rows, columns = ({name: place for place, name in enumerate(names)} for names in (labels, judges))
    for vote in cast:
        said[int(bool(vote.met)), rows[vote.label], columns[vote.judge]] += 1
    fixed = np.array([known.get(label, np.nan) for label in labels])
    return dict(zip(labels, map(float, _fitted(said, fixed)), strict=True)) | known


def decided(probabilities: Mapping[str, float], *, least: float) -> dict[str, bool]:
    """Labels that are sure enough to learn from.

    Args:
        probabilities: By label, the probability of met.
        least: The least probability of the likelier side, from .5 to 1; labels below it are left out.
    """
    return {label: p >= 0.5 for label, p in probabilities.items() if max(p, 1 - p) >= least}  # noqa: PLR2004


def _fitted(said: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Expectation maximisation, from the share of votes on; anchors never move.

    Args:
        said: Votes for "not met" and "met", of shape (2, labels, judges).
        fixed: Shape (labels,): 1 or 0 where the label is known, NaN elsewhere.
    """
    shares = said[1].sum(axis=1) / said.sum(axis=(0, 2))
    met = np.where(np.isnan(fixed), shares, fixed)
    for _ in range(_MOST_ITERATIONS):
        before, met = met, np.where(np.isnan(fixed), _expected(said, met), fixed)
        if np.abs(met - before).max(initial=0.0) < _SETTLED:
            break
    return met


def _expected(said: np.ndarray, met: np.ndarray) -> np.ndarray:
    """One step: the judges' rates under these probabilities, and the probabilities under those rates."""
    log_odds = np.log(met.sum() + _WRONG) - np.log((1 - met).sum() + _WRONG)
    rates = {1: _rates(said, met, (_WRONG, _RIGHT)), 0: _rates(said, 1 - met, (_RIGHT, _WRONG))}
    evidence = sum(said[word] @ np.log(rates[1][word] / rates[0][word]) for word in (0, 1))
    odds: np.ndarray = 1 / (1 + np.exp(-np.clip(log_odds + evidence, -700, 700)))
    return odds


def _rates(said: np.ndarray, share: np.ndarray, credit: tuple[float, float]) -> np.ndarray:
    """How often each judge says "not met" and "met" where a share of each label is in one state: (2, judges)."""
    counts = np.einsum("wlj,l->wj", said, share) + np.array(credit)[:, None]
    rates: np.ndarray = counts / counts.sum(axis=0)
    return rates
