"""Texts as people see them: ids made of them, and which look the same. Pure."""

import hashlib
import unicodedata

from promedical.visible import without_marks


def text_id(text: str) -> str:
    """An id, made from the text, for what has none."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:10]


def looks_like(text: str) -> str:
    """A form that is equal for texts that look the same, despite other white space and invisible characters."""
    return " ".join(without_marks(unicodedata.normalize("NFC", text)).split())
