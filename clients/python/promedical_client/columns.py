"""Rows that name their columns as they like, read as items: CSV, and whatever else `--column` is given for.

A cell of CSV is text. Where an item holds more than text, the cell holds JSON.
"""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from promedical.rubric import InvalidField
from promedical_data.skips import Refusal

FIELDS: Final = ("id", "prompt", "response", "responses", "rubric", "criteria", "rubric_id", "base_rubric_id")
"""What a column can hold; `response` may be said of several columns."""

_JSON_FIELDS: Final = ("responses", "rubric", "criteria")


class Columns:
    """Which column holds what.

    Args:
        given: `NAME=COLUMN` for each column with a name of its own.

    Raises:
        InvalidField: One of them is not that, or its name is not one of `FIELDS`.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._named = [_pair(text) for text in given]

    def __bool__(self) -> bool:
        return bool(self._named)

    def item(self, row: Mapping[str, Any], place: str) -> dict[str, Any]:
        """The row as an item; one without an id is called by its place.

        Raises:
            Refusal: A column that was named is not there, or a cell is not the JSON that it should be.
        """
        columns = self._named + [(name, name) for name in FIELDS if name in row and not self._has(name)]
        found: dict[str, Any] = {"id": place}
        responses: list[Any] = []
        for name, column in columns:
            value = _cell(name, _value(row, column))
            if name == "response":
                responses.append(value)
            elif value is not None:
                found[name] = str(value) if name == "id" else value
        if "criteria" in found:
            found["rubric"] = {"criteria": found.pop("criteria")}
        numbered = [row[name] for name in row if isinstance(name, str) and name.startswith("response_")]
        if responses or numbered:
            found.setdefault("responses", responses or numbered)
        _check_found(found, row)
        return found

    def _has(self, name: str) -> bool:
        return any(known == name for known, _ in self._named)


def _pair(text: str) -> tuple[str, str]:
    name, _, column = text.partition("=")
    if not column or name not in FIELDS:
        near = get_close_matches(name, FIELDS, n=1)
        hint = f"; did you mean {near[0]}={column or 'COLUMN'}?" if near else ""
        raise InvalidField("--column", f"is {text!r}; expected NAME=COLUMN with a name of {', '.join(FIELDS)}{hint}")
    return name, column


def _check_found(found: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    for name, field in (("prompt", "prompt"), ("response", "responses")):
        if field not in found:
            raise Refusal(f"has no {name}; name its column with --column {name}=COLUMN; {_known(row)}")


def _known(row: Mapping[str, Any]) -> str:
    return f"its columns are {', '.join(str(name)[:40] for name in list(row)[:12])}"


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise Refusal(f"has no column {column!r}, which --column names; {_known(row)}")
    return row[column]


def _cell(name: str, value: Any) -> Any:
    """What a cell says; an empty one of a column that may be left out says nothing."""
    if not isinstance(value, str):
        return value
    if not value.strip() and name != "response":
        return None
    if name in _JSON_FIELDS or (name == "prompt" and value.lstrip().startswith("[{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            if name == "responses":
                return [value]
            if name == "prompt":
                return value
            raise Refusal(f"{name}: is not JSON; write it as in a file of JSON lines") from None
    return value
