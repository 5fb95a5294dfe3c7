"""A label as data sets hold it: criteria of the API, criteria as files of labelled data have them, or a rubric's name.

`promedical.interop.labels` reads the first and the last. Here are those of files: HealthBench's `rubrics` (criterion,
points, tags) and our own `criteria` with points. Pure. A label is read as a whole or refused.
"""

from collections.abc import Mapping
from typing import Any, Final

from promedical.interop.labels import RubricChoice, plain_label, read_label
from promedical.messages import CriterionSpec, RubricSpec
from promedical.rubric import InvalidField
from promedical_data.reading import parse_row
from promedical_data.report import FileFormat
from promedical_data.skips import Place, Refusal, SkipLog

_HEALTHBENCH: Final = "criterion"
_OF_FILES: Final = {_HEALTHBENCH, "points", "tags", "axis"}
"""Keys of criteria that only files have."""
_HOLDERS: Final = {"criteria", "rubric", "rubrics"}
"""Keys of an object that has nothing but criteria."""
_PROMPT: Final = [{"role": "user", "content": "-"}]


def read_criteria_label(label: Any, path: str = "label") -> RubricChoice | None:
    """What to judge by, or None where the label is empty.

    Args:
        label: As `read_label` takes it, or a list of HealthBench's rubrics or of criteria with points, an object with
            one of the two as `rubrics` or `criteria`, or JSON text of either.
        path: What errors call the label.

    Raises:
        InvalidField: It is something else, or a criterion is not valid.
        FieldTooLarge: Its text is longer than criteria can be.
    """
    plain = plain_label(label, path)
    entries = _entries(plain)
    keys = {key for entry in entries if isinstance(entry, Mapping) for key, value in entry.items() if value is not None}
    if not keys & _OF_FILES:
        return read_label(entries or plain, path)
    return _read(entries, "healthbench" if _HEALTHBENCH in keys else "criteria", path)


def _entries(label: Any) -> list[Any]:
    if isinstance(label, Mapping):
        given = {key: value for key, value in label.items() if value is not None}
        label = next(iter(given.values())) if len(given) == 1 and given.keys() <= _HOLDERS else None
    return list(label) if isinstance(label, list | tuple) else []


def _read(entries: list[Any], file_format: FileFormat, path: str) -> RubricSpec:
    place = Place(name="", log=SkipLog())
    key = "rubrics" if file_format == "healthbench" else "criteria"
    row = {"id": "label", "prompt_id": "label", "prompt": _PROMPT, key: entries}
    try:
        prompt = parse_row(row, place, source="label", file_format=file_format, responses_needed=False)
    except (Refusal, InvalidField) as error:
        raise InvalidField(path, _lost(place) or str(error)) from None
    lost = _lost(place)
    if lost:
        raise InvalidField(path, lost)
    return RubricSpec(criteria=tuple(CriterionSpec.of(criterion) for criterion in prompt.criteria))


def _lost(place: Place) -> str | None:
    """Where and why a criterion would be left out."""
    first = next(iter(place.log.summary()), None)
    return f"{first.first[0].removeprefix(', ')}: {first.reason}" if first else None
