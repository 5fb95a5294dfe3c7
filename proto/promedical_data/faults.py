"""What is wrong with nested settings or rows, in one sentence: pydantic's complaint, at the place that people see.

Pydantic complains about every branch of a union and about each field apart. Here one complaint is chosen: a misspelt
field before the field that is therefore missing, and the branch of a union that was meant. Values are not quoted.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_UNKNOWN: Final = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
_MISSING: Final = frozenset({"missing", "missing_argument", "missing_keyword_only_argument"})
_ALIKE: Final = 0.6

_PLAIN: Final = {
    "a valid tuple": "expected a list",
    "a valid string": "expected a string",
    "a valid integer": "expected a whole number",
    "a valid number": "expected a number",
    "a valid boolean": "expected true or false",
    "a dictionary or an instance": "expected a section of settings",
}
"""What pydantic says in the words of Python, in those of files."""

Loc = Sequence[int | str]


def first_fault(error: ValidationError, shape: Any) -> str:
    """The fault to mend first, with its place: `optimisation.epoch: is unknown; did you mean epochs?`.

    Args:
        error: What pydantic found.
        shape: The type that was expected, of frozen dataclasses.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    inner = [each["loc"] for each in details if not _is_tag(each, shape)]
    meant = [each for each in details if not (_is_tag(each, shape) and _is_around(each["loc"][:-1], inner))]
    chosen = next((each for each in meant if each["type"] in _UNKNOWN and _hint(each["loc"], shape)), meant[0])
    loc, kind = chosen["loc"], chosen["type"]
    if kind in _UNKNOWN:
        path, there = _walked(loc[:-1], shape)
        known = f"expected one of {', '.join(_fields(there))}"
        return f"{_joined(path, loc[-1])}: is unknown{_hint(loc, shape) or f'; {known}'}"
    path, there = _walked(loc, shape)
    if kind in _MISSING:
        return f"{path}: is missing"
    rivals = [each for each in details if each["loc"][:-1] == loc[:-1] and each["type"] not in _UNKNOWN]
    if len(rivals) > 1 and all(_is_tag(each, shape) for each in rivals):
        return f"{path}: expected {_said(_walked(loc[:-1], shape)[1])}"
    return f"{path}: {_words(chosen['msg'])}" if path else _words(chosen["msg"])


def _is_around(loc: Loc, others: Sequence[Loc]) -> bool:
    """Whether a complaint stands inside this place: then the branch of its union was meant."""
    return any(len(other) > len(loc) and tuple(other[: len(loc)]) == tuple(loc) for other in others)


def _is_tag(detail: ErrorDetails, shape: Any) -> bool:
    """Whether the last part of a place names a branch of a union, not a field."""
    loc = detail["loc"]
    if detail["type"] in _UNKNOWN or not loc or not isinstance(loc[-1], str):
        return False
    return _walked(loc, shape)[0] == _walked(loc[:-1], shape)[0]


def _walked(loc: Loc, shape: Any) -> tuple[str, Any]:
    """The path as people write it, and the type there."""
    path = ""
    for part in loc:
        inner = next((found for each in _branches(shape) if (found := _inside(each, part)) is not None), None)
        if inner is None:
            shape = next((each for each in _branches(shape) if _name(each) == part), shape)
            continue
        path, shape = _joined(path, part), inner
    return path, shape


def _branches(shape: Any) -> tuple[Any, ...]:
    return get_args(shape) if get_origin(shape) in {Union, UnionType} else (shape,)


def _inside(shape: Any, part: int | str) -> Any:
    """The type of an element, or of a field; None if there is none of this name."""
    origin, arguments = get_origin(shape), get_args(shape)
    if isinstance(part, int):
        return arguments[0] if origin in {tuple, list} else None
    if origin is dict:
        return arguments[1]
    return get_type_hints(shape).get(part) if is_dataclass(shape) else None


def _name(shape: Any) -> str:
    return (
        shape.__name__ if isinstance(shape, type) and get_origin(shape) is None else str(shape).replace("typing.", "")
    )


def _joined(path: str, part: int | str) -> str:
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def near_field(loc: Loc, shape: Any) -> str | None:
    """The field at this place that an unknown one is much like."""
    near = get_close_matches(str(loc[-1]), _fields(_walked(loc[:-1], shape)[1]), n=1, cutoff=_ALIKE)
    return near[0] if near else None


def _hint(loc: Loc, shape: Any) -> str:
    """What was meant by an unknown field: one that fits this place, or the place that it fits."""
    near = near_field(loc, shape)
    if near is not None:
        return f"; did you mean {near}?"
    homes = _homes(str(loc[-1]), shape, "")
    return f" here; it belongs to {' or '.join(homes)}" if homes else ""


def _fields(shape: Any) -> list[str]:
    return [field.name for each in _branches(shape) if is_dataclass(each) for field in fields(each)]


def _homes(name: str, shape: Any, path: str) -> Sequence[str]:
    """The sections that have a field of this name."""
    found = []
    for each in _branches(shape):
        for field, hint in (get_type_hints(each) if is_dataclass(each) else {}).items():
            inner = next((one for one in _branches(hint) if is_dataclass(one)), None)
            if inner is not None and name in get_type_hints(inner):
                found.append(_joined(path, field))
            found += _homes(name, inner, _joined(path, field)) if inner is not None else []
    return found


def _words(message: str) -> str:
    message = message.removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return next((words for pattern, words in _PLAIN.items() if pattern in message), message)


def _said(shape: Any) -> str:
    words = {str: "a string", NoneType: "null"}
    return " or ".join(words.get(each) or _sequence(each) for each in _branches(shape))


def _sequence(shape: Any) -> str:
    return f"a list of {_name(get_args(shape)[0])}" if get_origin(shape) in {tuple, list} else _name(shape)
