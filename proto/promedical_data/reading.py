"""From a file of labelled data to prompts in memory, and a report of all that was read and refused.

A bad row, or a bad part of one, is left out and counted with its reason and place; it never stops the reading.
A file without any usable row raises `DataError`. The number of rows is always prompts + rows left out.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, assert_never

from promedical.messages import Message
from promedical_data.errors import DataError
from promedical_data.formats import conversations
from promedical_data.formats import criteria as criteria_format
from promedical_data.formats import healthbench as healthbench_format
from promedical_data.formats import pairs as pairs_format
from promedical_data.formats.content import Content, content_of
from promedical_data.formats.lines import nothing_left, parsed
from promedical_data.labelled import LabelledPrompt
from promedical_data.report import DataReport, FileFormat, FileIdentity, report_on
from promedical_data.skips import Place, SkipLog

_EXPECTED: Final = (
    "one JSON object per line, an array of them, or an object with only that array (as data, items or rows); "
    "each with prompt and criteria (format criteria), chosen and rejected (pairs) or rubrics (healthbench)"
)


_FORMAT_OF_KEY: Final[dict[str, FileFormat]] = {"rubrics": "healthbench", "chosen": "pairs", "criteria": "criteria"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """What a file gave."""

    prompts: tuple[LabelledPrompt, ...]
    report: DataReport


def read(path: Path, file_format: FileFormat | None = None, *, responses_needed: bool = True) -> ReadResult:
    """Read labelled data: JSON lines, a JSON array or one JSON object, plain or gzipped.

    Args:
        path: The file, or `-` for standard input.
        file_format: The format of its rows; None to detect it.
        responses_needed: Whether a row without responses is left out; a policy needs only prompts and criteria.

    Raises:
        DataError: The file cannot be read, its format is unknown, or no row of it can be used.
    """
    content = content_of(path, _EXPECTED)
    chosen = file_format or _detected(content)
    log = SkipLog()
    parse = partial(parse_row, source=content.source, file_format=chosen, responses_needed=responses_needed)
    prompts = tuple(parsed(content, parse, log, key=lambda prompt: ("id", prompt.id)))
    if not prompts:
        raise DataError(nothing_left(path, f"row of format {chosen}", _EXPECTED, log))
    skipped = log.summary()
    rows = len(prompts) + sum(each.count for each in skipped if each.part == "row")
    identity = FileIdentity(path=path, sha256=content.sha256, file_format=chosen, rows=rows)
    return ReadResult(prompts=prompts, report=report_on(prompts, identity, skipped))


def detect_format(path: Path) -> FileFormat:
    """The format of a file, which is that of most of its rows.

    Raises:
        DataError: The file cannot be read, or has none of the known formats.
    """
    return _detected(content_of(path, _EXPECTED))


def _detected(content: Content) -> FileFormat:
    log = SkipLog()
    rows = Counter(parsed(content, lambda row, _: format_of(row), log, key=lambda _: None))
    if not rows:
        raise DataError(nothing_left(content.path, "JSON object", _EXPECTED, log))
    known = next((name for name, _ in rows.most_common() if name), None)
    if known is None:
        raise DataError(f"{content.path}: is in no known format; expected {_EXPECTED}")
    return known


def format_of(row: dict[str, Any]) -> FileFormat | None:
    """The format of one row; None if it has no known format."""
    return next((name for key, name in _FORMAT_OF_KEY.items() if row.get(key) is not None), None)


def answers_of(raw: dict[str, Any], turns: tuple[Message, ...], file_format: FileFormat) -> tuple[str, ...]:
    """The texts of all responses of a row in their order, which are to be judged: graded or not, and empty ones too.

    Raises:
        Refusal: One of them has no text.
    """
    if file_format == "pairs":
        return pairs_format.answers_of(raw, turns)
    return conversations.answers_of(raw, turns)


def parse_row(
    raw: dict[str, Any], place: Place, *, source: str, file_format: FileFormat, responses_needed: bool
) -> LabelledPrompt:
    """One row as a prompt; bad parts of it go to the log.

    Raises:
        Refusal: The row as a whole cannot be used.
        InvalidField: The row cannot be used because of its prompt or its rubric.
    """
    match file_format:
        case "criteria":
            return criteria_format.parse_row(raw, place, source=source, responses_needed=responses_needed)
        case "pairs":
            return pairs_format.parse_row(raw, place, source=source)
        case "healthbench":
            return healthbench_format.parse_row(raw, place, source=source, responses_needed=responses_needed)
        case _:
            assert_never(file_format)
