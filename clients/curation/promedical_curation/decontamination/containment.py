"""Which entries a text contains, by runs of 13 words (Brown et al. 2020, appendix C)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from promedical_data.overlap import normalise, words_of

RUN: Final = 13
SHORTEST: Final = 8
"""Words of the shortest entry that is looked for inside texts; a shorter one must be equal."""
_COMMON: Final = 10
"""Entries from which a run belongs to a way of asking, as `the most appropriate next step in management` does."""


class Containment:
    """The runs of words of all entries."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._equal: dict[str, list[int]] = defaultdict(list)
        runs_of = []
        for place, text in enumerate(texts):
            words = words_of(normalise(text))
            self._equal[" ".join(words)].append(place)
            runs_of.append(set(_runs(words, min(RUN, len(words)))) if len(words) >= SHORTEST else set())
        common = {run for run, count in Counter(run for runs in runs_of for run in runs).items() if count > _COMMON}
        self._sizes = [len(runs - common) for runs in runs_of]
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, runs in enumerate(runs_of):
            for run in runs - common:
                self._places[run].append(place)
        self._lengths = sorted({run.count(" ") + 1 for run in self._places})

    def contained(self, text: str, least: float) -> Iterator[tuple[int, float]]:
        """Entries that a text contains at least such a share of or, from 13 words, that contain it, with the share.

        The share is that of the shorter of the two. It is 1 for equal texts, however short.
        """
        words = words_of(normalise(text))
        equal = self._equal.get(" ".join(words), []) if words else []
        yield from ((place, 1.0) for place in equal)
        runs = {run for length in self._lengths for run in _runs(words, length)}
        shared = Counter(place for run in runs for place in self._places.get(run, ()))
        own = max(1, len(words) - RUN + 1)
        for place, count in sorted(shared.items()):
            share = count / min(self._sizes[place], own) if len(words) >= SHORTEST else 0
            if share >= least and place not in equal:
                yield place, round(min(share, 1.0), 4)


def _runs(words: Sequence[str], length: int) -> Iterator[str]:
    return (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
