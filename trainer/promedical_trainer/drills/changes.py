"""From a true statement to one that differs in one place: a number, a negation, an opposite or a name. Pure.

What is changed is no longer stated by the text that states the original. Whether it *contradicts* the original is a
stronger claim; it is made only where the rule cannot be wrong about it: no hedge, no bound, no name.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from promedical_trainer.drills.language import english

ChangeKind: TypeAlias = Literal["number", "negation", "opposite", "swap", "drug"]

_NUMBER: Final = re.compile(r"(?<![\w.,/-])\d{1,3}(?:,\d{3})+(?![\w/-])|(?<![\w.,/-])\d+(?:\.\d+)?(?![\w/-]|[.,]\d)")
_FACTORS: Final = (2, 3, 4)
_PERCENTS: Final = (5, 15, 35, 60, 85)
_VOWELS: Final = "aeiou"
_YEARS: Final = range(1800, 2100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A changed statement, and whether it contradicts the original beyond doubt."""

    kind: ChangeKind
    text: str
    contradicts: bool


def changes(sentence: str, draw: random.Random) -> list[Change]:
    """At most one change of each kind, in a fixed order."""
    found = (_number(sentence, draw), _negation(sentence), _exchange(sentence), _drug(sentence, draw))
    return [change for change in found if change is not None]


def exchanged_numbers(one: str, other: str) -> tuple[Change, Change] | None:
    """Both sentences with a number of the other one, so that together they have the words that they had."""
    for first in _numbers(one):
        for second in _numbers(other):
            if first[0] != second[0] and first[0] not in other and second[0] not in one:
                return _with_number(one, first, second[0]), _with_number(other, second, first[0])
    return None


def _number(sentence: str, draw: random.Random) -> Change | None:
    matches = _numbers(sentence)
    if not matches:
        return None
    match = draw.choice(matches)
    percent = _after(sentence, match) in {"%", "percent"}
    other = _other_percent(match[0], draw) if percent else _other_number(match[0], draw)
    return _with_number(sentence, match, other)


def _numbers(sentence: str) -> list[re.Match[str]]:
    """Those that count something: a number behind an ordinary noun, as in "chromosome 7", is a name."""
    return [
        match
        for match in _NUMBER.finditer(sentence)
        if _before(sentence, match) in ENGLISH_STOP_WORDS or _after(sentence, match) in english().units
    ]


def _with_number(sentence: str, match: re.Match[str], number: str) -> Change:
    bounded = bool(_words(sentence[: match.start()]) & english().bounds) or "-" in sentence
    changed = sentence[: match.start()] + number + sentence[match.end() :]
    return Change(kind="number", text=changed, contradicts=not bounded and not _hedged(sentence))


def _other_percent(written: str, draw: random.Random) -> str:
    return str(draw.choice([each for each in _PERCENTS if each != float(written.replace(",", ""))]))


def _other_number(written: str, draw: random.Random) -> str:
    if "." in written:
        return f"{float(written) * draw.choice(_FACTORS):.{len(written.partition('.')[2])}f}"
    value = int(written.replace(",", ""))
    if value in _YEARS:
        return str(value - draw.choice((11, 17, 23)))
    other = value * draw.choice(_FACTORS) or draw.choice(_FACTORS)
    return f"{other:,}" if "," in written or other >= 10_000 else str(other)  # noqa: PLR2004 - as people write


def _negation(sentence: str) -> Change | None:
    """Denies the first verb, if it is the main one."""
    if _hedged(sentence):
        return None
    verbs = english().negatable
    match = re.search(rf"\b(?:{'|'.join(sorted(verbs, key=len, reverse=True))})\b", sentence)
    if match is None or _words(sentence[: match.start()]) & english().subordinate:
        return None
    changed = sentence[: match.start()] + verbs[match[0]] + sentence[match.end() :]
    return Change(kind="negation", text=changed, contradicts=True)


def _exchange(sentence: str) -> Change | None:
    """The first word that has an opposite, or else one that has a counterpart."""
    for changed in _exchanged(sentence, english().opposites):
        return Change(kind="opposite", text=changed, contradicts=not _hedged(sentence))
    for changed in _exchanged(sentence, english().swaps):
        return Change(kind="swap", text=changed, contradicts=False)
    return None


def _exchanged(sentence: str, pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Not where both words stand: "men and women" would become "women and women"."""
    for one, other in pairs:
        place, counterpart = _place(one, sentence), _place(other, sentence)
        if place is not None and counterpart is None:
            yield _replaced(sentence, place, other)
        elif counterpart is not None and place is None:
            yield _replaced(sentence, counterpart, one)


def _drug(sentence: str, draw: random.Random) -> Change | None:
    for line in english().drugs:
        for name in line:
            place = _place(name, sentence)
            if place is not None:
                others = [other for each in english().drugs if each != line for other in each]
                free = [other for other in others if _place(other, sentence) is None]
                return Change(kind="drug", text=_replaced(sentence, place, draw.choice(free)), contradicts=False)
    return None


def _place(words: str, sentence: str) -> re.Match[str] | None:
    if words not in sentence.lower():  # far cheaper, and nearly always so
        return None
    return re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", sentence, re.IGNORECASE)


def _replaced(sentence: str, place: re.Match[str], words: str) -> str:
    spelt = words[0].upper() + words[1:] if place[0][0].isupper() else words
    article = "an" if words[0].lower() in _VOWELS else "a"
    before = re.sub(r"\b([Aa])n?( )$", lambda match: match[1] + article[1:] + match[2], sentence[: place.start()])
    return before + spelt + sentence[place.end() :]


def _before(sentence: str, match: re.Match[str]) -> str:
    words = re.findall(r"[\w-]+", sentence[: match.start()])
    return words[-1].lower() if words else ""


def _after(sentence: str, match: re.Match[str]) -> str:
    words = re.findall(r"[\w-]+|%", sentence[match.end() :])
    return words[0].lower() if words else ""


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+(?:n't)?", text.lower()))


def _hedged(sentence: str) -> bool:
    return bool(_words(sentence) & english().hedges) or "n't" in sentence
