"""What turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""One row of length 1 per text."""


class Encoder(Protocol):
    """Texts to vectors. The vector of a text depends on the text only."""

    @property
    def name(self) -> str:
        """What the vectors come from, for reports."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 per text, in the order of the texts."""


def normalised(vectors: Vectors) -> Vectors:
    """The vectors with length 1; a vector of length 0 stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
