"""From prompts in memory to a file of labelled data: `reading` gives back exactly what is written, or nothing is.

Every row is read back by the format's own reader before it is written, so that nothing is lost silently.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, assert_never

from promedical.rubric import InvalidField
from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.formats import criteria as criteria_format
from promedical_data.formats import healthbench as healthbench_format
from promedical_data.formats import pairs as pairs_format
from promedical_data.formats.lines import as_object, from_json
from promedical_data.labelled import LabelledPrompt
from promedical_data.reading import parse_row
from promedical_data.report import FileFormat
from promedical_data.skips import Place, Refusal, SkipLog, shown

_HOLDS: Final = {
    "criteria": criteria_format.HOLDS,
    "pairs": pairs_format.HOLDS,
    "healthbench": healthbench_format.HOLDS,
}
_COMPARED: Final = ("id", "source", "turns", "criteria", "responses")


def write(prompts: Iterable[LabelledPrompt], path: Path, file_format: FileFormat) -> None:
    """Write labelled data as JSON lines, completely or not at all; gzipped if the name ends in `.gz`.

    Args:
        prompts: The prompts to write.
        path: The file.
        file_format: The format of its rows.

    Raises:
        DataError: The file cannot be written, the format cannot hold a prompt, or there is no prompt.
    """
    with output_file(path) as stream:
        stream.writelines(f"{line}\n" for line in _lines(prompts, file_format))


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """Keys that a row has beside what a prompt says; readers that do not know them ignore them.

    Attributes:
        row: Keys of the row, such as its licence.
        criteria: Keys of its criteria by their ids, such as the axis of HealthBench.
    """

    row: Mapping[str, Any] = field(default_factory=dict)
    criteria: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def checked_row(
    prompt: LabelledPrompt, file_format: FileFormat, more: More | None = None
) -> tuple[dict[str, Any], str]:
    """The row for a prompt and its line, which gives back exactly this prompt.

    Raises:
        Refusal: The format cannot hold the prompt.
        InvalidField: The same.
    """
    row = _row_of(prompt, file_format)
    if more:
        row = _joined(row, more.row)
        row["criteria"] = [_joined(each, more.criteria.get(each["id"], {})) for each in row["criteria"]]
    line = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        encoded = line.encode()
    except UnicodeEncodeError:
        raise Refusal("holds a lone surrogate, which is not text") from None
    place = Place(name="", log=SkipLog())
    raw = as_object(from_json(encoded))
    _check_same(prompt, parse_row(raw, place, source="", file_format=file_format, responses_needed=False), place.log)
    return row, line


def _joined(row: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A row with more keys; its own come first and hold."""
    return {**row, **{key: value for key, value in more.items() if key not in row}}


def _lines(prompts: Iterable[LabelledPrompt], file_format: FileFormat) -> Iterator[str]:
    seen: set[str] = set()
    for position, prompt in enumerate(prompts, start=1):
        where = f"prompt {shown(prompt.id, position)}"
        if prompt.id in seen:
            raise DataError(f"{where}: has the id of an earlier prompt; every id may be used once in a file")
        seen.add(prompt.id)
        try:
            yield checked_row(prompt, file_format)[1]
        except (Refusal, InvalidField) as error:
            raise DataError(
                f"{where}: cannot be written in the format {file_format}: {error}; it holds {_HOLDS[file_format]}"
            ) from None
    if not seen:
        raise DataError("there is no prompt to write; give at least one")


def _row_of(prompt: LabelledPrompt, file_format: FileFormat) -> dict[str, Any]:
    match file_format:
        case "criteria":
            return criteria_format.row_of(prompt)
        case "pairs":
            return pairs_format.row_of(prompt)
        case "healthbench":
            return healthbench_format.row_of(prompt)
        case _:
            assert_never(file_format)


def _check_same(prompt: LabelledPrompt, read: LabelledPrompt, log: SkipLog) -> None:
    lost = [name for name in _COMPARED if getattr(prompt, name) != getattr(read, name)]
    if set(prompt.preferences) != set(read.preferences):
        lost.append("preferences")
    if lost:
        reasons = [f"{entry.part}: {entry.reason}" for entry in log.summary() if entry.reason != pairs_format.TIE]
        why = f" ({'; '.join(reasons)})" if reasons else ""
        raise Refusal(f"its {' and '.join(lost)} would not be the same{why}")
