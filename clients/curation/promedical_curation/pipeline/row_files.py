"""The one format between stages: Parquet files of rows, drops and failures, written and read in groups of rows."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promedical_curation.errors import CurationError
from promedical_curation.rows import Drop, Outcome, Row

GROUP: Final = 1000
"""Rows in a group: all that is in memory at a time."""
ROWS: Final = "rows.parquet"
DROPS: Final = "drops.parquet"
FAILED: Final = "failed.parquet"

_OPTIONAL: Final = {"reference"}


def _fields(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.string(), nullable=name in _OPTIONAL) for name in names]


_ROW: Final = _fields("id", "source", "origin", "licence", "instruction", "reference", "notes")
SCHEMAS: Final = {
    ROWS: pa.schema(_ROW),
    DROPS: pa.schema(_ROW + _fields("reason", "note")),
    FAILED: pa.schema(_ROW + _fields("error", "message")),
}


class RowFile:
    """The rows of a file, which can be read several times."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        with _readable(self.path, SCHEMAS[ROWS]) as file:
            return int(file.metadata.num_rows)

    def __iter__(self) -> Iterator[Row]:
        for record in records(self.path, SCHEMAS[ROWS]):
            yield row_of(record)


@dataclass(slots=True)
class Counts:
    """What became of the rows of a stage."""

    rows_in: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.rows_in += 1
        if isinstance(outcome, Row):
            self.kept += 1
        elif isinstance(outcome, Drop):
            self.dropped[outcome.reason] += 1
        else:
            self.failed[outcome.error] += 1


class OutcomeWriter:
    """Writes outcomes to the three files of a folder, in the order in which they come, and counts them."""

    def __init__(self, folder: Path) -> None:
        self.counts = Counts()
        self._stack = ExitStack()
        self._files = {name: _GroupWriter(self._stack, folder / name, schema) for name, schema in SCHEMAS.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for file in self._files.values():
                file.flush()
        self._stack.__exit__(kind, error, trace)

    def add(self, outcome: Outcome) -> None:
        """Write an outcome."""
        self.counts.add(outcome)
        if isinstance(outcome, Row):
            self._files[ROWS].add(_record(outcome))
        elif isinstance(outcome, Drop):
            self._files[DROPS].add({**_record(outcome.row), "reason": outcome.reason, "note": _json(outcome.note)})
        else:
            self._files[FAILED].add({**_record(outcome.row), "error": outcome.error, "message": _text(outcome.message)})


class _GroupWriter:
    def __init__(self, stack: ExitStack, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
        self._waiting: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        self._waiting.append(record)
        if len(self._waiting) == GROUP:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting = []


def records(
    path: Path, schema: pa.Schema, *, row_id: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The lines of a file as plain values; with `row_id`, only those of one row, and with `columns`, only these.

    Raises:
        CurationError: It is missing, broken, or has other columns.
    """
    with _readable(path, schema) as file:
        try:
            for batch in file.iter_batches(GROUP, columns=None if columns is None else list(columns)):
                some = batch.filter(pc.equal(batch["id"], row_id)) if row_id is not None else batch
                yield from some.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise CurationError(f"{path}: is broken ({type(error).__name__}); run its stage again") from None


def row_of(record: Mapping[str, Any]) -> Row:
    """The row in a line."""
    values = {each.name: record[each.name] for each in _ROW}
    return Row(**{**values, "notes": json.loads(values["notes"])})


def _readable(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CurationError(
            f"{path}: cannot be read as Parquet ({type(error).__name__}); run its stage again"
        ) from None
    if missing := [name for name in schema.names if name not in file.schema_arrow.names]:
        file.close()
        raise CurationError(
            f"{path}: lacks the column {missing[0]}; expected a file of this command, with {', '.join(schema.names)}"
        )
    return file


def _record(row: Row) -> dict[str, Any]:
    return {
        "id": _text(row.id),
        "source": _text(row.source),
        "origin": _text(row.origin),
        "licence": _text(row.licence),
        "instruction": _text(row.instruction),
        "reference": None if row.reference is None else _text(row.reference),
        "notes": _json(row.notes),
    }


def _json(value: Any) -> str:
    return _text(json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _text(text: str) -> str:
    """The text with halves of surrogate pairs replaced: no file in UTF-8 can hold them."""
    return text.encode("utf-8", "replace").decode()
