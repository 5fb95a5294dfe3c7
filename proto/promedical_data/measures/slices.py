"""A judge on parts of the data: by source, language and length, and by criterion where several prompts share one."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.controls import longer_answer
from promedical_data.measures.metrics import POINTWISE, accuracy_micro
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import Predictions, table

_LATIN: Final = 0.8
"""Share of letters without marks, from which a text counts as in Latin script."""
_ENGLISH: Final = 0.25
"""Share of English function words, from which it counts as English."""
_LENGTHS: Final = (500, 1500, 3000)
_SHARED_BY: Final = 5
"""Prompts that have a criterion of one id, from which it is a slice of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A judge on one part of the data.

    Attributes:
        name: The part.
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
    """The judge by source, by language, by the length of answers, and on each criterion that several prompts share.

    Raises:
        MissingPredictionsError: The judge lacks predictions.
    """
    compared, labels = pairs(prompts, predictions), table(prompts, predictions)
    lengths = {(prompt.id, each.id): len(each.text) for prompt in prompts for each in prompt.responses}
    sides = [zip(compared["prompt"], compared[side], strict=True) for side in ("winner", "loser")]
    longest = [max(lengths[one], lengths[other]) for one, other in zip(*sides, strict=True)]
    parts = [
        *(_by_prompt(compared, labels, {prompt.id: key(prompt) for prompt in prompts}) for key in (_source, _language)),
        (pd.Series(map(_length, longest), dtype=str), labels["characters"].map(_length)),
        (compared["criterion"].where(compared["criterion"].isin(_shared(prompts))), labels["criterion"]),
    ]
    return tuple(each for of_pairs, of_labels in parts for each in _slices(compared, labels, of_pairs, of_labels))


def _by_prompt(compared: pd.DataFrame, labels: pd.DataFrame, keys: Mapping[str, str]) -> tuple[pd.Series, pd.Series]:
    return compared["prompt"].map(keys), labels["prompt"].map(keys)


def _source(prompt: LabelledPrompt) -> str:
    return f"source {prompt.source}"


def _language(prompt: LabelledPrompt) -> str:
    """English, or which script: enough to see where a judge reads nothing, without a model of languages."""
    text = " ".join(turn.content for turn in prompt.turns if turn.role != "system").lower()
    letters = [each for each in text if each.isalpha()]
    if sum(each.isascii() for each in letters) < _LATIN * len(letters):
        return "in another script"
    words = re.findall(r"[a-z]+", text)
    english = sum(word in ENGLISH_STOP_WORDS for word in words) >= _ENGLISH * len(words)
    return "in English" if english else "in Latin script, not English"


def _length(characters: int) -> str:
    """Of the longer response of a pair, or of the response that a label is of."""
    limit = next((limit for limit in _LENGTHS if characters < limit), None)
    return f"under {limit:,} characters" if limit else f"{_LENGTHS[-1]:,} characters and more"


def _shared(prompts: Sequence[LabelledPrompt]) -> set[str]:
    users: Mapping[str, set[str]] = defaultdict(set)
    for prompt in prompts:
        for criterion in prompt.criteria:
            users[criterion.id].add(prompt.id)
    return {name for name, found in users.items() if len(found) >= _SHARED_BY}


def _slices(compared: pd.DataFrame, labels: pd.DataFrame, of_pairs: pd.Series, of_labels: pd.Series) -> Iterator[Slice]:
    """One for each name that pairs have; a name that only labels have has nothing to compare."""
    for name in sorted(set(of_pairs.dropna()), key=_in_order):
        pairs_here, labels_here = compared[(of_pairs == name).to_numpy()], labels[(of_labels == name).to_numpy()]
        yield Slice(
            name=name,
            pairs=len(pairs_here),
            accuracy=_accuracy(pairs_here),
            longer=_accuracy(longer_answer(pairs_here)),
            labels=len(labels_here),
            balanced_accuracy=None if labels_here.empty else POINTWISE["balanced_accuracy"](labels_here).value,
        )


def _in_order(name: str) -> tuple[int, str]:
    """Lengths by size, the rest by name."""
    number = re.search(r"([\d,]+) characters", name)
    return (int(number[1].replace(",", "")) + name.endswith("more") if number else 0, name)


def _accuracy(frame: pd.DataFrame) -> float | None:
    return None if frame.empty else accuracy_micro(frame).value
