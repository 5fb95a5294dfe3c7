"""Files that users might give to a command: what it reads, what nearly is that, and what nobody should read.

A file is a value; `Given.made` puts it into a folder, so that examples are drawn without touching a disk.
"""

import csv
import gzip
import io
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from promedical_data.plain_yaml import read_plain_yaml

BOMB: Final = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""YAML whose aliases name 130,000 values."""
DEPTH: Final = 5000
JUNK_FILES: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "blank": b"\n \n\n",
    "binary": bytes(range(256)) * 2,
    "nul": b"\0" * 64,
    "utf-16": '{"id": "a", "prompt": "q"}\n'.encode("utf-16"),
    "latin-1": '{"id": "caf\u00e9"}\n'.encode("latin-1"),
    "half a character": b'{"id": "\xe2\x82',
    "byte order mark": b'\xef\xbb\xbf{"id": "a"}\n',
    "deep list": b"[" * DEPTH,
    "deep object": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "deep yaml": b"{a: " * DEPTH,
    "bomb": BOMB.encode(),
    "lone surrogate": b'{"id": "\\ud800", "prompt": "\\udfff", "responses": ["\\ud800"]}\n',
    "huge number": b'{"id": ' + b"9" * 5000 + b"}\n",
    "numbers": b'{"id": NaN, "prompt": 1e999, "responses": [-Infinity]}\n',
    "twice": b'{"id": "a", "id": "b"}\n',
    "a word": b"hello\n",
    "a number": b"42\n",
    "null": b"null\n",
    "list": b"[[], {}, null, 1]\n",
    "strings": b'"a"\n"b"\n',
    "html": b"<!doctype html><title>404</title>\n",
    "gzip cut": gzip.compress(b'{"id": "a"}\n' * 9)[:-9],
    "gzip head": b"\x1f\x8b",
    "gzip of binary": gzip.compress(bytes(range(256))),
    "parquet head": b"PAR1",
    "parquet ends": b"PAR1" + b"\0" * 64 + b"PAR1",
    "csv ragged": b"id,prompt,response\n1,2\n1,2,3,4,5\n",
    "csv open quote": b'id,prompt\n1,"2\n',
    "csv repeated": b"id,id,prompt\n1,2,3\n",
    "csv wide": b"a," * 3000 + b"b\n",
    "tag": b"!!python/object/apply:os.system [echo]\n",
    "dates": b"name: 2027-13-41\nbase: .nan\nsources: [2020-01-01]\n",
    "toml": b'id = "a"\nversion = 1\n[[criteria]]\nid = 1979-05-27\n',
    "zip": b"PK\x03\x04" + b"\0" * 40,
    "sqlite head": b"SQLite format 3\0" + b"\0" * 100,
}
NO_FILES: Final = ("missing", "missing/deep.jsonl", "folder", "folder/", "file/child", "loop", "x" * 300, "", ".", "-")
DEVICES: Final = ("/dev/full", "/dev/null", "/proc/self/mem", "/proc/1/nothing", "/dev/null/x")
ENDINGS: Final = (".jsonl", ".json", ".csv", ".parquet", ".yaml", ".toml", ".jsonl.gz", ".json.gz", ".txt", "", ".db")

JUNK_VALUES: Final = (
    None, True, False, -1, 0, 1, 3, 10**400, -(2**63) - 1, 1e308, math.nan, math.inf, 0.5, "", " ", "a", "a" * 300,
    "\ud800", "\0", "nan", "1", "[bold]", "{x}", "%s", "../../x", "\u202e", [], {}, [[]], [None], [""], [{}], {"": ""},
    {"id": None}, {"a": {"a": [1]}}, ["a", 1, None], "a\nb", "2020-01-01",
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    """An argument that is a file, or nearly one; or a copy of a folder, perhaps with other content of one file."""

    name: str
    content: bytes | None = None
    folder: Path | None = None
    inside: str = ""
    word: str = "{}"

    def made(self, here: Path) -> str:
        """Put it into a folder; the argument."""
        if self.folder is not None:
            shutil.copytree(self.folder, here / self.name, dirs_exist_ok=True)
            if self.content is not None:
                (here / self.name / self.inside).write_bytes(self.content)
        elif self.content is not None:
            (here / self.name).write_bytes(self.content)
        return self.word.format(self.name)


def document(rng: Random, rows: Sequence[Any], ending: str) -> bytes:
    """A file of rows, as it should be, or with one place of one row changed, or with one byte cut or replaced."""
    how = rng.choice(["right", "changed", "changed", "changed", "twice", "bytes"])
    given = list(rows)
    if how == "changed":
        place = rng.randrange(len(given))
        given[place] = changed_json(rng, given[place])
    content = as_bytes(given * (2 if how == "twice" else 1), ending)
    if how == "bytes" and content:
        at = rng.randrange(len(content))
        return content[:at] + rng.choice([b"", b"\xff\x00", b"{", b"\n", b'"']) + content[at + 1 :]
    return content


def changed_json(rng: Random, value: Any) -> Any:
    """A JSON value with one place of it changed, left out or renamed."""
    return _changed(
        value, rng.choice(list(_places(value))), rng.choice(["put", "put", "drop", "rename"]), rng.choice(JUNK_VALUES)
    )


def as_bytes(rows: Sequence[Any], ending: str) -> bytes:
    """Rows in the form of a file's ending; what a form cannot hold is written as JSON lines."""
    writer: Callable[[Sequence[Any]], bytes] = {
        ".json": lambda rows: json.dumps(rows[0] if len(rows) == 1 else list(rows)).encode(),
        ".yaml": lambda rows: json.dumps(rows[0]).encode(),
        ".csv": _as_csv,
        ".parquet": _as_parquet,
        ".jsonl.gz": lambda rows: gzip.compress(_as_lines(rows)),
        ".json.gz": lambda rows: gzip.compress(json.dumps(list(rows)).encode()),
    }.get(ending, _as_lines)
    try:
        return writer(rows)
    except (pa.ArrowException, AttributeError, IndexError, OverflowError, TypeError, UnicodeError, csv.Error):
        return _as_lines(rows)


def yaml_rows(path: Path) -> list[Any]:
    """A YAML file as a row."""
    return [read_plain_yaml(path.read_text(encoding="utf-8"))]


def _as_lines(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _as_csv(rows: Sequence[Any]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(rows[0])
    writer.writerows([value if isinstance(value, str) else json.dumps(value) for value in row.values()] for row in rows)
    return text.getvalue().encode()


def _as_parquet(rows: Sequence[Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*path, key))


def _changed(value: Any, path: tuple[Any, ...], how: str, new: Any) -> Any:
    if not path:
        return new
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest or how == "put":
        copy[key] = _changed(value[key], tuple(rest), how, new)
    elif how == "drop" or not isinstance(copy, dict):
        del copy[key]
    else:
        copy[f"{key}x"] = copy.pop(key)
    return copy
