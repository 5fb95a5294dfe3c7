"""Pairs of texts that are alike, from each of the two searches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Stage = Literal["exact", "near", "meaning"]
"""Equal after normalisation, alike in their runs of words, or alike in their vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two texts by their places, the first before the second.

    Attributes:
        one: The place of the first.
        other: The place of the second.
        stage: The search that found them.
        score: The Jaccard similarity of their words, or the cosine of their vectors.
    """

    one: int
    other: int
    stage: Stage
    score: float


Pairs = Iterator[Pair]
