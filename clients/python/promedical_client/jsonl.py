"""Reads the command line's files: items of the API, labelled data or columns, and rank requests.

Errors never quote text.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from promedical import messages as m
from promedical.rubric import InvalidField
from promedical_client.columns import Columns
from promedical_data.errors import DataError
from promedical_data.faults import first_fault
from promedical_data.formats.content import content_of
from promedical_data.formats.lines import as_object, container_of, is_csv, rows_of
from promedical_data.reading import answers_of, format_of, parse_row
from promedical_data.report import FileFormat
from promedical_data.skips import Place, Refusal, SkipLog

T = TypeVar("T")

_ITEM: Final = TypeAdapter(m.ScoreItem)
_RANK: Final = TypeAdapter(m.RankRequest)
_ITEMS_EXPECTED: Final = (
    "items of the API, or labelled data: one JSON object per line, an array of them, rows of Parquet, or CSV with the "
    "columns prompt and response"
)
_RANK_EXPECTED: Final = "one rank request of the API, as JSON"
_OPTIONS: Final = frozenset(field for field in m.ScoreRequest.__slots__ if field != "items")


class InputError(DataError):
    """A file or an option cannot be used; the message names it, the place and what was expected."""


def read_items(file: str, *, limit: int | None = None, columns: Sequence[str] = ()) -> list[m.ScoreItem]:
    """Read a job: each row is a `ScoreItem`, or a row of a format of labelled data, whose labels are not needed.

    Args:
        file: A path, or `-` for standard input; gzip is detected by its content.
        limit: How many items to read at most.
        columns: Which column holds what, as `NAME=COLUMN`; with them, and in CSV, rows need no id.

    Raises:
        DataError: The file cannot be read, holds no items or a row that cannot be used, or has an id twice.
    """
    named = _columns(columns)
    content = content_of(Path(file), _ITEMS_EXPECTED)
    by_column = named if named or is_csv(content.path) else None
    _check_no_options(file, container_of(content) or {})
    place_of: dict[str, str] = {}
    items = []
    for place, row in islice(rows_of(content), limit and min(limit, sys.maxsize)):
        item = _item(row, file, place, by_column)
        if place_of.setdefault(item.id, place) != place:
            raise InputError(f"{file}: {place}: id: is the same as that of {place_of[item.id]}; ids are unique")
        items.append(item)
    if not items:
        raise InputError(f"{file}: holds no items; expected {_ITEMS_EXPECTED}")
    return items


def read_rank_request(file: str) -> m.RankRequest:
    """Read one `RankRequest` as JSON.

    Raises:
        DataError: The file cannot be read, or is not a rank request.
    """
    return _validated(_RANK, m.RankRequest, content_of(Path(file), _RANK_EXPECTED).text, file)


def to_json(value: object) -> str:
    """One line of JSON for any of the contract's messages."""
    return TypeAdapter(type(value)).dump_json(value).decode()


def _check_no_options(file: str, whole: Mapping[str, Any]) -> None:
    """Refuse a whole request, whose other fields would be lost."""
    lost = sorted(_OPTIONS & whole.keys())
    if lost:
        raise InputError(f"{file}: {lost[0]}: is not read from a file; leave it out, and see --help for options")


def _columns(given: Sequence[str]) -> Columns:
    try:
        return Columns(given)
    except InvalidField as error:
        raise InputError(str(error)) from None


def _item(row: object, file: str, place: str, by_column: Columns | None) -> m.ScoreItem:
    try:
        raw = as_object(row)
        if by_column is not None:
            raw = by_column.item(raw, place)
        if "items" in raw:
            _check_no_options(file, raw)
        known = format_of(raw)
        if known is None:
            text = pydantic_core.to_json(raw, inf_nan_mode="constants")
            return _validated(_ITEM, m.ScoreItem, text, f"{file}: {place}")
        return _labelled(raw, Place(name=place, log=SkipLog()), known)
    except (Refusal, InvalidField) as error:
        raise InputError(f"{file}: {place}: {error}") from None


def _labelled(raw: dict[str, Any], place: Place, file_format: FileFormat) -> m.ScoreItem:
    """The item of a labelled row, which is judged by all of its criteria or not at all.

    Responses keep their places; the service refuses empty ones.
    """
    try:
        prompt = parse_row(raw, place, source="", file_format=file_format, responses_needed=False)
    except (Refusal, InvalidField):
        _check_criteria(place)
        raise
    _check_criteria(place)
    return m.ScoreItem(
        id=prompt.id,
        prompt=prompt.turns,
        responses=answers_of(raw, prompt.turns, file_format),
        rubric=m.RubricSpec(criteria=tuple(m.CriterionSpec.of(criterion) for criterion in prompt.criteria)),
    )


def _check_criteria(place: Place) -> None:
    lost = next((entry for entry in place.log.summary() if entry.part == "criterion"), None)
    if lost:
        raise Refusal(f"{lost.first[0].removeprefix(f'{place.name}, ')}: {lost.reason}")


def _validated(adapter: TypeAdapter[T], shape: type, text: bytes, where: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise InputError(f"{where}: {_fault(error, shape)}") from None


def _fault(error: ValidationError, shape: type) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return f"is not JSON in UTF-8: {first['msg'].removeprefix('Invalid JSON: ')}"
    return first_fault(error, shape)
