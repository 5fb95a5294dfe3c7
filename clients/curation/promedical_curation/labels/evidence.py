"""Whether what a judge quotes stands in the response. A quote that does not is no evidence, and its vote not one."""

import re
import unicodedata
from typing import Final

_QUOTES: Final = re.compile("[\u2018-\u201f\u00ab\u00bb\u2032\u2033'\"]")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212]")
_MARKS: Final = re.compile(r"[*_`#>]+")
_GAP: Final = re.compile(r"\s*(?:\.\.\.|…|\[\.\.\.\])\s*")
_LEAST_CHARACTERS: Final = 3


def is_quoted(quote: str, response: str) -> bool:
    """Whether the response holds the quote word for word.

    Typography (quotation marks, dashes, white space, Markdown's marks) and case may differ, since models change them
    unasked. Where the quote leaves something out by an ellipsis, its parts must stand in the response in this order.
    """
    text, place = _plain(response), 0
    parts = [_plain(part) for part in _GAP.split(quote)]
    parts = [part for part in parts if part]
    if sum(map(len, parts)) < _LEAST_CHARACTERS:
        return False
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text)
    for marks, instead in ((_QUOTES, ""), (_DASHES, "-"), (_MARKS, "")):
        plain = marks.sub(instead, plain)
    return " ".join(plain.casefold().split()).strip(" .,;:")
