"""What a conversion read, wrote and left out, in numbers and places. A report holds ids and places, never any text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from promedical_data.report import FileFormat
from promedical_data.skips import Skipped

PLACES: Final = 1000
"""How many places of each reason a report names."""

COUNTED: Final = ("prompts", "criteria", "responses", "labels", "preferences")
"""What a report counts in the result."""

_PLACES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InputReport:
    """What was read from one file. rows = rows used + rows left out.

    Attributes:
        path: The file, as the caller named it.
        sha256: The hash of its bytes; None for standard input.
        publisher: The format that it was read as.
        licence: The licence of its rows, where they name none themselves.
        rows: Rows of the file.
        left_out: Rows of which nothing was used.
        skipped: What was left out and why, the most frequent first.
    """

    path: Path
    sha256: str | None
    publisher: str
    licence: str
    rows: int
    left_out: int
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        inputs: What was read.
        path: The result.
        file_format: Its format.
        prompts: Its rows.
        criteria: Criteria in them.
        responses: Answers in them.
        labels: Verdicts on an answer and a criterion.
        preferences: Comparisons of two answers on a criterion.
    """

    inputs: tuple[InputReport, ...]
    path: Path
    file_format: FileFormat
    prompts: int
    criteria: int
    responses: int
    labels: int
    preferences: int


def as_json(report: ConversionReport) -> str:
    """The report as JSON."""
    return json.dumps(asdict(report), ensure_ascii=False, indent=2, default=str) + "\n"


def as_markdown(report: ConversionReport) -> str:
    """The report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def counts(report: ConversionReport) -> Mapping[str, int]:
    """The numbers of the result, by what they count."""
    return {name: getattr(report, name) for name in COUNTED}


def _lines(report: ConversionReport) -> Iterator[str]:
    yield "# Conversion"
    yield ""
    yield f"`{report.path}`, format {report.file_format}: " + ", ".join(f"{n:,} {w}" for w, n in counts(report).items())
    for each in report.inputs:
        yield from ("", f"## `{each.path}`", "")
        yield from _table(["", ""], [*_about(each)])
        if each.skipped:
            rows = [[entry.part, entry.reason, f"{entry.count:,}", _places(entry)] for entry in each.skipped]
            yield from ("", "Left out:", "")
            yield from _table(["what", "why", "count", "where"], rows)


def _about(each: InputReport) -> Iterator[list[str]]:
    yield ["format", each.publisher]
    yield ["licence", each.licence]
    yield ["sha256", each.sha256 or "unknown, it came from standard input"]
    yield ["rows", f"{each.rows:,}"]
    yield ["rows used", f"{each.rows - each.left_out:,}"]
    yield ["rows left out", f"{each.left_out:,}"]


def _places(entry: Skipped) -> str:
    more = entry.count - min(len(entry.first), _PLACES_SHOWN)
    return "; ".join(entry.first[:_PLACES_SHOWN]) + (f"; and {more:,} more" if more else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
