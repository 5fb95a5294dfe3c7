"""From publishers' files to rows with ids, and a report of every record that could not be one.

The records of a file are always its rows and what was left out of it. A row's id is the publisher's where that names
one record only; otherwise it is made from what the record says, so it does not depend on the order of the file.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from promedical_curation.errors import CurationError
from promedical_curation.rows import Row
from promedical_curation.sources.catalog import Source
from promedical_curation.sources.drafts import Draft
from promedical_data.formats.lines import NotJson, as_object, nothing_left
from promedical_data.skips import Refusal, SkipLog, Skipped

STAGE: Final = "sources"
_DIGEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What one file gave.

    Attributes:
        source: The source's name.
        path: The file or folder, as it was named.
        sha256: Of its bytes.
        records: How many records it has.
        rows: How many of them are rows.
        skipped: Why the others are not, with the first few places.
    """

    source: str
    path: Path
    sha256: str
    records: int
    rows: int
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Rows in the order of the files, and a report on each file."""

    rows: tuple[Row, ...]
    files: tuple[FileReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    draft: Draft
    source: Source
    file: Path
    sha256: str
    place: str


def read_sources(inputs: Sequence[tuple[Source, Path]]) -> Reading:
    """Read files, each as one of a source's.

    Raises:
        CurationError: A file cannot be read, or has no record that can be used.
    """
    placed: list[_Placed] = []
    reports = []
    for source, path in inputs:
        found, report = _read(source, path)
        placed += found
        reports.append(report)
    rows = (_row(each, name) for each, name in zip(placed, _ids(placed), strict=True))
    return Reading(rows=tuple(rows), files=tuple(reports))


def _read(source: Source, path: Path) -> tuple[list[_Placed], FileReport]:
    table = source.open(path, source.expected)
    log, count, found = SkipLog(), 0, []
    for place, record in source.records(table.records):
        count += 1
        try:
            draft = source.parse(_record(record))
        except Refusal as error:
            log.add("row", str(error), place)
        else:
            found.append(_Placed(draft=draft, source=source, file=path, sha256=table.sha256, place=place))
    if not found:
        raise CurationError(nothing_left(path, f"row of {source.title}", source.expected, log))
    report = FileReport(
        source=source.name, path=path, sha256=table.sha256, records=count, rows=len(found), skipped=log.summary()
    )
    return found, report


def _record(record: object) -> dict[str, object]:
    if isinstance(record, NotJson) and record.reason.startswith("is not XML"):
        raise Refusal(record.reason)
    return as_object(record)


def _row(placed: _Placed, name: str) -> Row:
    where = {"file": placed.file.name, "sha256": placed.sha256, "place": placed.place}
    return Row(
        id=name,
        source=placed.source.name,
        origin=placed.draft.origin or placed.place,
        licence=placed.source.licence,
        instruction=placed.draft.instruction,
        reference=placed.draft.reference,
        notes={STAGE: {**where, **placed.draft.topic}},
    )


def _ids(placed: Sequence[_Placed]) -> Iterator[str]:
    """An id for each: the publisher's, if it is given once; else with a digest; equal records are numbered."""
    given = Counter((each.source.name, each.draft.origin) for each in placed)
    seen: defaultdict[str, int] = defaultdict(int)
    for each in placed:
        origin = each.draft.origin
        unique = origin is not None and given[each.source.name, origin] == 1
        parts = [part for part in (origin, None if unique else _digest(each.draft)) if part]
        name = f"{each.source.name}:{'-'.join(parts)}"
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}.{seen[name]}"


def _digest(draft: Draft) -> str:
    told = f"{draft.instruction}\0{draft.reference}\0{sorted(draft.topic.items(), key=str)}"
    return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
