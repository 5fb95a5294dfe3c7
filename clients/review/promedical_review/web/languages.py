"""The texts of the interface, in the reader's language: one flat file a language, the same keys in each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

LANGUAGES: Final = {"en": "English", "zh": "中文"}
"""Codes of languages, and what their speakers call them."""

DEFAULT: Final = "en"
_FOR_SCRIPTS: Final = "js."


@cache
def catalog(language: str) -> Mapping[str, str]:
    """All texts of a language."""
    texts: dict[str, str] = json.loads((files(__package__) / "texts" / f"{language}.json").read_text(encoding="utf-8"))
    return texts


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; called with a key, and with the values that the text has places for."""

    language: str

    def __call__(self, key: str, /, **values: object) -> str:
        return catalog(self.language)[key].format(**values)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in catalog(self.language)

    @property
    def for_scripts(self) -> Mapping[str, str]:
        """What scripts in the browser say."""
        return {key: text for key, text in catalog(self.language).items() if key.startswith(_FOR_SCRIPTS)}


def language_of(chosen: str | None, accepted: str) -> str:
    """The language to answer in: the one that was chosen, else the first that the browser accepts and we have."""
    if chosen in LANGUAGES:
        return chosen
    wanted = [part.split(";")[0].strip().lower()[:2] for part in accepted.split(",")]
    return next((code for code in wanted if code in LANGUAGES), DEFAULT)
