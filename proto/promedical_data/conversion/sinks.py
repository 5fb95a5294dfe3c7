"""The file that a conversion writes: JSON lines, gzipped or not, or Parquet; complete or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from promedical_data.conversion.pieces import LICENCE, PROVENANCE, Piece
from promedical_data.errors import DataError
from promedical_data.files import output_file, whole_file
from promedical_data.publishers.publisher import Row
from promedical_data.report import FileFormat

if TYPE_CHECKING:
    import pyarrow as pa

Put: TypeAlias = Callable[[Piece], None]
"""Writes one row."""

ENDINGS: Final = (".jsonl", ".jsonl.gz", ".parquet")
"""How the name of a result may end."""

_ROWS_AT_ONCE: Final = 512


def check_name(path: Path) -> None:
    """Refuse a name that does not say what to write.

    Raises:
        DataError: Its ending is none of `ENDINGS`.
    """
    if not path.name.endswith(ENDINGS):
        raise DataError(f"{path}: must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


@contextmanager
def sink(path: Path) -> Iterator[Put]:
    """Write rows to a file, which appears when the block ends well.

    Raises:
        DataError: It cannot be written.
    """
    check_name(path)
    if path.suffix == ".parquet":
        with _parquet(path) as put:
            yield put
        return
    with output_file(path) as stream:
        yield lambda piece: print(piece.line, file=stream)


@contextmanager
def _parquet(path: Path) -> Iterator[Put]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - the extra `data` has it
    except ModuleNotFoundError:
        raise DataError(f"{path}: Parquet needs pyarrow; run: pip install 'promedical[data]'") from None
    try:
        with whole_file(path) as stream:
            rows = _Batches(lambda schema: parquet.ParquetWriter(stream, schema))
            try:
                yield rows.put
                rows.flush()
            finally:  # or the writer would complain about its file when it is collected
                rows.close()
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


class _Batches:
    """Rows on their way to a Parquet file; the first one says in which format they are."""

    def __init__(self, opened: Callable[["pa.Schema"], Any]) -> None:
        self._opened = opened
        self._writer: Any = None
        self._schema: pa.Schema | None = None
        self._rows: list[Row] = []

    def put(self, piece: Piece) -> None:
        if self._writer is None:
            self._schema = _schema(piece.file_format)
            self._writer = self._opened(self._schema)
        self._rows.append(_with_pairs(piece.row))
        if len(self._rows) == _ROWS_AT_ONCE:
            self.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415 - see `_parquet`

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()


def _schema(file_format: FileFormat) -> "pa.Schema":
    """The columns of a format. What is by criterion id is a map, since ids differ from row to row."""
    import pyarrow as pa  # noqa: PLC0415 - see `_parquet`

    text, words = pa.string(), pa.list_(pa.string())
    criterion = pa.struct(
        {"id": text, "text": text, "dimension": text, "polarity": text, "points": pa.float64(), "axis": text}
    )
    label = pa.struct({"met": pa.int8(), "kind": text, "raters": pa.list_(pa.int8())})
    response = pa.struct({"id": text, "text": text, "labels": pa.map_(text, label)})
    said = (
        {"chosen": text, "rejected": text, "winners": pa.map_(text, text)}
        if file_format == "pairs"
        else {"responses": pa.list_(response)}
    )
    return pa.schema(
        {
            "id": text,
            "source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "criteria": pa.list_(criterion),
            **said,
            LICENCE: text,
            PROVENANCE: pa.struct({"publisher": text, "rows": words}),
            "canary": text,
            "example_tags": words,
        }
    )


def _with_pairs(row: Row) -> Row:
    """The row with its maps as lists of pairs, as pyarrow takes them."""
    if "winners" in row:
        return {**row, "winners": list(row["winners"].items())}
    responses = [{**each, "labels": list(each["labels"].items())} for each in row["responses"]]
    return {**row, "responses": responses}
