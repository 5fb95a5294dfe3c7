"""Which prompts of one set are in another too, word for word or nearly: what a fair test must not have.

Near duplicates are found by MinHash and locality-sensitive hashing over shingles of words (Broder 1997) and then
verified by their true Jaccard similarity, so whatever is reported is one; a near one may rarely be missed. Knows
nothing of responses and criteria.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from datasketch import MinHash, MinHashLSH

from promedical_data.labelled import LabelledPrompt

SHINGLE_WORDS: Final = 5

_PERMUTATIONS: Final = 128
_SEED: Final = 1
_CANDIDATES_FROM: Final = 0.75
"""Share of the threshold from which candidates are verified: chance must not hide a true one."""
_SEPARATORS: Final = frozenset("PZC")
"""Unicode categories between words: punctuation, separators, controls."""
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word; where writing has no spaces, a character."""

Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A prompt of the first set that is in the second too.

    Attributes:
        first: Id in the first set.
        second: Id in the second set.
        similarity: Jaccard similarity of the shingles; 1 for equal prompts.
        kind: exact: equal after normalisation.
    """

    first: str
    second: str
    similarity: float
    kind: Literal["exact", "near"]


def normalise(text: str) -> str:
    """Text without what hides equality: case, compatibility forms, punctuation and the kind of white space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    blanks = {ord(character): " " for character in set(folded) if unicodedata.category(character)[0] in _SEPARATORS}
    return " ".join(folded.translate(blanks).split())


def overlaps(
    first: Sequence[LabelledPrompt], second: Sequence[LabelledPrompt], *, threshold: float = 0.8
) -> tuple[Overlap, ...]:
    """Prompts of one set, as whole conversations, that are in the other too; the most similar first.

    Args:
        first: One set, for example what a model was trained on.
        second: Another, for example what it is tested on.
        threshold: Jaccard similarity from which prompts are near duplicates, above 0 and at most 1.

    Raises:
        ValueError: The threshold is out of its range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; expected more than 0 and at most 1")
    left, right = _ids_by_text(first), _ids_by_text(second)
    found = [(text, text, 1.0) for text in left if text in right]
    found += _near(tuple(left), tuple(right), threshold)
    listed = [
        Overlap(first=one, second=other, similarity=similarity, kind="exact" if text == match else "near")
        for text, match, similarity in found
        for one in left[text]
        for other in right[match]
    ]
    return tuple(sorted(listed, key=lambda overlap: (-overlap.similarity, overlap.kind, overlap.first, overlap.second)))


def jaccard(first: Shingles, second: Shingles) -> float:
    """Share of the shingles of both that are in each."""
    return len(first & second) / len(first | second)


def shingles(text: str) -> Shingles:
    """Every run of five words of a normalised text; all of them as one where there are fewer."""
    words = _WORD.findall(text)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return frozenset(tuple(words[start : start + SHINGLE_WORDS]) for start in starts)


def _ids_by_text(prompts: Sequence[LabelledPrompt]) -> Mapping[str, list[str]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for prompt in prompts:
        conversation = " ".join(turn.content for turn in prompt.turns)
        ids[normalise(conversation) or conversation].append(prompt.id)
    return ids


def _near(left: Sequence[str], right: Sequence[str], threshold: float) -> Iterator[tuple[str, str, float]]:
    """Pairs of different texts that are similar enough."""
    left_shingles, right_shingles = [shingles(text) for text in left], [shingles(text) for text in right]
    index = MinHashLSH(threshold=threshold * _CANDIDATES_FROM, num_perm=_PERMUTATIONS)
    for position, sketch in enumerate(_sketches(left_shingles)):
        index.insert(position, sketch)
    for match, (text, sketch) in enumerate(zip(right, _sketches(right_shingles), strict=True)):
        for position in index.query(sketch):
            similarity = jaccard(left_shingles[position], right_shingles[match])
            if similarity >= threshold and left[position] != text:
                yield left[position], text, similarity


def _sketches(entries: Sequence[Shingles]) -> Iterator[MinHash]:
    words = ([" ".join(shingle).encode() for shingle in entry] for entry in entries)
    sketches: Iterator[MinHash] = MinHash.generator(words, num_perm=_PERMUTATIONS, seed=_SEED)
    return sketches
