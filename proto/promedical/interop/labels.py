"""Criteria as they travel through other people's data sets: a label, a column, an extra field. Pure.

Such places hold one value without a schema, so the value itself must say what it is: criteria in JSON, or the name
of a rubric that the service knows. Nothing else is guessed: a label that is neither is an error.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from promedical.messages import CriterionSpec, RubricSpec
from promedical.plain_json import NotPlainError, read_plain_json
from promedical.rubric import FieldTooLarge, InvalidField
from promedical.rubric_files import read_criterion

RubricChoice = RubricSpec | str
"""Criteria, or the name of a rubric."""

_MAX_CHARACTERS: Final = 2**20
"""The most characters of JSON text: 8192 for each of 128 criteria. A few characters are enough to make an object."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,254}(@[0-9]{1,9})?")
_EXPECTED: Final = (
    "expected criteria in JSON, as a list or as an object with criteria, or the name of a rubric such as "
    "general-medical@1"
)


def read_label(label: Any, path: str = "label") -> RubricChoice | None:
    """What to judge by, or None where the label is empty.

    Args:
        label: A list of criteria, an object with one of `criteria`, `rubric` and `rubric_id`, JSON text of
            either, or the name of a rubric. Keys with the value None count as absent, since Arrow adds them.
        path: What errors call the label.

    Raises:
        InvalidField: It is something else, or a criterion is not valid.
        FieldTooLarge: Its text is longer than criteria can be.
    """
    label = plain_label(label, path)
    if isinstance(label, RubricSpec):
        return _rubric(label.criteria, path)
    if isinstance(label, str):
        return _named(label, path)
    if isinstance(label, Mapping):
        return _read_object(label, path)
    if isinstance(label, list | tuple):
        return _rubric(label, path)
    if label is None:
        return None
    raise InvalidField(path, _EXPECTED)


def plain_label(label: Any, path: str = "label") -> Any:
    """What JSON text holds; text without its outer white space, and everything else as it is.

    Raises:
        InvalidField: It begins like JSON and is not.
        FieldTooLarge: It is longer than criteria can be.
    """
    if not isinstance(label, str):
        return label
    text = label.strip()
    if len(text) > _MAX_CHARACTERS:
        raise FieldTooLarge(path, f"has {len(text)} characters; at most {_MAX_CHARACTERS} are allowed")
    return _read_json(text, path) if text.startswith(("{", "[")) else text


def _named(text: str, path: str) -> str | None:
    if not text:
        return None
    if not _NAME.fullmatch(text):
        raise InvalidField(path, _EXPECTED)
    return text


def _read_json(text: str, path: str) -> Any:
    try:
        return read_plain_json(text)
    except NotPlainError as error:
        reason = str(error)
    except (ValueError, RecursionError):
        reason = f"is not JSON; {_EXPECTED}"
    raise InvalidField(path, reason)  # outside: the error must not keep the text


def _read_object(label: Mapping[Any, Any], path: str) -> RubricChoice | None:
    given = {key: value for key, value in label.items() if value is not None}
    match given:
        case {"criteria": list() | tuple() as criteria, **rest} if not rest:
            return _rubric(criteria, f"{path}.criteria")
        case {"rubric": rubric, **rest} if not rest and not isinstance(rubric, str):
            return read_label(rubric, f"{path}.rubric")
        case {"rubric_id": str() as name, **rest} if not rest and _NAME.fullmatch(name):
            return name
        case _ if given:
            raise InvalidField(path, _EXPECTED)
    return None


def _rubric(criteria: list[Any] | tuple[Any, ...], path: str) -> RubricSpec:
    return RubricSpec(
        criteria=tuple(
            CriterionSpec.of(read_criterion(_without_nulls(entry), f"{path}[{index}]"))
            for index, entry in enumerate(criteria)
        )
    )


def _without_nulls(entry: Any) -> Any:
    entry = asdict(entry) if isinstance(entry, CriterionSpec) else entry
    return {k: v for k, v in entry.items() if v is not None} if isinstance(entry, Mapping) else entry
