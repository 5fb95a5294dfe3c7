"""Parquet files: their rows as JSON holds them. pyarrow, which the extra `data` has, is imported when one is opened."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import pydantic_core

from promedical_data.skips import Refusal

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

MAGIC: Final = b"PAR1"
"""The first bytes of a Parquet file."""

_ROWS_AT_ONCE: Final = 256
"""Few, since rows of this kind are long."""


def as_lines(data: bytes) -> bytes:
    """The rows of a whole file as lines of JSON.

    Raises:
        Refusal: The file is broken, or pyarrow is not installed.
    """
    with opened(io.BytesIO(data)) as file:
        return b"".join(pydantic_core.to_json(row, inf_nan_mode="constants") + b"\n" for row in rows_of(file))


@contextmanager
def opened(stream: IO[bytes]) -> Iterator["ParquetFile"]:
    """The file in a stream that can seek.

    Raises:
        Refusal: The file is broken, which may be found inside the block; or pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - the base install reads everything else without it
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError:
        raise Refusal("is a Parquet file, which needs pyarrow; run: pip install 'promedical[data]'") from None
    try:
        with parquet.ParquetFile(stream) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].strip().rstrip(".")
        raise Refusal(f"is not a whole Parquet file: {reason}") from None


def rows_of(file: "ParquetFile") -> Iterator[dict[str, Any]]:
    """The rows one by one; few of them are in memory at the same time."""
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
        yield from batch.to_pylist(maps_as_pydicts="strict")
