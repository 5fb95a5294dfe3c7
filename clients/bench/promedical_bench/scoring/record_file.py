"""The file of results: JSON lines, with a header that says which oracle answered what, then one line per case.

Every line is on the disk before it counts, so a run that was killed resumes where it stopped; an incomplete last line
is dropped. A file holds the answers of one oracle to one task on one file of data: anything else is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from promedical_bench.scoring.records import Header, Record, Results
from promedical_data.files import appending
from promedical_data.variants import Variant

VERSION: Final = 1
NAME: Final = "results.jsonl"


_HEADER: Final = TypeAdapter(Header)
_RECORD: Final = TypeAdapter(Record)


class ResultsError(ValueError):
    """A results file is damaged, or belongs to another oracle, task or data. The message says what to do."""


class ResultsWriter:
    """Appends to a results file, and knows what the file holds."""

    def __init__(self, results: Results, stream: IO[bytes]) -> None:
        self.results = results
        self._stream = stream

    def has(self, variant: Variant, case: str) -> bool:
        """Whether the file has a final answer to a case."""
        record = self.results.records.get((variant, case))
        return record is not None and record.final

    def add(self, record: Record) -> None:
        """Keep an answer."""
        self._stream.write(_RECORD.dump_json(record) + b"\n")
        self._stream.flush()
        self.results.records[record.variant, record.case] = record


def read_results(path: Path) -> Results:
    """Read a results file, or the one in a folder.

    Raises:
        ResultsError: It cannot be read, is damaged before its end, or mixes oracles.
    """
    file = path / NAME if path.is_dir() else path
    try:
        lines = file.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise ResultsError(f"{file}: cannot be read: {error.strerror}; expected results of this command") from None
    if not lines:
        raise ResultsError(f"{file}: holds no results; remove it, or name another output folder")
    results = Results(header=_header(lines[0], file))
    for number, line in enumerate(lines[1:], start=2):
        record = _record(line, f"{file}:{number}")
        _check_oracle(record, results.header, f"{file}:{number}")
        results.records[record.variant, record.case] = record
    return results


def oracle_of(path: Path) -> str | None:
    """The fingerprint of the oracle whose answers a file holds; None if nothing there can be read."""
    try:
        return read_results(path).header.fingerprint
    except ResultsError:
        return None


@contextmanager
def writing(path: Path, header: Header) -> Iterator[ResultsWriter]:
    """A results file to append to: a new one, or one of the same oracle on the same task and data.

    Raises:
        ResultsError: The file there is damaged or belongs to another run, or another process is writing it.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock, _resumed(path, header) as writer:
            yield writer
    except Timeout:
        raise ResultsError(
            f"{path}: another process is writing to it; wait for that process, or name another folder"
        ) from None
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written: {error.strerror}") from None


def check_same(found: Header, expected: Header, path: Path) -> None:
    """Refuse results of another oracle, task, data or rubric.

    Raises:
        ResultsError: The file holds other results; the error names the difference.
    """
    for what, mine, theirs in _identity(found, expected):
        if mine != theirs:
            raise ResultsError(
                f"{path}: holds results of {what} {mine}, not {theirs}; name another output folder, or remove the file"
            )


def _identity(found: Header, expected: Header) -> tuple[tuple[str, object, object], ...]:
    return (
        ("task", found.task, expected.task),
        ("data", found.data[:12], expected.data[:12]),
        ("rubric", found.rubric, expected.rubric),
        ("oracle", found.fingerprint, expected.fingerprint),
        *rubric_content(found, expected),
    )


def rubric_content(first: Header, other: Header) -> tuple[tuple[str, object, object], ...]:
    """What the named rubrics of two headers say, where both know it: files older than the field do not."""
    if first.rubric_sha256 is None or other.rubric_sha256 is None:
        return ()
    return (("rubric content", first.rubric_sha256[:12], other.rubric_sha256[:12]),)


@contextmanager
def _resumed(path: Path, header: Header) -> Iterator[ResultsWriter]:
    """The file, started again if not even its header is complete. All else is read before a byte is cut."""
    first = _HEADER.dump_json(header)
    new = first.startswith(path.read_bytes() if path.exists() else b"")
    results = Results(header=header) if new else read_results(path)
    check_same(results.header, header, path)
    with appending(path) as stream:
        if new:
            stream.write(first + b"\n")
            stream.flush()
        yield ResultsWriter(results, stream)


def _header(line: bytes, file: Path) -> Header:
    try:
        header = _HEADER.validate_json(line)
    except ValidationError:
        raise ResultsError(f"{file}: does not start with the header of results; name another file or folder") from None
    if header.promedical_bench != VERSION:
        raise ResultsError(f"{file}: has format {header.promedical_bench}; this version reads format {VERSION}")
    return header


def _record(line: bytes, where: str) -> Record:
    try:
        return _RECORD.validate_json(line)
    except ValidationError:
        raise ResultsError(f"{where}: is not a result; the file is damaged: remove that line, or the file") from None


def _check_oracle(record: Record, header: Header, where: str) -> None:
    if record.fingerprint != header.fingerprint:
        raise ResultsError(
            f"{where}: is from oracle {record.fingerprint}, the file from {header.fingerprint}; scores of different "
            "oracles are not mixed: remove the file and ask again"
        )
