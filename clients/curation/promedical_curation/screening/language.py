"""The language of a question, by py3langid's model of character sequences.

Short questions full of Latin and proper names look like other languages a little. So a question counts as foreign only
if another language is likelier by a margin, which was chosen on real questions: see docs/curation-sources.md.
"""

import re
from collections.abc import Collection
from typing import Final

from promedical_curation.errors import CurationError

MARGIN: Final = 12.0
"""In natural logarithms of likelihood."""

_COMMON: Final = re.findall(
    r"\w+", "ar bn cs da de el en es fa fi fr he hi hu id it ja ko nl no pl pt ro ru sv ta th tr uk ur vi zh"
)


class Languages:
    """Tells questions in other languages than these; it takes a second to make.

    Args:
        wanted: Codes of ISO 639-1, such as `en`.

    Raises:
        CurationError: A code is unknown, or there is none.
    """

    def __init__(self, wanted: Collection[str] = ("en",)) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - it is heavy

        self._wanted = frozenset(wanted)
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
        unknown = self._wanted - set(self._identifier.labels)
        if unknown or not self._wanted:
            raise CurationError(f"languages {sorted(unknown)} are unknown; expected codes such as en, de, zh")
        self._identifier.set_languages(sorted({*_COMMON, *self._wanted}))

    def foreign(self, text: str) -> tuple[str, float] | None:
        """The language of a text in none of the wanted ones, and by how much it is likelier; None for all others."""
        language, lead = self.lead(text)
        return (language, round(lead, 1)) if lead >= MARGIN else None

    def lead(self, text: str) -> tuple[str, float]:
        """The likeliest language, and its lead over the likeliest of the wanted ones."""
        return self._likeliest(text, self._wanted)

    def may_be_english(self, text: str) -> bool:
        """Whether no other language is likelier by the margin."""
        return self._likeliest(text, {"en"})[1] < MARGIN

    def _likeliest(self, text: str, wanted: Collection[str]) -> tuple[str, float]:
        ranked = self._identifier.rank(text)
        language, likeliest = ranked[0]
        return str(language), float(likeliest - max(score for name, score in ranked if name in wanted))
