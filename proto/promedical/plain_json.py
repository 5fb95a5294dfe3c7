"""JSON read strictly: no field twice in one object, and no number that is not finite. Pure."""

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn


class NotPlainError(ValueError):
    """JSON that readers disagree about. The message names no content but the repeated field, in `field`."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.field = field


def read_plain_json(text: str) -> Any:
    """Decode JSON text.

    Raises:
        NotPlainError: A field stands twice in one object, or a number is not finite.
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique_fields, parse_constant=refuse_constant, parse_float=finite)


def unique_fields(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these fields.

    Raises:
        NotPlainError: One of them stands twice.
    """
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise NotPlainError("has a field twice in one object; give each field once", name)
        read[name] = value
    return read


def finite(digits: str) -> float:
    """The number that these digits mean.

    Raises:
        NotPlainError: It is too large, such as 1e999.
    """
    number = float(digits)
    if not math.isfinite(number):
        raise NotPlainError("holds a number that is too large; send finite numbers")
    return number


def refuse_constant(_: str) -> NoReturn:
    """For NaN and Infinity, which Python reads.

    Raises:
        NotPlainError: Always.
    """
    raise NotPlainError("holds NaN or Infinity, which are not JSON; send finite numbers")
