"""What a scoring job has been told so far, in a file that survives its process: a header, then one line per item.

Every line is on the disk before it counts, so a job that was killed resumes where it stopped, with the same oracle on
the same input; anything else is refused with the difference. The file has ids and numbers, never any text.
"""

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from promedical import messages as m
from promedical_client.jsonl import InputError, to_json
from promedical_data.cache import cache_folder
from promedical_data.files import appending

VERSION: Final = 1
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Which oracle is asked what.

    Attributes:
        promedical_score: The version of the format.
        input: The hash of the items.
        items: How many there are.
        options: What else a score depends on.
        rubrics: The hash of every rubric that the items name.
        oracle: The oracle's name, status and fingerprint.
    """

    promedical_score: int = VERSION
    input: str
    items: int
    options: dict[str, Any]
    rubrics: dict[str, str] = field(default_factory=dict)
    oracle: dict[str, str]


_HEADER: Final = TypeAdapter(Header)
_OUTCOME: Final = TypeAdapter(m.ItemOutcome)


class Kept:
    """The outcomes so far, by item; every new one is written first. Any thread may add to it."""

    def __init__(self, path: Path, stream: IO[bytes], outcomes: dict[str, m.ItemOutcome]) -> None:
        self.path = path
        self.outcomes = outcomes
        self._stream = stream
        self._lock = threading.Lock()

    def has(self, item: str) -> bool:
        """Whether there is an outcome that asking again would not change."""
        return item in self.outcomes and _is_final(self.outcomes[item])

    def add(self, outcomes: Iterable[m.ItemOutcome]) -> None:
        """Keep outcomes."""
        with self._lock:
            if self._stream.closed:  # a call that was answered while the job was being stopped
                return
            for outcome in outcomes:
                self._stream.write(to_json(outcome).encode() + b"\n")
                self.outcomes[outcome.id] = outcome
            self._stream.flush()

    def close(self) -> None:
        """Write no more; a file without answers is removed."""
        with self._lock:
            self._stream.close()
        if not self.outcomes:
            self.forget()

    def forget(self) -> None:
        """Remove the file: its answers are where they should be."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def digest_of(items: Sequence[m.ScoreItem]) -> str:
    """The hash of what is asked."""
    return hashlib.sha256(pydantic_core.to_json([asdict(item) for item in items], inf_nan_mode="constants")).hexdigest()


def place_of(out: Path | None, digest: str, options: dict[str, Any]) -> Path:
    """Beside a regular file of results, otherwise in the user's cache, under a name of the question's own."""
    if out is not None and (out.is_file() or not out.exists()):
        return out.with_name(f"{out.name}.partial")
    key = hashlib.sha256(pydantic_core.to_json([digest, options])).hexdigest()
    return cache_folder() / "scores" / f"{key[:32]}.jsonl"


def oracle_in(path: Path) -> str | None:
    """The fingerprint of the oracle whose answers a file keeps; None if there is none, or it cannot be read."""
    try:
        with path.open("rb") as stream:
            return _HEADER.validate_json(stream.readline()).oracle.get("fingerprint")
    except (OSError, ValidationError):
        return None


@contextmanager
def keeping(path: Path, header: Header, *, fresh: bool) -> Iterator[Kept]:
    """The file to add to: a new one, or one of the same job.

    Args:
        path: The file.
        header: The job.
        fresh: Whether to drop what is there.

    Raises:
        InputError: The file belongs to another job or process, is damaged, or cannot be written.
    """
    try:
        if fresh:
            path.unlink(missing_ok=True)
        outcomes = _read(path, header)
        with appending(path) as stream:
            _lock(stream, path)
            if not stream.tell():
                stream.write(_HEADER.dump_json(header) + b"\n")
                stream.flush()
            kept = Kept(path, stream, outcomes)
            try:
                yield kept
            finally:
                kept.close()
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; answers are kept there as they come") from None


def _read(path: Path, header: Header) -> dict[str, m.ItemOutcome]:
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    if not lines:
        return {}
    try:
        found = _HEADER.validate_json(lines[0])
        read = [_OUTCOME.validate_json(line) for line in lines[1:]]
    except ValidationError:
        raise InputError(f"{path}: does not hold kept answers; remove it, or give --fresh to start again") from None
    differences = list(_differences(found, header))
    if differences:
        raise InputError(
            f"{path}: holds {len(read)} answers of another job: {'; '.join(differences)}. Give --fresh to drop them "
            "and start again, or another --out"
        )
    return {outcome.id: outcome for outcome in read}


def _differences(found: Header, here: Header) -> Iterator[str]:
    if found.promedical_score != here.promedical_score:
        yield f"format {found.promedical_score} there, {here.promedical_score} here"
    if found.input != here.input:
        yield f"input {_input(found)} there, {_input(here)} here"
    for name, then, now in (
        ("oracle", found.oracle, here.oracle),
        ("option", found.options, here.options),
        ("rubric", found.rubrics, here.rubrics),
    ):
        for key in sorted(then.keys() | now.keys()):
            if then.get(key) != now.get(key):
                yield f"{name} {key} {_short(then.get(key))} there, {_short(now.get(key))} here"


def _input(header: Header) -> str:
    return f"{header.input[:_SHOWN]} of {header.items:,} items"


def _short(value: Any) -> str:
    return "none" if value is None else str(value)[: 4 * _SHOWN]


def _is_final(outcome: m.ItemOutcome) -> bool:
    errors = [outcome.error, *(each.error for each in (outcome.result.responses if outcome.result else ()))]
    return not any(error is not None and error.retryable for error in errors)


def _lock(stream: IO[bytes], path: Path) -> None:
    """Hold the file as long as it is open, where the system can."""
    if os.name != "posix":
        return
    import fcntl  # noqa: PLC0415 - only there

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{path}: another process is writing to it; wait for it, or give another --out") from None
