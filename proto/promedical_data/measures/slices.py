"""A judge on parts of the data: by source, and by criterion where many prompts share one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.controls import longer_answer
from promedical_data.measures.metrics import POINTWISE, accuracy_micro
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import Predictions, table

_SHARED_BY: Final = 5
"""Prompts that have a criterion of one id, from which it is a slice of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A judge on one part of the data.

    Attributes:
        name: The source or the criterion.
        pairs: Pairs of responses that a criterion tells apart.
        accuracy: The share of them that the judge orders right; ties count as wrong. None without pairs.
        longer: The share for "the longer answer is better".
        labels: Labels of responses.
        balanced_accuracy: Of the verdicts; None where the labels are of one class.
    """

    name: str
    pairs: int
    accuracy: float | None
    longer: float | None
    labels: int
    balanced_accuracy: float | None


def slices(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> tuple[Slice, ...]:
    """The judge on each source, then on each criterion that several prompts share.

    Raises:
        MissingPredictionsError: The judge lacks predictions.
    """
    compared, labels = pairs(prompts, predictions), table(prompts, predictions)
    source = {prompt.id: prompt.source for prompt in prompts}
    sources = (compared["prompt"].map(source), labels["source"])
    return (
        *_slices(compared, labels, *sources, names=sorted(set(source.values()))),
        *_slices(compared, labels, compared["criterion"], labels["criterion"], names=_shared(prompts)),
    )


def _shared(prompts: Sequence[LabelledPrompt]) -> list[str]:
    users: Mapping[str, set[str]] = defaultdict(set)
    for prompt in prompts:
        for criterion in prompt.criteria:
            users[criterion.id].add(prompt.id)
    return sorted(name for name, found in users.items() if len(found) >= _SHARED_BY)


def _slices(
    compared: pd.DataFrame, labels: pd.DataFrame, of_pairs: pd.Series, of_labels: pd.Series, *, names: Sequence[str]
) -> Iterator[Slice]:
    for name in names:
        pairs_here, labels_here = compared[of_pairs == name], labels[of_labels == name]
        yield Slice(
            name=name,
            pairs=len(pairs_here),
            accuracy=_accuracy(pairs_here),
            longer=_accuracy(longer_answer(pairs_here)),
            labels=len(labels_here),
            balanced_accuracy=None if labels_here.empty else POINTWISE["balanced_accuracy"](labels_here).value,
        )


def _accuracy(frame: pd.DataFrame) -> float | None:
    return None if frame.empty else accuracy_micro(frame).value
