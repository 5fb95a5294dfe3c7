"""Argilla's records (version 2, `records.to_json`): a record for each checkpoint, a response for each rater.

    [{"id", "fields": {"prompt": [{"role", "content"}], "response", "criterion"}, "metadata": {...},
      "responses": {"verdict": [{"value": "met", "user_id": name, "status": "submitted"}],
                    "rationale": [{"value": "...", "user_id": name, "status": "submitted"}]}}]

The dataset has a chat field `prompt`, a label question `verdict` (met, not_met, cannot_assess) and a text question
`rationale`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.formats.conversations import messages_of
from promedical_review.bench_items.rated import Rated
from promedical_review.formats.checkpoints import CheckpointRow, rated_from
from promedical_review.formats.rows import Facts, Said, Turn, checked_row, entries, facts_of, rater_name

EXPECTED: Final = "Argilla's records of checkpoints that promedical-review exported"
DROPS: Final = "spans of verdicts, times, gold and repeated items, drafts, adjudications, events"
"""What is not in the file."""

_SUBMITTED: Final = "submitted"


class _Fields(BaseModel):
    prompt: list[Turn]
    response: str
    criterion: str


class _Response(BaseModel):
    value: Any
    user_id: str
    status: str = _SUBMITTED


class _Record(BaseModel):
    fields: _Fields
    metadata: Facts
    responses: dict[str, list[_Response]]


def write(path: Path, rows: Sequence[CheckpointRow]) -> None:
    """Write checkpoints as records.

    Raises:
        DataError: The file cannot be written.
    """
    with output_file(path) as stream:
        json.dump([_record(row) for row in rows], stream, ensure_ascii=False, indent=1)


def read(path: Path) -> Rated:
    """Read records with responses; those that are drafts or discarded are left out.

    Raises:
        DataError: The file holds none, or a record cannot be used.
    """
    return rated_from([_row(place, record) for place, record in entries(path, _Record, EXPECTED)])


def _record(row: CheckpointRow) -> dict[str, Any]:
    def given(values: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        return [{"value": value, "user_id": name, "status": _SUBMITTED} for name, value in values if value]

    metadata = {name: value for name, value in facts_of(row).items() if value is not None}  # Argilla takes no null
    return {
        "id": row.key,
        "fields": {"prompt": messages_of(row.prompt), "response": row.answer.text, "criterion": row.criterion.text},
        "metadata": metadata,
        "responses": {
            "verdict": given([(rater_name(vote), vote.given.verdict) for vote in row.votes]),
            "rationale": given([(rater_name(vote), vote.given.rationale) for vote in row.votes]),
        },
    }


def _row(place: str, record: _Record) -> CheckpointRow:
    fields = record.fields
    return checked_row(
        place, record.metadata, fields.prompt, fields.response, fields.criterion, list(_said(place, record))
    )


def _said(place: str, record: _Record) -> Iterator[Said]:
    rationales = {each.user_id: each.value for each in record.responses.get("rationale", [])}
    for each in record.responses.get("verdict", []):
        if each.status == _SUBMITTED:
            try:
                yield Said(rater=each.user_id, verdict=each.value, rationale=rationales.get(each.user_id, ""))
            except ValidationError:
                raise DataError(f"{place}: a response is no verdict; expected met, not_met or cannot_assess") from None
