"""The control "bag of words": how much of a criterion's words a response has, weighed by a logistic regression.

It reads no sentence: texts whose words are the same get the same answer. What it gets right does not need reading.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from promedical.rubric import Criterion
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.predictions import Key, Prediction
from promedical_data.measures.tallies import Numbers

BAG_OF_WORDS: Final = "bag of words"

Cell: TypeAlias = Callable[[LabelledPrompt, Criterion], str]
"""Criteria of one cell are judged by one regression."""

_SOLVER_STEPS: Final = 1000
_WORD: Final = r"\w+"
_EVEN: Final = 0.5
_FOLDS: Final = 5
_LEAST_SHARE: Final = 1e-6
"""Of one class, so that a cell that has only the other still gives a finite logit."""


def by_dimension(prompt: LabelledPrompt, criterion: Criterion) -> str:
    """A cell for each dimension and polarity."""
    del prompt
    return f"{criterion.dimension}/{criterion.polarity}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BagOfWords:
    """A judge that learns from labelled prompts.

    Attributes:
        cell: Which criteria share a regression.
        words: Whether it also learns which words and pairs of words of a response speak for a criterion, which needs
            criteria that many prompts have.
    """

    cell: Cell = by_dimension
    words: bool = False

    def predictions(
        self, learnt_from: Sequence[LabelledPrompt], prompts: Sequence[LabelledPrompt]
    ) -> dict[Key, Prediction]:
        """What it says about every response and criterion of the prompts; of a cell that it has not seen, even."""
        asked = self._rows(prompts, labelled=False)
        learnt = self._learnt(learnt_from)
        said: dict[Key, Prediction] = {}
        for name, rows in asked.items():
            logits = learnt[name](rows).tolist() if name in learnt else [0.0] * len(rows)
            said |= {row.key: _prediction(logit) for row, logit in zip(rows, logits, strict=True)}
        return said

    def _learnt(self, prompts: Sequence[LabelledPrompt]) -> dict[str, Callable[[Sequence["_Row"]], Numbers]]:
        """A regression for each cell; none where no text has a word."""
        if not any(re.search(_WORD, each.text) for prompt in prompts for each in prompt.responses):
            return {}
        vectors = _Vectors(prompts)
        return {name: self._fitted(rows, vectors) for name, rows in self._rows(prompts, labelled=True).items()}

    def out_of_fold(self, prompts: Sequence[LabelledPrompt]) -> dict[Key, Prediction]:
        """What it says about prompts, each time after learning from the other ones: no prompt judges itself."""
        folds = min(_FOLDS, len(prompts))
        said: dict[Key, Prediction] = {}
        for fold in range(folds):
            learnt_from = [prompt for place, prompt in enumerate(prompts) if place % folds != fold]
            said |= self.predictions(learnt_from, prompts[fold::folds])
        return said

    def _rows(self, prompts: Sequence[LabelledPrompt], *, labelled: bool) -> Mapping[str, list["_Row"]]:
        rows: dict[str, list[_Row]] = {}
        for prompt in prompts:
            asked = "\n".join(turn.content for turn in prompt.turns)
            for response in prompt.responses:
                for criterion in prompt.criteria:
                    label = response.labels.get(criterion.id)
                    if label is not None or not labelled:
                        key = (prompt.id, response.id, criterion.id)
                        row = _Row(key=key, texts=(asked, response.text, criterion.text), met=bool(label and label.met))
                        rows.setdefault(self.cell(prompt, criterion), []).append(row)
        return rows

    def _features(self, rows: Sequence["_Row"], vectors: "_Vectors") -> sp.csr_matrix:
        asked, responses, criteria = (vectors.of([row.texts[place] for row in rows]) for place in range(3))
        overlap = sp.csr_matrix(
            np.column_stack([_cosine(criteria, responses), _covered(criteria, responses), _cosine(asked, responses)])
        )
        return sp.hstack([overlap, responses], format="csr") if self.words else overlap

    def _fitted(self, rows: Sequence["_Row"], vectors: "_Vectors") -> Callable[[Sequence["_Row"]], Numbers]:
        met = np.array([row.met for row in rows])
        if met.all() or not met.any():
            share = min(max(float(met.mean()), _LEAST_SHARE), 1 - _LEAST_SHARE)
            return lambda asked: np.full(len(asked), math.log(share / (1 - share)))
        with threadpool_limits(limits=1):  # far faster on a busy machine, and the same on every one
            model = LogisticRegression(max_iter=_SOLVER_STEPS).fit(self._features(rows, vectors), met)
        return lambda asked: np.asarray(model.decision_function(self._features(asked, vectors)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    key: Key
    texts: tuple[str, str, str]
    """Prompt, response, criterion."""
    met: bool


@dataclass(slots=True)
class _Vectors:
    """TF-IDF of words and pairs of words, each text once."""

    learnt_from: Sequence[LabelledPrompt]
    _weights: TfidfVectorizer = field(init=False)
    _known: dict[str, int] = field(default_factory=dict)
    _matrix: sp.csr_matrix | None = None

    def __post_init__(self) -> None:
        texts = {response.text: None for prompt in self.learnt_from for response in prompt.responses}
        texts |= {criterion.text: None for prompt in self.learnt_from for criterion in prompt.criteria}
        self._weights = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD).fit(texts)

    def of(self, texts: Sequence[str]) -> sp.csr_matrix:
        """One row a text."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            rows = sp.csr_matrix(self._weights.transform(new))
            self._known |= {text: len(self._known) + place for place, text in enumerate(new)}
            self._matrix = rows if self._matrix is None else sp.csr_matrix(sp.vstack([self._matrix, rows]))
        assert self._matrix is not None, "texts were just added"
        return self._matrix[[self._known[text] for text in texts]]


def _cosine(one: sp.csr_matrix, other: sp.csr_matrix) -> Numbers:
    product = normalize(one).multiply(normalize(other)).sum(axis=1)
    return np.asarray(product, dtype=np.float64).ravel()


def _covered(criteria: sp.csr_matrix, responses: sp.csr_matrix) -> Numbers:
    """The share of the criterion's weight whose words the response has."""
    shared = np.asarray(criteria.multiply(responses > 0).sum(axis=1), dtype=np.float64).ravel()
    whole = np.asarray(criteria.sum(axis=1), dtype=np.float64).ravel()
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def _prediction(logit: float) -> Prediction:
    probability = 1 / (1 + math.exp(-max(min(logit, 500.0), -500.0)))
    return Prediction(logit=logit, probability=probability, met=probability >= _EVEN)
