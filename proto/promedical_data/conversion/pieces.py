"""From a publisher's row to a prompt of ours, with what a row keeps beside it: points, axis, licence and provenance."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from promedical.rubric import InvalidField
from promedical_data.conversion.detection import lacks
from promedical_data.conversion.rows import Placed
from promedical_data.formats import healthbench as healthbench_format
from promedical_data.formats.lines import as_object
from promedical_data.labelled import LabelledPrompt
from promedical_data.publishers.own import OWN
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings
from promedical_data.reading import parse_row
from promedical_data.report import FileFormat
from promedical_data.skips import Place, Refusal, SkipLog
from promedical_data.writing import More, checked_row

LICENCE: Final = "licence"
PROVENANCE: Final = "provenance"

_AXIS: Final = "axis:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A row of the result, or a part of one.

    Attributes:
        prompt: What it says.
        file_format: The format of the row.
        row: The row.
        line: The row as a line.
        place: Where it came from.
        merges: Whether other rows may be about the same prompt.
    """

    prompt: LabelledPrompt
    file_format: FileFormat
    row: Row
    line: str
    place: Place
    merges: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What every row of a file is said to be.

    Attributes:
        publisher: Whose file it is.
        file: The file's name.
        source: The source of rows that name none.
        licence: The licence of rows that name none.
    """

    publisher: Publisher
    file: str
    source: str
    licence: str


def pieces_of(rows: Iterable[Placed], origin: Origin, surroundings: Surroundings, log: SkipLog) -> Iterator[Piece]:
    """What each row says; a row that cannot be used is left out and noted."""
    for name, raw in rows:
        place = Place(name=name, log=log)
        try:
            yield _piece(as_object(raw), place, origin, surroundings)
        except (Refusal, InvalidField) as error:
            place.skip("row", str(error))


def _piece(raw: Row, place: Place, origin: Origin, surroundings: Surroundings) -> Piece:
    publisher = origin.publisher
    if not publisher.matches(raw):
        raise Refusal(lacks(raw, publisher))
    shaped = publisher.shape(raw, place, surroundings)
    prompt = parse_row(shaped.row, place, source=origin.source, file_format=shaped.file_format, responses_needed=False)
    kept = _kept_of_row(shaped.row)
    about = _provenance(kept.get(PROVENANCE), publisher, f"{origin.file}: {place.name}")
    more = More(
        row={LICENCE: origin.licence, **kept, PROVENANCE: about},
        criteria=_kept_of_criteria(shaped),
    )
    file_format: FileFormat = "pairs" if shaped.file_format == "pairs" else "criteria"
    return piece_of(prompt, file_format, more, place, merges=publisher.merges)


def piece_of(prompt: LabelledPrompt, file_format: FileFormat, more: More, place: Place, *, merges: bool) -> Piece:
    """A row of the result.

    Raises:
        Refusal: The format cannot hold the prompt.
        InvalidField: The same.
    """
    row, line = checked_row(prompt, file_format, more)
    return Piece(prompt=prompt, file_format=file_format, row=row, line=line, place=place, merges=merges)


def _provenance(known: Row | None, publisher: Publisher, row: str) -> Row:
    """Where a row came from; a row of ours that says so keeps what it says."""
    if known and publisher.name in OWN:
        return known
    return {"publisher": publisher.name, "rows": [*(known or {"rows": []})["rows"], row]}


def kept_of(row: Row) -> More:
    """What a row of ours keeps beside its prompt."""
    return More(row=_kept_of_row(row), criteria=_kept_of_criteria(Shaped(file_format="criteria", row=row)))


def _kept_of_row(row: Row) -> dict[str, Any]:
    """Keys of a row that readers know beside those of the format, or that say where it came from."""
    kept: dict[str, Any] = {
        key: row[key] for key in (LICENCE, "canary") if isinstance(row.get(key), str) and row[key].strip()
    }
    if _is_provenance(row.get(PROVENANCE)):
        kept[PROVENANCE] = row[PROVENANCE]
    tags = row.get("example_tags")
    if isinstance(tags, list) and tags and all(isinstance(tag, str) for tag in tags):
        kept["example_tags"] = tags
    return kept


def _is_provenance(value: object) -> bool:
    match value:
        case {"publisher": str(), "rows": [*rows]}:
            return all(isinstance(row, str) for row in rows)
    return False


def _kept_of_criteria(shaped: Shaped) -> dict[str, dict[str, Any]]:
    """Points and axes by the ids of criteria."""
    if shaped.file_format == "healthbench":
        entries = shaped.row["rubrics"]
        named = zip(healthbench_format.ids_of(entries), entries, strict=True)
    else:
        entries = [entry for entry in shaped.row["criteria"] if isinstance(entry, dict)]
        named = zip((str(entry.get("id")) for entry in entries), entries, strict=True)
    return {name: _kept_of_criterion(entry) for name, entry in named if isinstance(entry, dict)}


def _kept_of_criterion(entry: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    points, axis = entry.get("points"), entry.get("axis") or _axis_of(entry.get("tags"))
    if isinstance(points, int | float) and math.isfinite(points):
        kept["points"] = float(points)
    if isinstance(axis, str):
        kept["axis"] = axis
    return kept


def _axis_of(tags: object) -> str | None:
    listed = tags if isinstance(tags, list) else []
    return next((tag.removeprefix(_AXIS) for tag in listed if isinstance(tag, str) and tag.startswith(_AXIS)), None)
