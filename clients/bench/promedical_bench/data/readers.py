"""From a file of labelled data to prompts in memory, and a report of all that was read and refused.

A bad row, or a bad part of one, is left out and counted with its reason and place; it never stops the reading.
What no data can be taken from is a `DataError`. Rows = prompts + rows left out, always.
"""

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, assert_never

import pydantic_core

from promedical.rubric import InvalidField
from promedical_bench.data import criteria_format, healthbench_format, pairs_format
from promedical_bench.data.errors import DataError
from promedical_bench.data.labelled import LabelledPrompt
from promedical_bench.data.report import DataReport, FileFormat, FileIdentity, report_on
from promedical_bench.data.skips import Place, Refusal, SkipLog

_GZIP_MAGIC: Final = b"\x1f\x8b"
_REASONS_NAMED: Final = 3
_EXPECTED: Final = (
    "one JSON object per line with prompt and criteria (format criteria), chosen and rejected (pairs) "
    "or rubrics (healthbench)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """What a file gave."""

    prompts: tuple[LabelledPrompt, ...]
    report: DataReport


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    path: Path
    sha256: str
    lines: tuple[tuple[int, bytes], ...] = field(repr=False)

    @property
    def source(self) -> str:
        """Of rows that name none: the file, without its endings."""
        return self.path.name.split(".")[0] or self.path.name


def read(path: Path, file_format: FileFormat | None = None, *, responses_needed: bool = True) -> ReadResult:
    """Read labelled data, .jsonl or .jsonl.gz.

    Args:
        path: The file.
        file_format: How its rows look; None finds out.
        responses_needed: Whether a row without responses is left out; a policy needs only prompts and criteria.

    Raises:
        DataError: The file cannot be read, its format is unknown, or no row of it can be used.
    """
    content = _content(path)
    chosen = file_format or _detected(content)
    log = SkipLog()
    prompts = tuple(_prompts(content, chosen, log, responses_needed=responses_needed))
    if not prompts:
        raise DataError(_nothing_left(content, chosen, log))
    identity = FileIdentity(path=path, sha256=content.sha256, file_format=chosen, rows=len(content.lines))
    return ReadResult(prompts=prompts, report=report_on(prompts, identity, log.summary()))


def detect_format(path: Path) -> FileFormat:
    """The format of a file, by the first row that is a JSON object.

    Raises:
        DataError: The file cannot be read, or is none of the known formats.
    """
    return _detected(_content(path))


def _content(path: Path) -> _Content:
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "is not a whole gzip file"
        raise DataError(f"{path}: cannot be read: {reason}; expected a file of {_EXPECTED}") from None
    numbered = enumerate(text.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1)
    lines = tuple((number, line) for number, line in numbered if line.strip())
    return _Content(path=path, sha256=hashlib.sha256(data).hexdigest(), lines=lines)


def _detected(content: _Content) -> FileFormat:
    for _, line in content.lines:
        match _json(line):
            case {"rubrics": _}:
                return "healthbench"
            case {"chosen": _}:
                return "pairs"
            case {"criteria": _}:
                return "criteria"
            case dict():
                break
    raise DataError(f"{content.path}: is in no known format; expected {_EXPECTED}")


def _json(line: bytes) -> Any:
    """What a line holds; None also where it is not JSON, as no row is None."""
    try:
        return pydantic_core.from_json(line.strip())  # unlike json, an error for any depth and any number of digits
    except ValueError:
        return None


def _prompts(
    content: _Content, file_format: FileFormat, log: SkipLog, *, responses_needed: bool
) -> Iterator[LabelledPrompt]:
    seen: set[str] = set()
    for number, line in content.lines:
        place = Place(name=f"line {number}", log=log)
        try:
            prompt = _row(_json(line), place, content, file_format, responses_needed=responses_needed)
        except (Refusal, InvalidField) as error:
            place.skip("row", str(error))
            continue
        if prompt.id in seen:
            place.skip("row", "id: is the same as that of an earlier row")
            continue
        seen.add(prompt.id)
        yield prompt


def _row(
    raw: object, place: Place, content: _Content, file_format: FileFormat, *, responses_needed: bool
) -> LabelledPrompt:
    if not isinstance(raw, dict):
        raise Refusal("is not a JSON object in UTF-8")
    match file_format:
        case "criteria":
            return criteria_format.parse_row(raw, place, source=content.source, responses_needed=responses_needed)
        case "pairs":
            return pairs_format.parse_row(raw, place, source=content.source)
        case "healthbench":
            return healthbench_format.parse_row(raw, place, source=content.source, responses_needed=responses_needed)
        case _:
            assert_never(file_format)


def _nothing_left(content: _Content, file_format: FileFormat, log: SkipLog) -> str:
    rows = [entry for entry in log.summary() if entry.part == "row"][:_REASONS_NAMED]
    reasons = "; ".join(f"{entry.reason} ({entry.count}, first {entry.first[0]})" for entry in rows)
    return (
        f"{content.path}: holds no row of format {file_format} that can be used; expected {_EXPECTED}; "
        f"{reasons or 'the file is empty'}"
    )
