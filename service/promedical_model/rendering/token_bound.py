"""How many tokens a text has at least, by counting its bytes: what can never fit is not tokenised.

A token holds at most so many of each byte, and of each group of bytes, as the vocabulary's tokens do. The tokens of a
text hold all of its bytes, so there are at least as many as those maxima say. For text of a script that the vocabulary
hardly knows this is nearly exact, where the longest token (often a line of hyphens) would say next to nothing.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

_SPACE: Final = frozenset(b" \t\n\r\x0b\x0c")
_LETTERS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HIGH: Final = frozenset(range(128, 256))
_OTHER: Final = frozenset(range(256)) - _SPACE - _LETTERS - _HIGH
_GROUPS: Final = (_SPACE, _LETTERS, _OTHER, _HIGH)
_CHUNK: Final = 8192
"""Characters that are counted at once."""
_SEAM_TOKENS: Final = 8
"""What normalising two chunks apart may add to their tokens."""


class TokenBound:
    """Bounds for one vocabulary.

    Args:
        tokens: The bytes of every token that text may become.
        normalise: What the tokenizer does with a text first; None: nothing.
    """

    def __init__(self, tokens: Iterable[bytes], normalise: Callable[[str], str] | None = None) -> None:
        known = [Counter(token) for token in tokens]
        self._normalise = normalise
        self._most = {byte: max((token[byte] for token in known), default=0) or 1 for byte in range(256)}
        self._most_of = [max((_count(token, group) for token in known), default=0) or 1 for group in _GROUPS]
        self._densest = max(map(self._density, known), default=1.0)

    def least_tokens(self, text: str, enough: int) -> int:
        """A number of tokens that `text` has at least; no more than about `enough` are looked for."""
        return self._scan(_forwards(text), enough)[1]

    def first(self, text: str, tokens: int) -> str:
        """The start of `text` that holds at least `tokens`, or all of it."""
        return text[: self._scan(_forwards(text), tokens)[0]]

    def last(self, text: str, tokens: int) -> str:
        """The end of `text` that holds at least `tokens`, or all of it."""
        return text[len(text) - self._scan(_backwards(text), tokens)[0] :]

    def _scan(self, chunks: Iterator[str], enough: int) -> tuple[int, int]:
        """Characters that were counted, and the tokens that they are at least."""
        counts: Counter[int] = Counter()
        characters = least = slack = 0
        for chunk in chunks:
            counts.update((self._normalise(chunk) if self._normalise else chunk).encode())
            characters += len(chunk)
            least = max(0, self._least(counts) - slack)
            if least >= enough:
                break
            slack += _SEAM_TOKENS if self._normalise else 0
        return characters, least

    def _least(self, counts: Mapping[int, int]) -> int:
        by_byte = max((count / self._most[byte] for byte, count in counts.items()), default=0.0)
        return math.ceil(max(by_byte, self._density(counts) / self._densest) - 1e-6)

    def _density(self, counts: Mapping[int, int]) -> float:
        """The shares of the groups' maxima together; a token has at most `_densest` of it."""
        return sum(_count(counts, group) / most for group, most in zip(_GROUPS, self._most_of, strict=True))


def _count(counts: Mapping[int, int], group: frozenset[int]) -> int:
    return sum(count for byte, count in counts.items() if byte in group)


def _forwards(text: str) -> Iterator[str]:
    return (text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK))


def _backwards(text: str) -> Iterator[str]:
    return (text[max(0, stop - _CHUNK) : stop] for stop in range(len(text), 0, -_CHUNK))
