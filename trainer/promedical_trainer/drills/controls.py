"""What judges that do not read get right on drills, by kind: which drills need reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from promedical.rubric import Criterion
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.bag_of_words import BagOfWords
from promedical_data.measures.controls import longer_answer
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import Prediction, Predictions
from promedical_trainer.drills.items import kind_of
from promedical_trainer.drills.statements import CROSSED

SAME_WORDS: Final = "statements, both in the same words"
"""Pairs of responses that have the same words: of two sentences, one is changed in this and the other one in that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How many pairs of one kind there are, and the share of them that a control orders right; ties count half.

    Attributes:
        pairs: Pairs of responses that a criterion of this kind tells apart.
        longer: The share for "the longer answer is better".
        overlap: The share for the bag of words of criterion and response.
        words: The share for the same, which also knows which words speak for criteria of this kind.
    """

    pairs: int
    longer: float
    overlap: float | None = None
    words: float | None = None


def length_controls(prompts: Sequence[LabelledPrompt]) -> dict[str, Control]:
    """What length tells, by kind."""
    frame = longer_answer(pairs(prompts, _nothing(prompts)))
    return {kind: Control(pairs=len(rows), longer=_share(rows)) for kind, rows in _by_kind(prompts, frame).items()}


def word_controls(learnt_from: Sequence[LabelledPrompt], prompts: Sequence[LabelledPrompt]) -> dict[str, Control]:
    """What length and words tell, by kind, to judges that learnt from other prompts with other wordings."""
    overlap, words = (
        {
            kind: _share(rows)
            for kind, rows in _by_kind(prompts, pairs(prompts, judge.predictions(learnt_from, prompts))).items()
        }
        for judge in (BagOfWords(cell=_cell), BagOfWords(cell=_cell, words=True))
    )
    return {
        kind: Control(pairs=control.pairs, longer=control.longer, overlap=overlap[kind], words=words[kind])
        for kind, control in length_controls(prompts).items()
    }


def _cell(prompt: LabelledPrompt, criterion: Criterion) -> str:
    return kind_of(prompt, criterion.id)


def _by_kind(prompts: Sequence[LabelledPrompt], frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    by_id = {prompt.id: prompt for prompt in prompts}
    kinds = [
        kind_of(by_id[name], criterion) for name, criterion in zip(frame["prompt"], frame["criterion"], strict=True)
    ]
    found = {str(kind): rows for kind, rows in frame.groupby(kinds)}
    same = frame[frame["winner"].str.startswith(CROSSED) & frame["loser"].str.startswith(CROSSED)]
    return found | ({SAME_WORDS: same} if len(same) else {})


def _share(rows: pd.DataFrame) -> float:
    margin = rows["margin"]
    return round(float(((margin > 0) + (margin == 0) / 2).mean()), 3)


def _nothing(prompts: Sequence[LabelledPrompt]) -> Predictions:
    even = Prediction(logit=0.0, probability=0.5, met=False)
    return {
        (prompt.id, response.id, criterion.id): even
        for prompt in prompts
        for response in prompt.responses
        for criterion in prompt.criteria
    }
