"""Verdicts as CSV, one a row, for spreadsheets and statistics. It is not read back: texts of prompts are not in it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from promedical_data.files import output_file
from promedical_review.clock import iso
from promedical_review.formats.checkpoints import CheckpointRow, Vote

DROPS: Final = "texts of prompts and answers, gold and repeated items, drafts, adjudications, events"
"""What is not in the file."""

COLUMNS: Final = (
    "item",
    "version",
    "category",
    "answer",
    "model",
    "criterion",
    "dimension",
    "polarity",
    "criterion_text",
    "rater",
    "rater_kind",
    "verdict",
    "rationale",
    "span_start",
    "span_end",
    "at",
)

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def write(path: Path, rows: Sequence[CheckpointRow]) -> None:
    """Write verdicts.

    Raises:
        DataError: The file cannot be written.
    """
    write_table(path, COLUMNS, [_values(row, vote) for row in rows for vote in row.votes])


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table. A text that a spreadsheet would run as a formula gets an apostrophe before it.

    Raises:
        DataError: The file cannot be written.
    """
    with output_file(path) as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)


def _values(row: CheckpointRow, vote: Vote) -> dict[str, Any]:
    start, end = vote.given.span or (None, None)
    about = {"item": row.item, "version": row.version, "category": row.category, "answer": row.answer.key}
    asked = {"criterion": row.criterion.id, "dimension": row.criterion.dimension, "polarity": row.criterion.polarity}
    said = {"verdict": vote.given.verdict, "rationale": vote.given.rationale, "span_start": start, "span_end": end}
    return {
        **about,
        **asked,
        **said,
        "model": row.answer.model,
        "criterion_text": row.criterion.text,
        "rater": vote.rater,
        "rater_kind": vote.kind,
        "at": "" if vote.at is None else iso(vote.at),
    }


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
