"""What of a text a reader sees. A text of which nothing is seen is empty, whatever characters it has. Pure."""

import unicodedata
from typing import Final

_BLANKS: Final = frozenset("ZCM")
"""Unicode categories that show nothing on their own: separators, controls such as zero-width and direction marks,
and marks, which need a letter to stand on.
"""
_FILLERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
"""Letters and symbols that are invisible too."""
_SELECTORS: Final = frozenset(
    map(chr, (0x034F, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
"""Marks without a form of their own."""
_FIRST: Final = 256


def is_blank(text: str) -> bool:
    """Whether nothing of a text is visible."""
    return not (any(map(_is_visible, text[:_FIRST])) or any(map(_is_visible, set(text[_FIRST:]))))


def without_marks(text: str) -> str:
    """The text without what is never seen: zero-width and direction marks, soft hyphens, variation selectors."""
    if text.isascii():
        return text
    return "".join(each for each in text if not _is_ignorable(each))


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in _BLANKS and character not in _FILLERS


def _is_ignorable(character: str) -> bool:
    """Whether Unicode says that it shows nothing: format characters, and marks and letters that are like them."""
    return unicodedata.category(character) == "Cf" or character in _SELECTORS or character in _FILLERS
