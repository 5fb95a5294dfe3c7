"""Searches of long texts that let other threads run: one search of 30 MB would hold the interpreter for seconds."""

import re
from collections.abc import Iterator
from typing import Final

_PIECE: Final = 2**16
_LONGEST: Final = 256
"""The most characters of one match."""


def matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """As `pattern.finditer`, for patterns whose matches are short and do not depend on what stands around them."""
    done = 0
    for start in range(0, len(text), _PIECE):
        stop = start + _PIECE
        for match in pattern.finditer(text, max(start, done), stop + _LONGEST):
            if match.start() >= stop:
                break
            done = match.end()
            yield match
