"""The screens, row by row: each row passes, or is dropped for the first reason that holds.

Reasons: `empty`, `corrupted` (a name that the publisher replaced by ChatDoctor), `personal_data`, `language`,
`not_a_question`. A reference with the second or third fault is removed, and its row stays.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal

from promedical.visible import is_blank
from promedical_curation.rows import Drop, Row
from promedical_curation.screening.language import Languages
from promedical_curation.screening.personal_data import personal_data
from promedical_curation.screening.questions import asks

STAGE: Final = "screens"
Reason = Literal["empty", "corrupted", "personal_data", "language", "not_a_question"]

_REPLACED: Final = re.compile(r"chat[\s_-]*doctor", re.IGNORECASE)
_PLACEHOLDERS: Final = frozenset(
    {"nan", "none", "null", "n/a", "na", "nil", "<noinput>", "noinput", "undefined", "test"}
)


def screen(rows: Iterable[Row], languages: Languages) -> Iterator[Row | Drop]:
    """Every row in order, as it is or as a drop.

    Args:
        rows: From any sources.
        languages: The languages that pass. Only texts that may be English are tested for being questions.
    """
    for row in rows:
        found = _first_reason(row.instruction, languages)
        yield _with_clean_reference(row) if found is None else Drop(row=row, reason=found[0], note=found[1])


def _first_reason(text: str, languages: Languages) -> tuple[Reason, dict[str, Any]] | None:
    if is_empty(text):
        return "empty", {}
    if _REPLACED.search(text):
        return "corrupted", {}
    kind = personal_data(text)
    if kind:
        return "personal_data", {"kind": kind}
    foreign = languages.foreign(text)
    if foreign:
        return "language", {"language": foreign[0], "margin": foreign[1]}
    if languages.may_be_english(text) and not asks(text):
        return "not_a_question", {}
    return None


def is_empty(text: str) -> bool:
    """Whether a text says nothing: it is blank, has no letter, or is what tables write for nothing."""
    return is_blank(text) or not any(map(str.isalpha, text)) or text.strip().casefold() in _PLACEHOLDERS


def _with_clean_reference(row: Row) -> Row:
    if row.reference is None:
        return row
    fault = "corrupted" if _REPLACED.search(row.reference) else personal_data(row.reference)
    return replace(row, reference=None).noted(STAGE, {"reference_removed": fault}) if fault else row
