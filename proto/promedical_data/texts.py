"""Texts as a reader sees them: what is blank, what is the same. Pure."""

import hashlib
import unicodedata
from typing import Final

_BLANKS: Final = frozenset("ZC")
"""Unicode categories of what nobody sees: separators, and controls, among them zero width and direction marks."""
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that nobody sees either."""


def is_blank(text: str) -> bool:
    """Whether nobody sees anything of a text."""
    return not any(unicodedata.category(each)[0] not in _BLANKS and each not in _FILLERS for each in text)


def text_id(text: str) -> str:
    """An id for what has none: of its text."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:10]


def without_marks(text: str) -> str:
    """The text without zero width and direction marks, soft hyphens and the like."""
    if text.isascii():
        return text
    return "".join(each for each in text if unicodedata.category(each) != "Cf")


def looks_like(text: str) -> str:
    """The same for texts that look the same: whatever white space they have, and what nobody sees."""
    return " ".join(without_marks(unicodedata.normalize("NFC", text)).split())
