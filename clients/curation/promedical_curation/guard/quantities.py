"""Numbers with their units, and ages, in a question. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from promedical_curation.guard.words import NUMBERS, RANKED, ROMAN, UNITS

_UNIT: Final = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_WORD_NUMBER: Final = "|".join(sorted(NUMBERS, key=len, reverse=True))
_AGE_UNIT: Final = "years?|yrs?|months?|weeks?|days?"
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NAMED: Final = re.compile(rf"\b(?!(?:{RANKED}|ages?|aged)\b)([a-z]+)-(?=\d)")
"""IL-6 and COVID-19 are names, as IL6 is; type-2 is not."""
_RANK: Final = re.compile(rf"\b({RANKED})[ -]({'|'.join(sorted(ROMAN, key=len, reverse=True))})\b")
_AGE: Final = re.compile(
    rf"""
    (?<![\w.])(?:
      (?P<old>\d+(?:\.\d+)?|{_WORD_NUMBER})[ -]*(?P<unit>{_AGE_UNIT})[ -]*(?:old|of[ ]age|aged)\b
    | (?P<short>\d+)[ -]*(?:y\.?/?o\.?|y/o)(?!\w)
    | (?:aged?|age[ ]of)[ -]+(?P<aged>\d+)(?:[ ]*(?P<aged_unit>{_AGE_UNIT})\b)?
    | (?P<sexed>\d{{1,3}})(?:[ ]?yr)?(?P<sex>[mf])\b
    )""",
    re.VERBOSE,
)
_QUANTITY: Final = re.compile(
    rf"(?<![\w.])(?:(?P<digits>\d+(?:\.\d+)?)|(?P<word>{_WORD_NUMBER})\b)"
    rf"(?:(?:st|nd|rd|th)\b|[ -]*(?P<units>(?:{_UNIT})(?!\w)(?:[ ]*(?:/|per)[ ]*(?:{_UNIT}|m2)(?!\w))*)|(?![^\W_]))"
)
_SEXES: Final = {"m": "male", "f": "female"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantities:
    """What a question counts and measures.

    Attributes:
        values: The numbers as they are written.
        measures: The same with their units, in base units: 0.5 g and 500 mg are one.
        ages: Ages in months, or in seconds below a month.
        sexes: What 45M says beside the age.
        rest: The question without all of these.
    """

    values: frozenset[float]
    measures: frozenset[tuple[float, str]]
    ages: frozenset[tuple[float, str]]
    sexes: frozenset[str]
    rest: str


def quantities(text: str) -> Quantities:
    """The numbers of a text in small letters."""
    text = _RANK.sub(lambda found: f"{found[1]} {ROMAN[found[2]]}", _NAMED.sub(r"\1", _THOUSANDS.sub("", text)))
    ages = list(_AGE.finditer(text))
    without_ages = _AGE.sub(" ", text)
    found = list(_QUANTITY.finditer(without_ages))
    return Quantities(
        values=frozenset(_value(each["digits"] or each["word"]) for each in found),
        measures=frozenset(measure for each in found for measure in _measures(each)),
        ages=frozenset(_in_base(_value(_age(each)), each["unit"] or each["aged_unit"] or "years") for each in ages),
        sexes=frozenset(_SEXES[each["sex"]] for each in ages if each["sex"]),
        rest=_QUANTITY.sub(" ", without_ages),
    )


def _age(found: re.Match[str]) -> str:
    return str(found["old"] or found["short"] or found["aged"] or found["sexed"])


def _measures(found: re.Match[str]) -> Iterator[tuple[float, str]]:
    value = _value(found["digits"] or found["word"])
    first, *others = re.split(r"[ ]*(?:/|\bper\b)[ ]*", found["units"] or "")
    if others:  # the whole of mg/kg is one unit
        yield value, "/".join([first, *others])
    else:
        yield _in_base(value, first)


def _in_base(value: float, unit: str) -> tuple[float, str]:
    factor, base = UNITS.get(unit, (1, unit))
    return float(f"{value * factor:.6g}"), base


def _value(digits: str) -> float:
    return float(NUMBERS.get(digits, 0) if digits in NUMBERS else digits)
