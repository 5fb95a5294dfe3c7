"""Texts whose vectors point the same way: faiss, exactly for few texts, by an inverted file for many."""

from typing import TYPE_CHECKING, Final

import numpy as np

from promedical_curation.dedup.pairs import Pair, Pairs
from promedical_curation.embedding.encoder import Vectors

if TYPE_CHECKING:
    import faiss

EXACT_UP_TO: Final = 50_000
"""Texts up to which every pair is compared; above, a text is compared with those of the nearest lists."""
NPROBE: Final = 32
_LISTS_PER_ROOT: Final = 2
_BLOCK: Final = 2048
_TRAINING: Final = 64
"""Vectors per list that the lists are learnt from."""


def meaning_pairs(vectors: Vectors, *, threshold: float, exact_up_to: int = EXACT_UP_TO, nprobe: int = NPROBE) -> Pairs:
    """Pairs of vectors of at least this cosine.

    Args:
        vectors: One row of length 1 per text.
        threshold: The least cosine.
        exact_up_to: Up to so many texts every pair is compared.
        nprobe: How many lists are searched for each of more texts.
    """
    if len(vectors) == 0:
        return
    index = _flat(vectors) if len(vectors) <= exact_up_to else _lists(vectors, nprobe)
    for start in range(0, len(vectors), _BLOCK):
        limits, scores, found = index.range_search(vectors[start : start + _BLOCK], threshold - 1e-4)
        sizes = np.asarray(limits[1:] - limits[:-1], dtype=np.int64)
        ones = np.repeat(np.arange(start, start + len(sizes)), sizes)
        forward = (found > ones) & (scores >= threshold)
        for one, other, score in zip(ones[forward], found[forward], scores[forward], strict=True):
            yield Pair(one=int(one), other=int(other), stage="meaning", score=round(float(score), 4))


def _flat(vectors: Vectors) -> "faiss.Index":
    import faiss  # noqa: PLC0415 - it is heavy

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _lists(vectors: Vectors, nprobe: int) -> "faiss.Index":
    """An inverted file. The lists are learnt from a part of the vectors, which the seed draws."""
    import faiss  # noqa: PLC0415 - as above

    count, width = vectors.shape
    lists = int(_LISTS_PER_ROOT * count**0.5)
    quantizer = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFFlat(quantizer, width, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = _TRAINING
    index.train(vectors)
    index.add(vectors)
    index.nprobe = nprobe
    return index
