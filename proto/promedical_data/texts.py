"""Texts as people see them: which are blank, and which look the same. Pure."""

import hashlib
import unicodedata
from typing import Final

_BLANKS: Final = frozenset("ZC")
"""Unicode categories of invisible characters: separators and controls, such as zero-width and direction marks."""
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that are invisible too."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text is visible."""
    return not any(unicodedata.category(each)[0] not in _BLANKS and each not in _FILLERS for each in text)


def text_id(text: str) -> str:
    """An id, made from the text, for what has none."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:10]


def without_marks(text: str) -> str:
    """The text without zero-width and direction marks, soft hyphens and similar characters."""
    if text.isascii():
        return text
    return "".join(each for each in text if unicodedata.category(each) != "Cf")


def looks_like(text: str) -> str:
    """A form that is equal for texts that look the same, despite other white space and invisible characters."""
    return " ".join(without_marks(unicodedata.normalize("NFC", text)).split())
