"""Finds prompts of one set that are also in another one, word for word or nearly, which a fair test must not have.

System turns are not compared, since many prompts have the same one. Near duplicates are prompts whose shingles of
words are similar (Broder 1997), not counting shingles that are too common to tell prompts apart. All near duplicates
are found: of two similar sets, each has a member of the other among its few rarest ones (Bayardo et al. 2007).
Responses and criteria play no part.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from promedical.visible import without_marks
from promedical_data.labelled import LabelledPrompt

SHINGLE_WORDS: Final = 5

_COMMON_SHARE: Final = 0.1
"""The share of prompts above which a shingle belongs to a template and says nothing about a prompt."""
_COMMON_FROM: Final = 50
"""How many prompts must have such a shingle, so that a few copies in a small set do not hide each other."""
_SEPARATORS: Final = frozenset("PZC")
"""Unicode categories between words: punctuation, separators, controls."""
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character in scripts without spaces."""

Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A prompt of the first set that is in the second too.

    Attributes:
        first: The id in the first set.
        second: The id in the second set.
        similarity: The Jaccard similarity of the shingles that tell prompts apart; 1 for equal prompts.
        kind: "exact" if the prompts are equal after normalisation.
    """

    first: str
    second: str
    similarity: float
    kind: Literal["exact", "near"]


def normalise(text: str) -> str:
    """The text without what hides equality: invisible marks, case, compatibility forms, punctuation, white space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", without_marks(text)).casefold())
    blanks = {ord(character): " " for character in set(folded) if unicodedata.category(character)[0] in _SEPARATORS}
    return " ".join(folded.translate(blanks).split())


def overlaps(
    first: Sequence[LabelledPrompt], second: Sequence[LabelledPrompt], *, threshold: float = 0.8
) -> tuple[Overlap, ...]:
    """Prompts of one set, as conversations without system turns, that are in the other too; the most similar first.

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
    """The share of shingles that both sets have."""
    return len(first & second) / len(first | second)


def words_of(text: str) -> list[str]:
    """The words of a normalised text, of which scripts without spaces have one per character."""
    return _WORD.findall(text)


def shingles(text: str) -> Shingles:
    """Every run of five words of a normalised text; a shorter text is one run."""
    words = words_of(text)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return frozenset(tuple(words[start : start + SHINGLE_WORDS]) for start in starts)


def _ids_by_text(prompts: Sequence[LabelledPrompt]) -> Mapping[str, list[str]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for prompt in prompts:
        conversation = " ".join(turn.content for turn in prompt.turns if turn.role != "system")
        ids[normalise(conversation) or conversation].append(prompt.id)
    return ids


def _near(left: Sequence[str], right: Sequence[str], threshold: float) -> Iterator[tuple[str, str, float]]:
    """Pairs of different texts that are similar enough."""
    told = _telling({text: shingles(text) for text in (*left, *right)})
    frequency = Counter(shingle for entry in told.values() for shingle in entry)
    index: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for text in left:
        for shingle in _rarest(told[text], frequency, threshold):
            index[shingle].append(text)
    for match in right:
        candidates = {text for shingle in _rarest(told[match], frequency, threshold) for text in index.get(shingle, ())}
        for text in candidates - {match}:
            similarity = jaccard(told[text], told[match])
            if similarity >= threshold:
                yield text, match, similarity


def _telling(entries: Mapping[str, Shingles]) -> Mapping[str, Shingles]:
    """The sets without shingles that many texts have; a text that has only such shingles keeps them."""
    frequency = Counter(shingle for entry in entries.values() for shingle in entry)
    most = max(_COMMON_FROM, _COMMON_SHARE * len(entries))
    common = frozenset(shingle for shingle, count in frequency.items() if count > most)
    return {text: entry - common or entry for text, entry in entries.items()}


def _rarest(entry: Shingles, frequency: Mapping[tuple[str, ...], int], threshold: float) -> list[tuple[str, ...]]:
    """The rarest shingles of a set, one more than a similar enough set can lack, so that one of them is shared."""
    least_shared = math.ceil(threshold * len(entry) - 1e-9)
    return sorted(entry, key=lambda shingle: (frequency[shingle], shingle))[: len(entry) - least_shared + 1]
