"""Values of a wrong type are refused where they are given, with their place. Pure.

Whether a value of the right type makes sense is said elsewhere: one bad criterion is the error of its item, and the
codecs know the words.
"""

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from promedical.rubric import InvalidField

_SAID: Final[Mapping[Any, str]] = {str: "a string", float: "a number", int: "a whole number", NoneType: "None"}


def check_types(value: object) -> None:
    """Check every field of a frozen dataclass by its annotation; a list becomes the tuple that is annotated.

    Raises:
        InvalidField: A field has another type. The value is not quoted.
    """
    kind: Any = type(value)
    for name, hint, exact in _fields(kind):
        given = getattr(value, name)
        if type(given) in exact:  # nearly always, and a request may hold thousands
            continue
        checked = _checked(given, hint, f"{kind.__name__}.{name}")
        if checked is not given:
            object.__setattr__(value, name, checked)


@lru_cache
def _fields(kind: Any) -> tuple[tuple[str, Any, frozenset[Any]], ...]:
    """Every field with its annotation, and with the types that need no closer look."""
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name], _exact(hints[field.name])) for field in fields(kind))


def _exact(hint: Any) -> frozenset[Any]:
    plain = {each for each in _branches(hint) if isinstance(each, type) and get_origin(each) is None}
    words = {str for each in plain if issubclass(each, StrEnum)}
    return frozenset({*plain, *words, *([int] if float in plain else [])})


def _checked(given: Any, hint: Any, path: str) -> Any:
    branch = next((each for each in _branches(hint) if _is_like(given, each)), None)
    if branch is None:
        raise InvalidField(path, f"is of type {type(given).__name__}; expected {said(hint)}")
    if get_origin(branch) is not tuple:
        return given
    element = get_args(branch)[0]
    values = [_checked(each, element, f"{path}[{number}]") for number, each in enumerate(given)]
    return given if isinstance(given, tuple) else tuple(values)


def _branches(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _is_like(given: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is tuple:
        return isinstance(given, list | tuple)
    if origin is Literal or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return isinstance(given, str)
    if hint is float:
        return isinstance(given, int | float) and not isinstance(given, bool)
    return isinstance(given, hint)


def said(hint: Any) -> str:
    """A type in words."""
    branches = _branches(hint)
    if len(branches) > 1:
        return " or ".join(said(each) for each in branches)
    if get_origin(hint) is tuple:
        element = get_args(hint)[0]
        return f"a tuple or list of {'strings' if element is str else element.__name__}"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if issubclass(hint, StrEnum):
        return f"one of {', '.join(hint)}"
    return _SAID.get(hint) or str(hint.__name__)
