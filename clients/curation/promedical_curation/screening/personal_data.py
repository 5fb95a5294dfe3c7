"""Personal data that people write into questions: how to reach somebody, and who somebody is."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Final, Literal

from phonenumbers import Leniency, PhoneNumberMatcher


def _listed(name: str) -> frozenset[str]:
    """The words of a file of this package."""
    return frozenset(files(__package__).joinpath(name).read_text(encoding="utf-8").split())


Kind = Literal["e-mail", "phone", "name", "record number", "date of birth", "address"]

_REGIONS: Final = ("US", "GB", "IN")
"""Where a number without a country is looked for; with `+`, all countries are."""
_SEVEN_DIGITS: Final = re.compile(r"(?:\d[\s().\-/]*){7,}")
_CALLED: Final = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|whats ?app|call|text|contact|reach|dial|number|no)\b[^\d\n]{0,25}"
    r"\+?(?:\d[\s().\-]{0,2}){6,14}\d",
    re.IGNORECASE,
)

_NOT_NAMES: Final = _listed("not_names.txt")
_GIVEN_NAMES: Final = _listed("given_names.txt")
_SELF: Final = re.compile(r"\b(?:i(?:'|\s+a)?m|this\s+is)\s+(?:dr\.?\s+)?([^\W\d_][\w'-]+)", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"\b(?:my\s+(?:full\s+|first\s+|last\s+)?name(?:'s|\s+is)|(?:patient(?:'?s)?|full|first|last)?\s*name\s*[:=]|"
    r"(?:i'?m|i\s+am|am)\s+called|call\s+me)[\s,:\-]+(?:dr\.?\s+|mr\.?\s+|mrs\.?\s+|ms\.?\s+)?([^\W\d_][\w'-]*)",
    re.IGNORECASE,
)
_SIGNED: Final = re.compile(
    r"(?:(?i:regards|sincerely|faithfully|truly|yours|cheers|love|signed|thanks|thank you))\s*[,.\n\-]+\s*"
    r"([A-Z][\w'-]+)(?:\s+[A-Z][\w'.-]*)?[\s.]*$"
)
_PATTERNS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("e-mail", re.compile(
        r"(?<![\w.+-])[\w.+-]+\s?(?:@|\(at\)|\[at\])\s?"
        r"[\w-]+(?:\.|\s?(?:\(dot\)|\[dot\])\s?)[\w.-]*\w", re.IGNORECASE)),
    ("record number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),  # social security
    ("record number", re.compile(
        r"\b(?:ssn|social security|nhs|mrn|medical record|patient id|passport|insurance id|member id|aadhaar)"
        r"(?:\s*(?:number|no\.?|#|:|is))*\s*[:#]?\s*[A-Z]{0,3}[\d-]{5,}", re.IGNORECASE)),
    ("date of birth", re.compile(
        r"\b(?:dob|d\.o\.b\.?|date of birth|birth ?date|birthday|born)\b\W{0,3}(?:is|was|on|:)?\s*"
        r"(?:\d{1,4}[/.\-]\d{1,2}[/.\-]\d{1,4}|\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?[A-Z][a-z]+,?\s+\d{4}|"
        r"[A-Z][a-z]+\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})", re.IGNORECASE)),
    ("address", re.compile(
        r"\b\d{1,5}\s+(?:[A-Z][\w.]+\s+){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct)\b"
        r"(?!\s*(?:elevation|depression|segment))")),
)  # fmt: skip


def personal_data(text: str) -> Kind | None:
    """The first kind of personal data in a text, if there is any."""
    return next(_found(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")), None)


def _found(text: str) -> Iterator[Kind]:
    yield from (kind for kind, pattern in _PATTERNS if pattern.search(text))
    if _has_phone(text):
        yield "phone"
    if _has_name(text):
        yield "name"


def _has_phone(text: str) -> bool:
    if not _SEVEN_DIGITS.search(text):
        return False
    if _CALLED.search(text):
        return True
    found = (match for region in _REGIONS for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID))
    return any("/" not in match.raw_string for match in found)  # 160 - 170/80 - 100 is a blood pressure


def _has_name(text: str) -> bool:
    """A name that is introduced as one, or a likely one after `I'm` and the like."""
    introduced = (found[1] for pattern in (_NAMED, _SIGNED) for found in pattern.finditer(text))
    said = (found[1] for found in _SELF.finditer(text))
    return any(_may_name(word) for word in introduced) or any(
        word.casefold() in _GIVEN_NAMES or (_is_capitalised(word) and _may_name(word)) for word in said
    )


def _may_name(word: str) -> bool:
    return word.casefold() not in _NOT_NAMES


def _is_capitalised(word: str) -> bool:
    return word[0].isupper() and word[1:].islower()
