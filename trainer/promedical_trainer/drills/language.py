"""What the rules know about English: sentences, the words that carry their content, and which can stand alone. Pure."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import yaml
from pydantic import TypeAdapter
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\"])")
_WORD: Final = re.compile(r"[a-z0-9]+(?:[.,]\d+)*")
_LENGTHS: Final = range(40, 241)
_LEAST_WORDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """Lists of words, as `wordings/language.yaml` explains them."""

    boilerplate: tuple[str, ...]
    openers: tuple[str, ...]
    hedges: frozenset[str]
    negatable: dict[str, str]
    subordinate: frozenset[str]
    units: frozenset[str]
    bounds: frozenset[str]
    opposites: tuple[tuple[str, str], ...]
    swaps: tuple[tuple[str, str], ...]
    drugs: tuple[tuple[str, ...], ...]


@cache
def english() -> Language:
    """The lists that come with the package."""
    text = (files("promedical_trainer.drills") / "wordings" / "language.yaml").read_text(encoding="utf-8")
    return TypeAdapter(Language).validate_python(yaml.safe_load(text))


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text that are whole, of a middling length and about medicine, each once."""
    found = _END.split(" ".join(text.split()))
    return tuple(dict.fromkeys(each for each in found if _is_plain(each)))


def stands_alone(sentence: str) -> bool:
    """Whether it can be understood without the sentence before it."""
    return not _any_of(english().openers).match(sentence)


@lru_cache(maxsize=2**18)
def content(text: str) -> frozenset[str]:
    """The words that carry the content, without the plural's s."""
    words = _WORD.findall(text.lower())
    return frozenset(_stem(word) for word in words if word not in ENGLISH_STOP_WORDS)


def coverage(statement: str, text: str) -> float:
    """The share of a statement's content words that a text has."""
    words = content(statement)
    return len(words & content(text)) / len(words) if words else 1.0


def continued(sentence: str) -> str:
    """A sentence to follow other words: no full stop, and no capital if its first word is an ordinary one."""
    body = sentence.strip().rstrip(".")
    first = body.split(" ", 1)[0]
    ordinary = first.lower() in ENGLISH_STOP_WORDS and first != "I"
    return body[0].lower() + body[1:] if ordinary else body


def _is_plain(sentence: str) -> bool:
    return (
        len(sentence) in _LENGTHS
        and sentence.endswith(".")
        and sentence[0].isupper()
        and len(sentence.split()) >= _LEAST_WORDS
        and sentence.count("(") == sentence.count(")")
        and not any(mark in sentence for mark in (" - ", ":", "?", "[", "{"))
        and not _any_of(english().boilerplate).search(sentence)
    )


@cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b")


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > len("gas") else word
