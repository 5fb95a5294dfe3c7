"""Which rubrics a round shows to physicians: more of those that are likely wrong, each with a known probability.

Phase one is cheap and covers everything: signals of each rubric. Phase two draws with probabilities in proportion to
a weight that the signals make. Since every probability is known and above zero, the decisions of a round estimate what
physicians would say of all rubrics (Horvitz and Thompson 1952), however unevenly they were drawn.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Signal = Literal["judges_disagree", "new_cluster", "veto"]

SIGNAL_WEIGHTS: Final[Mapping[Signal, float]] = {"judges_disagree": 3.0, "new_cluster": 2.0, "veto": 1.0}
"""What a signal adds to the weight of 1 that every rubric has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One rubric of a round.

    Attributes:
        id: The id of its row.
        probability: The probability with which the round drew it, above 0 and at most 1.
    """

    id: str
    probability: float


def draw(signals: Mapping[str, frozenset[Signal]], size: int, *, seed: int) -> list[Drawn]:
    """Draw a round of exactly `size` rubrics, or of all if there are fewer.

    The draw is systematic (Madow 1949) over an order that a hash makes, so that it depends on the ids and the seed and
    not on the order of the rows.

    Args:
        signals: By the id of every rubric that could be drawn, the signals that it gives.
        size: How many to draw.
        seed: Another seed draws another round.

    Returns:
        The rubrics of the round, sorted by id.

    Raises:
        ValueError: `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"size is {size}: expected at least 1")
    ids = sorted(signals, key=lambda each: _hashed(each, seed))
    if len(ids) <= size:
        return [Drawn(id=each, probability=1.0) for each in sorted(ids)]
    weights = np.array([1.0 + sum(SIGNAL_WEIGHTS[name] for name in signals[each]) for each in ids])
    probabilities = inclusion_probabilities(weights, size)
    start = int(_hashed("", seed), 16) / 16**64
    # Marks one apart on the line of all probabilities: each falls into one rubric, and no rubric is longer than 1.
    marks = np.searchsorted(np.cumsum(probabilities), start + np.arange(size), side="right")
    chosen = [Drawn(id=ids[place], probability=float(probabilities[place])) for place in marks.clip(max=len(ids) - 1)]
    return sorted(chosen, key=lambda each: each.id)


def inclusion_probabilities(weights: np.ndarray, size: int) -> np.ndarray:
    """Probabilities in proportion to weights that add up to `size`, with those above 1 set to 1.

    Args:
        weights: Shape (rubrics,), all above 0.
        size: At most the number of rubrics.

    Returns:
        Shape (rubrics,).
    """
    certain = np.zeros(len(weights), dtype=bool)
    while True:
        rest = size - certain.sum()
        probabilities = np.where(certain, 1.0, weights * rest / weights[~certain].sum() if rest else 0.0)
        above = (probabilities > 1) & ~certain
        if not above.any():
            return probabilities
        certain |= above


def _hashed(row_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{row_id}".encode()).hexdigest()
