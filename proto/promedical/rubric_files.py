"""Rubrics by name: the built-in ones, and JSON or TOML files from a folder that an operator mounts.

A file is named `{id}@{version}.json` or `.toml` and holds `title` and `criteria`; `$schema` is for editors. `_` in the
name does as well as `@`, which keys of a ConfigMap cannot hold. Files are checked when they are read: requests look
names up in a dictionary and never touch a path.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

from promedical.plain_json import NotPlainError, read_plain_json
from promedical.rubric import Criterion, Dimension, InvalidField, Polarity, Rubric

_FILE_NAME: Final = re.compile(r"(?P<id>[a-z0-9][a-z0-9.-]*)[@_](?P<version>0|[1-9][0-9]*)\.(?P<kind>json|toml)")
_RUBRIC_KEYS: Final = frozenset({"title", "criteria"})
_SCHEMA: Final = "$schema"
_CRITERION_KEYS: Final = frozenset({"id", "text", "dimension", "weight", "polarity"})


class RubricFile(Protocol):
    """What is read of a file: its name, and its text in UTF-8."""

    @property
    def name(self) -> str:
        """The name without a folder."""

    def read_text(self, encoding: str) -> str:
        """The text."""


class RubricFileError(ValueError):
    """A rubric file cannot be used. The message names the file, the place in it and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRubric:
    """A rubric that requests may name, with the title that people read, and its hash, computed once."""

    title: str
    rubric: Rubric
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", self.rubric.sha256)


class RubricCatalog:
    """Rubrics by `id@version`; `id` alone names the newest version."""

    def __init__(self, rubrics: Iterable[NamedRubric]) -> None:
        ordered = sorted(rubrics, key=lambda named: (named.rubric.id or "", int(named.rubric.version or 0)))
        self._by_name: dict[str, NamedRubric] = {}
        for named in ordered:
            if named.rubric.name in self._by_name:
                raise RubricFileError(f"rubric {named.rubric.name} is defined twice; remove one of its files")
            self._by_name[named.rubric.name or ""] = named
        self._newest = {named.rubric.id: named for named in ordered}

    def __iter__(self) -> Iterator[NamedRubric]:
        return iter(self._by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Every `id@version`, sorted."""
        return tuple(self._by_name)

    def find(self, name: str) -> NamedRubric | None:
        """The rubric called `id@version`, or the newest one called `id`; None if there is none."""
        return self._by_name.get(name) or self._newest.get(name)


def load_catalog(folder: Path | None = None) -> RubricCatalog:
    """Read the built-in rubrics and those in `folder`.

    Raises:
        RubricFileError: The folder is missing, or a file in it is not a valid rubric.
    """
    files: list[RubricFile] = [] if folder is None else [*files_in(folder)]
    return RubricCatalog(read_rubric(file) for file in [*built_in_files(), *files])


def built_in_files() -> list[RubricFile]:
    """The files of the built-in rubrics."""
    return [*resources.files("promedical").joinpath("rubrics").iterdir()]


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that should be rubrics.

    Raises:
        RubricFileError: The folder is missing.
    """
    if not folder.is_dir():
        raise RubricFileError(f"rubric folder {folder} is not a folder; create it or leave the setting out")
    return [path for path in sorted(folder.iterdir()) if path.suffix in {".json", ".toml"}]


def read_rubric(file: RubricFile) -> NamedRubric:
    """One rubric file.

    Raises:
        RubricFileError: It is not a valid rubric; the error names the place in it.
    """
    name = _name_of(file)
    try:
        text = file.read_text(encoding="utf-8")
        raw = read_plain_json(text) if name["kind"] == "json" else tomllib.loads(text)
        criteria = _criteria(raw)
        rubric = Rubric(criteria=criteria, id=name["id"], version=name["version"])
        return NamedRubric(title=_string(raw, "title"), rubric=rubric)
    except InvalidField as error:
        raise RubricFileError(f"{file.name}: {error}") from error
    except NotPlainError as error:
        field = f": {error.field!r}" if error.field is not None else ""
        raise RubricFileError(f"{file.name}: {error}{field}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RubricFileError(f"{file.name}: cannot be read as {name['kind']}: {error}") from error


def _name_of(file: RubricFile) -> re.Match[str]:
    name = _FILE_NAME.fullmatch(file.name)
    if name is None:
        raise RubricFileError(f"{file.name}: expected a file name like general-medical@1.json")
    return name


def check_file_name(file: Path) -> None:
    """Refuse a name under which a rubric cannot be written as JSON.

    Raises:
        RubricFileError: It is no `id@version.json`.
    """
    if _name_of(file)["kind"] != "json":
        raise RubricFileError(f"{file.name}: rubrics are written as JSON; expected a file name like mine@1.json")


def rubric_text(title: str, criteria: Iterable[Criterion]) -> str:
    """What `read_rubric` reads as this rubric, as JSON."""
    return json.dumps({"title": title, "criteria": list(map(_entry, criteria))}, indent=2, ensure_ascii=False) + "\n"


def _entry(criterion: Criterion) -> dict[str, Any]:
    """A criterion without what is usual: a weight of 1, and the polarity of its dimension."""
    usual = Polarity.NEGATIVE if criterion.dimension is Dimension.SAFETY else Polarity.POSITIVE
    return {
        "id": criterion.id,
        "text": criterion.text,
        "dimension": str(criterion.dimension),
        **({} if criterion.weight is None else {"weight": criterion.weight}),
        **({} if criterion.polarity is usual else {"polarity": str(criterion.polarity)}),
    }


def _criteria(raw: Any) -> tuple[Criterion, ...]:
    if not isinstance(raw, dict) or raw.keys() - {_SCHEMA} != _RUBRIC_KEYS:
        raise InvalidField("", "expected title and criteria, and nothing else")
    if not isinstance(raw.get(_SCHEMA, ""), str):
        raise InvalidField(_SCHEMA, "expected a string, the address of the schema")
    if not isinstance(raw["criteria"], list):
        raise InvalidField("criteria", "expected a list of criteria")
    return tuple(read_criterion(entry, f"criteria[{index}]") for index, entry in enumerate(raw["criteria"]))


def read_criterion(entry: Any, path: str) -> Criterion:
    """A criterion from plain JSON.

    Raises:
        InvalidField: It is not a valid criterion; the error names the place under `path` and what was expected there.
    """
    if not isinstance(entry, Mapping) or not {"id", "text", "dimension"} <= entry.keys() <= _CRITERION_KEYS:
        raise InvalidField(path, "expected id, text and dimension, and optionally weight and polarity")
    try:
        return Criterion(
            id=_string(entry, "id"),
            text=_string(entry, "text"),
            dimension=entry["dimension"],
            weight=_weight(entry.get("weight")),
            polarity=entry.get("polarity"),
        )
    except InvalidField as error:
        raise error.under(path) from error
    except ValueError as error:
        raise InvalidField(path, str(error)) from error


def _string(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise InvalidField(key, "expected a string")
    return value


def _weight(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidField("weight", "expected a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidField("weight", "is too large; use smaller weights") from error
