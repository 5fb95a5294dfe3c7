"""What the editor says while somebody words a rubric: findings of the lint in the reader's language. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promedical_data.rounds.round import Proposed
from promedical_review.errors import InvalidError
from promedical_review.rubric_rounds.decisions import advice as lint_of
from promedical_review.rubric_rounds.decisions import criterion_of
from promedical_review.web.changes import changes
from promedical_review.web.languages import Texts

Row = Mapping[str, Any]


def advice(rows: Sequence[Row], original: Sequence[Proposed], t: Texts) -> dict[str, Any]:
    """Findings by criterion, and what the edit changed."""
    said = changes(original, list(_worded(rows)), t)
    return {
        "findings": [*_empty(rows, t), *_findings(rows, t)],
        "changes": [[{"text": piece.text, "mark": piece.mark} for piece in change] for change in said],
    }


def _worded(rows: Sequence[Row]) -> Iterator[Proposed]:
    """The rows that are criteria already."""
    for row in rows:
        try:
            yield criterion_of(row)
        except InvalidError:
            continue


def _empty(rows: Sequence[Row], t: Texts) -> Iterator[dict[str, Any]]:
    for row in rows:
        if not str(row.get("text", "")).strip():
            yield {"criterion": row.get("id"), "message": t("lint_empty")}


def _findings(rows: Sequence[Row], t: Texts) -> Iterator[dict[str, Any]]:
    for each in lint_of(rows):
        words = f" {t('lint_words', words=each.words)}" if each.words else ""
        yield {"criterion": each.criterion, "message": t(f"lint_{each.rule}") + words}
