"""A copy of everything as JSON lines: every row of every table, the log of events included. Nothing is lost.

    {"format": "promedical-review", "version": 1, "revision": "0002", "count": 1234}
    {"table": "users", "row": {...}}

Passwords and sessions are not in it: after a copy is read, an admin sets new passwords.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, func, insert, select, text

from promedical.plain_json import read_plain_json
from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.formats.content import content_of
from promedical_review.errors import NotAllowedError
from promedical_review.store.database import Database
from promedical_review.store.migrating import head_revision
from promedical_review.store.tables.every import metadata

FORMAT: Final = "promedical-review"

_LEFT_OUT: Final = frozenset({"sessions"})
_BLANKED: Final = {"users": "password"}


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["promedical-review"]
    version: Literal[1]
    revision: str
    count: int


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    table: str
    row: dict[str, Any]


def write_copy(database: Database, path: Path) -> int:
    """Write everything, as it stands at one moment; gives the number of rows.

    Raises:
        DataError: The file cannot be written.
    """
    lines = database.read(lambda connection: list(_lines(connection)))
    head = {"format": FORMAT, "version": 1, "revision": head_revision(), "count": len(lines)}
    with output_file(path) as stream:
        stream.writelines(f"{json.dumps(each, ensure_ascii=True)}\n" for each in (head, *lines))
    return len(lines)


def read_copy(database: Database, path: Path) -> int:
    """Read a copy into a database that has its tables and nothing in them; gives the number of rows.

    Raises:
        DataError: The file is no whole copy, or of another revision.
        NotAllowedError: The database holds something.
        DatabaseError: The rows do not fit together. Nothing is stored.
    """
    lines = _parsed(path)

    def fill(connection: Connection) -> int:
        for table in metadata.sorted_tables:
            if connection.execute(select(func.count()).select_from(table)).scalar_one():
                raise NotAllowedError(f"database {database.name}: is not empty; read a copy into a new database")
        for line in lines:
            connection.execute(insert(metadata.tables[line.table]).values(**line.row))
        if not database.is_sqlite:  # the next event must not get the id of one that was read
            connection.execute(text("SELECT setval(pg_get_serial_sequence('events', 'id'), max(id)) FROM events"))
        return len(lines)

    return database.write(fill)


def _lines(connection: Connection) -> Iterator[dict[str, Any]]:
    for table in metadata.sorted_tables:
        if table.name not in _LEFT_OUT:
            for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings():
                values = {name: None if name == _BLANKED.get(table.name) else value for name, value in row.items()}
                yield {"table": table.name, "row": values}


def _parsed(path: Path) -> list[_Line]:
    content = content_of(path, f"a copy of {FORMAT}")
    if not content.lines:
        raise DataError(f"{path}: is empty; expected a copy of {FORMAT}")
    (first, head_line), *rest = content.lines
    head = _checked(f"{path}:{first}", head_line, _Head)
    if head.revision != head_revision():
        raise DataError(
            f"{path}: is of revision {head.revision}; this version reads {head_revision()}. Read it with the version "
            "that wrote it, upgrade that database, and write the copy again"
        )
    lines = [_line(f"{path}:{number}", line) for number, line in rest]
    if len(lines) != head.count:
        raise DataError(f"{path}: holds {len(lines)} of {head.count} rows; it was cut off, so get it again")
    return lines


def _line(place: str, line: bytes) -> _Line:
    found: _Line = _checked(place, line, _Line)
    table = metadata.tables.get(found.table)
    if table is None or found.table in _LEFT_OUT or found.row.keys() != set(table.columns.keys()):
        raise DataError(f"{place}: is no row of a table of this version; get the copy again")
    return found


def _checked(place: str, line: bytes, model: Any) -> Any:
    try:
        return model.model_validate(read_plain_json(line.decode()))
    except (ValidationError, ValueError, RecursionError):
        raise DataError(f"{place}: is no line of a copy of {FORMAT}; get the copy again") from None
