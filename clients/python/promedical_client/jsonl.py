"""Files of the command line: JSON lines in, JSON lines out. Errors name the file and the line, never its text."""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from promedical import messages as m
from promedical_data.errors import DataError

T = TypeVar("T")

_ITEM: Final = TypeAdapter(m.ScoreItem)
_RANK: Final = TypeAdapter(m.RankRequest)
_CRITERION_KEYS: Final = ("id", "text", "dimension", "polarity", "weight")
_UNUSED_CRITERION_KEYS: Final = ("points", "axis", "tags")


class InputError(DataError):
    """A file cannot be used; the message names it, the line and what was expected."""


def read_items(file: str, *, limit: int | None = None) -> list[m.ScoreItem]:
    """Read a job: each line a `ScoreItem`, or a line of the criteria format (which has `criteria`).

    Args:
        file: A path, gzipped if it ends in `.gz`, or `-` for standard input.
        limit: Read only the first items.

    Raises:
        InputError: The file cannot be read, holds no items, an invalid line, or an id twice.
    """
    line_of: dict[str, int] = {}
    items = []
    for number, line in islice(_lines(file), limit):
        item = _item(line, f"{file}:{number}")
        if line_of.setdefault(item.id, number) != number:
            raise InputError(f"{file}:{number}: id: is the same as that of line {line_of[item.id]}; ids are unique")
        items.append(item)
    if not items:
        raise InputError(f"{file}: holds no items; expected one JSON object per line")
    return items


def read_rank_request(file: str) -> m.RankRequest:
    """Read one `RankRequest` as JSON.

    Raises:
        InputError: The file cannot be read, or is not one.
    """
    return _validated(_RANK, b"".join(line for _, line in _lines(file)), file)


def to_json(value: object) -> str:
    """One line of JSON for any of the contract's messages."""
    return TypeAdapter(type(value)).dump_json(value).decode()


def _lines(file: str) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers."""
    try:
        with _opened(file) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "is not a whole gzip file"
        raise InputError(f"{file}: cannot be read: {reason}") from None


def _opened(file: str) -> AbstractContextManager[IO[bytes] | gzip.GzipFile]:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    return gzip.open(file) if file.endswith(".gz") else Path(file).open("rb")


def _item(line: bytes, where: str) -> m.ScoreItem:
    try:
        raw = pydantic_core.from_json(line.strip())  # unlike json, an error for any depth and any number of digits
    except ValueError as error:
        reason = str(error).replace(" at line 1 column ", " at column ")
        raise InputError(f"{where}: is not JSON (in UTF-8): {reason}") from None
    if isinstance(raw, dict) and "criteria" in raw:
        line = json.dumps(_from_criteria_format(raw, where)).encode()
    return _validated(_ITEM, line, where)


def _from_criteria_format(raw: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        criteria = [_criterion(entry, f"{where}: criteria.{index}") for index, entry in enumerate(raw["criteria"])]
        responses = [response["text"] for response in raw["responses"]]
        return {"id": raw["id"], "prompt": raw["prompt"], "responses": responses, "rubric": {"criteria": criteria}}
    except (AttributeError, KeyError, TypeError):
        raise InputError(
            f"{where}: has criteria but not the rest of that format: id, prompt, criteria of objects and responses "
            "of objects with text"
        ) from None


def _criterion(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Without what other tools keep there. A key that nobody knows is a typo, and could turn a sign around."""
    unknown = sorted(entry.keys() - {*_CRITERION_KEYS, *_UNUSED_CRITERION_KEYS})
    if unknown:
        raise InputError(f"{where}.{unknown[0]}: is unknown; expected only {', '.join(_CRITERION_KEYS)}")
    return {key: entry[key] for key in _CRITERION_KEYS if key in entry}


def _validated(adapter: TypeAdapter[T], text: bytes, where: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {path}: {first['msg']}".replace(": : ", ": ")) from None
