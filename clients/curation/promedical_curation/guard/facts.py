"""What a question rests on, and the first respect in which two questions differ.

Two questions are the same only if they count the same, deny the same, speak of the same sex and ages, and are about the
same. The guard errs on the side of keeping: a word that it does not know is part of what the question is about.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from promedical_curation.guard.quantities import quantities
from promedical_curation.guard.words import (
    AGE_GROUPS,
    DIRECTED,
    FEMALE,
    GENERIC,
    MALE,
    NEGATIONS,
    SAME_WORD,
    UNAPOSTROPHED,
)

Respect = Literal["number", "unit", "negation", "age", "sex", "subject", "order"]
Relation = tuple[str, frozenset[str], frozenset[str]]

_TOKEN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
"""A word, or a character in scripts without spaces."""
_NOT: Final = re.compile(r"n't\b|\bcannot\b")
_PLAIN: Final = str.maketrans(
    {
        "\N{MICRO SIGN}": "u",
        "\N{GREEK SMALL LETTER MU}": "u",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{FRACTION SLASH}": "/",
    }
)
_WISH: Final = re.compile(r"(?:would|'d) like\b")
_ENDING: Final = re.compile(r"'(?:s|re|ve|ll|d|m)\b")
_LETTERED: Final = re.compile(
    r"\b(vitamin|hepatitis|influenza|hemophilia|bipolar|group|type|class|factor|protein) ([a-z])\b"
)
"""Vitamin A is more than a vitamin, though `a` alone says nothing."""
_BRITISH: Final = ((re.compile("[ao]e"), "e"), (re.compile(r"our\b"), "or"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a question rests on.

    Attributes:
        values: Its numbers.
        measures: Its numbers with their units.
        negated: The words that follow a negation.
        ages: Ages, and groups such as children.
        sexes: Male, female.
        subject: What it is about: every word that is not generic, as often as it is said.
        relations: Words such as `cause`, with what stands before and after them.
    """

    values: frozenset[float]
    measures: frozenset[tuple[float, str]]
    negated: frozenset[str]
    ages: frozenset[object]
    sexes: frozenset[str]
    subject: tuple[str, ...]
    relations: frozenset[Relation]


def facts(text: str) -> Facts:
    """The facts of a question."""
    counted = quantities(_plain(text))
    words = [word for token in _TOKEN.findall(counted.rest) for word in UNAPOSTROPHED.get(token, token).split()]
    names = [_name(word) for word in words]
    return Facts(
        values=counted.values,
        measures=counted.measures,
        negated=frozenset(_next(names, place) for place, word in enumerate(words) if word in NEGATIONS),
        ages=counted.ages | {AGE_GROUPS[word] for word in words if word in AGE_GROUPS},
        sexes=counted.sexes | set(_sexes(words)),
        subject=tuple(sorted(_without_echoes(words, names))),
        relations=frozenset(_relations(words, names)),
    )


def difference(one: Facts, other: Facts) -> Respect | None:
    """The first respect in which two questions differ; None if the guard knows of none."""
    respects: tuple[tuple[Respect, bool], ...] = (
        ("number", one.values != other.values and one.measures != other.measures),
        ("unit", one.measures != other.measures),
        ("age", one.ages != other.ages),
        ("sex", one.sexes != other.sexes),
        ("negation", one.negated != other.negated),
        ("subject", one.subject != other.subject),
        ("order", one.relations != other.relations and _swapped(one, other)),
    )
    return next((respect for respect, differs in respects if differs), None)


def _plain(text: str) -> str:
    """Small letters without accents, with `not` written out and British spelling made American."""
    folded = unicodedata.normalize("NFKD", text.translate(_PLAIN).casefold())
    folded = "".join(each for each in folded if not unicodedata.combining(each))
    for spelling, american in _BRITISH:
        folded = spelling.sub(american, folded)
    written = _ENDING.sub("", _WISH.sub("", _NOT.sub(" not", folded)))
    return _LETTERED.sub(r"\2\1", " ".join(written.split()))


@cache
def _name(word: str) -> str:
    """What a word is called as a subject; nothing if it is generic, or counted elsewhere."""
    if word in GENERIC or word in NEGATIONS or word in MALE or word in FEMALE or word in AGE_GROUPS:
        return ""
    return SAME_WORD.get(word) or _singular(word)


def _singular(word: str) -> str:
    """A word without the ending of a plural. No more is taken off, since names differ in their endings."""
    if word.endswith("ies") and len(word) > len("dies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _without_echoes(words: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """Names, but for those of another word with the same name just before, as in `signs and symptoms`."""
    last = ("", "")
    for word, name in zip(words, names, strict=True):
        if name and not (name == last[1] and word != last[0]):
            yield name
        last = (word, name) if name else last


def _next(names: Sequence[str], place: int) -> str:
    return next((name for name in names[place + 1 :] if name), "")


def _sexes(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word in MALE:
            yield "male"
        elif word in FEMALE:
            yield "female"


def _relations(words: Sequence[str], names: Sequence[str]) -> Iterator[Relation]:
    for place, (word, name) in enumerate(zip(words, names, strict=True)):
        if word in DIRECTED or name in DIRECTED:
            before, after = (frozenset(filter(None, part)) for part in (names[:place], names[place + 1 :]))
            if before and after:
                yield name or word, before, after


def _swapped(one: Facts, other: Facts) -> bool:
    """Whether something stands before a word in one question and after it in the other, and the reverse."""
    return any(
        verb == same and after & other_before and before & other_after
        for verb, before, after in one.relations
        for same, other_before, other_after in other.relations
    )
