"""Texts that share most of their runs of five words: MinHash (Broder 1997) finds candidates, their sets decide.

Signatures are datasketch's. Its index keeps a Python set per band and text, 7 kB a text, so the bands are sorted here
instead. With 25 bands of 5, a pair at a similarity of .8 is missed once in 20,000 times.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from promedical_curation.dedup.pairs import Pair, Pairs
from promedical_data.overlap import jaccard, shingles

_BANDS: Final = 25
_BAND_ROWS: Final = 5
_REMEMBERED: Final = 4096


def near_pairs(texts: Sequence[str], *, threshold: float) -> Pairs:
    """Pairs of normalised texts of at least this Jaccard similarity.

    Args:
        texts: Normalised texts, each once.
        threshold: The least similarity, from .5.
    """
    runs = lru_cache(maxsize=_REMEMBERED)(lambda place: shingles(texts[place]))  # the runs of all texts are too many
    for one, other in sorted(_candidates(texts)):
        score = jaccard(runs(one), runs(other))
        if score >= threshold:
            yield Pair(one=one, other=other, stage="near", score=round(score, 4))


def _candidates(texts: Sequence[str]) -> set[tuple[int, int]]:
    """Pairs that share a whole band of their signatures."""
    signatures = _signatures(texts)
    bands = np.split(signatures, _BANDS, axis=1) if len(texts) else []
    return {pair for band in bands for bucket in _buckets(band) for pair in combinations(bucket, 2)}


def _buckets(band: npt.NDArray[np.uint32]) -> Iterator[list[int]]:
    """The places of texts with equal rows, for every row that several have."""
    _, kinds, counts = np.unique(band, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(kinds, kind="stable")
    for bucket in np.split(order, np.cumsum(counts)[:-1]):
        if len(bucket) > 1:
            yield bucket.tolist()


def _signatures(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    encoded = ([" ".join(run).encode(errors="surrogatepass") for run in shingles(text)] for text in texts)
    from datasketch import MinHash  # noqa: PLC0415 - it imports scipy, which is heavy

    hashed = MinHash.generator(encoded, num_perm=_BANDS * _BAND_ROWS, scheme="affine32")
    signatures = np.empty((len(texts), _BANDS * _BAND_ROWS), dtype=np.uint32)
    for place, signature in enumerate(hashed):
        signatures[place] = signature.hashvalues
    return signatures
