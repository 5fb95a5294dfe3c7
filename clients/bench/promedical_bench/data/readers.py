"""From a file of labelled data to prompts in memory, and a report of all that was read and refused.

A bad row, or a bad part of one, is left out and counted with its reason and place; it never stops the reading.
What no data can be taken from is a `DataError`. Rows = prompts + rows left out, always.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from promedical.rubric import InvalidField
from promedical_bench.data import criteria_format, healthbench_format, pairs_format
from promedical_bench.data.errors import DataError
from promedical_bench.data.labelled import LabelledPrompt
from promedical_bench.data.lines import Content, content_of, from_json, nothing_left
from promedical_bench.data.report import DataReport, FileFormat, FileIdentity, report_on
from promedical_bench.data.skips import Place, Refusal, SkipLog

_EXPECTED: Final = (
    "one JSON object per line with prompt and criteria (format criteria), chosen and rejected (pairs) "
    "or rubrics (healthbench)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """What a file gave."""

    prompts: tuple[LabelledPrompt, ...]
    report: DataReport


def read(path: Path, file_format: FileFormat | None = None, *, responses_needed: bool = True) -> ReadResult:
    """Read labelled data, .jsonl or .jsonl.gz.

    Args:
        path: The file.
        file_format: How its rows look; None finds out.
        responses_needed: Whether a row without responses is left out; a policy needs only prompts and criteria.

    Raises:
        DataError: The file cannot be read, its format is unknown, or no row of it can be used.
    """
    content = content_of(path, _EXPECTED)
    chosen = file_format or _detected(content)
    log = SkipLog()
    prompts = tuple(_prompts(content, chosen, log, responses_needed=responses_needed))
    if not prompts:
        raise DataError(nothing_left(path, f"row of format {chosen}", _EXPECTED, log))
    identity = FileIdentity(path=path, sha256=content.sha256, file_format=chosen, rows=len(content.lines))
    return ReadResult(prompts=prompts, report=report_on(prompts, identity, log.summary()))


def detect_format(path: Path) -> FileFormat:
    """The format of a file, by the first row that is a JSON object.

    Raises:
        DataError: The file cannot be read, or is none of the known formats.
    """
    return _detected(content_of(path, _EXPECTED))


def _detected(content: Content) -> FileFormat:
    for _, line in content.lines:
        match from_json(line):
            case {"rubrics": _}:
                return "healthbench"
            case {"chosen": _}:
                return "pairs"
            case {"criteria": _}:
                return "criteria"
            case dict():
                break
    raise DataError(f"{content.path}: is in no known format; expected {_EXPECTED}")


def _prompts(
    content: Content, file_format: FileFormat, log: SkipLog, *, responses_needed: bool
) -> Iterator[LabelledPrompt]:
    seen: set[str] = set()
    for number, line in content.lines:
        place = Place(name=f"line {number}", log=log)
        try:
            prompt = _row(from_json(line), place, content, file_format, responses_needed=responses_needed)
        except (Refusal, InvalidField) as error:
            place.skip("row", str(error))
            continue
        if prompt.id in seen:
            place.skip("row", "id: is the same as that of an earlier row")
            continue
        seen.add(prompt.id)
        yield prompt


def _row(
    raw: object, place: Place, content: Content, file_format: FileFormat, *, responses_needed: bool
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
