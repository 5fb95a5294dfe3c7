"""Plain JSON, stricter than the fast parser reads it, and bounded before anything is built from it.

This module does not know the contract. No message quotes the body: a caller can put anything into it.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from promedical.errors import ErrorCode
from promedical.plain_json import NotPlainError, finite, refuse_constant, unique_fields
from promedical_service.errors import ServiceError, invalid_field

_MAX_FIELDS: Final = 32
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Possessive, and anchored at the end of the body, so that it takes linear time on any bytes."""


def parse_strictly(
    body: bytes, max_values: int, *, max_fields: int = _MAX_FIELDS, parse_int: Callable[[str], Any] = len
) -> Any:
    """Decode a body.

    Args:
        body: Bytes from a caller.
        max_values: The most values in the whole body.
        max_fields: The most fields in one object.
        parse_int: Makes an integer from its digits; `len` avoids the conversion of huge ones that nobody reads.

    Raises:
        ServiceError: too_large, if it holds more values than any request needs; invalid_request, if it is not
            JSON, has a name twice in an object, or has numbers that JSON does not have.
    """
    _bound(body, max_values)
    read_object = functools.partial(_object, max_fields=max_fields)
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=read_object,
            parse_constant=refuse_constant,
            parse_float=finite,
            parse_int=parse_int,
        )
    except NotPlainError as error:
        reason = f"The body {error}"
    except _NotStrictError as error:
        reason = str(error)
    except json.JSONDecodeError as error:
        reason = f"The body is not JSON; look at line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "The body is nested too deeply; see /docs for its shape"
    except UnicodeDecodeError:
        reason = "The body is not UTF-8; send JSON in UTF-8"
    except ValueError:
        reason = "An integer in the body has too many digits; send smaller numbers"
    raise invalid_field("", reason)  # outside: the error must not keep what was parsed


def texts(value: Any) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Every text of a parsed body with its path; the name of a field is a text of its object."""
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), value)]
    while waiting:
        path, current = waiting.pop()
        if isinstance(current, str):
            yield path, current
        elif isinstance(current, dict):
            yield from ((path, name) for name in current)
            waiting += [((*path, name), child) for name, child in current.items()]
        elif isinstance(current, list):
            waiting += [((*path, index), child) for index, child in enumerate(current)]


def _bound(body: bytes, max_values: int) -> None:
    """Count the values outside strings before objects are made from them: a few bytes can ask for many objects."""
    if _separators(body, 0, len(body)) > max_values and _holds_more(body, max_values):
        message = (
            f"The body holds more than {max_values} values, more than any request needs; send fewer items per request"
        )
        raise ServiceError(ErrorCode.TOO_LARGE, message)


def _holds_more(body: bytes, max_values: int) -> bool:
    values, end = 0, 0
    for strings, string in enumerate(_STRING.finditer(body), start=1):
        values += _separators(body, end, string.start())
        end = string.end()
        if values > max_values or strings > 2 * max_values:  # each has a name and a value
            return True
    return values + _separators(body, end, len(body)) > max_values


def _separators(body: bytes, start: int, stop: int) -> int:
    return sum(body.count(mark, start, stop) for mark in (b",", b"[", b"{"))


class _NotStrictError(Exception):
    pass


def _object(pairs: list[tuple[str, Any]], max_fields: int) -> dict[str, Any]:
    if len(pairs) > max_fields:
        raise _NotStrictError(f"An object in the body has more than {max_fields} fields; see /docs for the known ones")
    return unique_fields(pairs)
