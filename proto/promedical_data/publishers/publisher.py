"""What a publisher's module says about its files, and what it is given to read a row."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from promedical_data.report import FileFormat
from promedical_data.skips import Place, Refusal

Row: TypeAlias = dict[str, Any]

_ID_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A row in the words of one of our formats, whose reader then judges it."""

    file_format: FileFormat
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a row does not say itself.

    Attributes:
        given: The row of ours with this id, from the file of prompts that the user named; None if there is none.
        columns: Which keys of a row hold what, by the words of the publisher's module.
        settings: What the publisher's `beside` found next to the file.
    """

    given: Callable[[str], Row | None] = lambda _: None
    columns: Mapping[str, str] = field(default_factory=dict)
    settings: Any = None


Shape: TypeAlias = Callable[[Row, Place, Surroundings], Shaped]
"""Reads one row; raises `Refusal` if the row as a whole says nothing, and notes parts that say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """A publisher's files.

    Attributes:
        name: What the command line calls them.
        title: What they are.
        licence: Under which terms they are published, as far as they say.
        reads: What is taken from them, and as what.
        drops: What is left out.
        needs: The keys that every row has.
        shape: Reads one row.
        fits: Whether a row that has the keys is one of these; other publishers have the same keys.
        merges: Whether several rows may be about one prompt, which is then one row of the result.
        rows: The rows of a JSON document that holds them in its own way; None if it is another document.
        streams: Where such a document has its rows, in the words of ijson, if it may be too large for the memory.
        beside: Reads what stands next to a file.
        columns: Words for keys that users choose, and their usual names.
        prompts: Whether a file of prompts must be given: the rows do not hold the criteria, or not the prompts.
    """

    name: str
    title: str
    licence: str
    reads: str
    drops: str
    needs: Collection[str]
    shape: Shape
    fits: Callable[[Row], bool] = lambda _: True
    merges: bool = False
    rows: Callable[[Row], Iterable[tuple[str, Any]] | None] = lambda _: None
    streams: str | None = None
    beside: Callable[[Path], Any] = lambda _: None
    columns: Mapping[str, str] = field(default_factory=dict)
    prompts: bool = False

    def matches(self, row: Row) -> bool:
        """Whether a row is one of these, by its keys."""
        return row.keys() >= set(self.needs) and self.fits(row)


def id_of(*texts: str) -> str:
    """An id for what has none: it depends on these texts only."""
    return hashlib.sha256("\n\n".join(texts).encode(errors="replace")).hexdigest()[:_ID_CHARACTERS]


def listed(document: Row, *path: str) -> Iterator[tuple[str, Any]] | None:
    """The rows of a list inside a document; None if it has no such list."""
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, list):
        return None
    return ((f"{'.'.join(path)} {number}", row) for number, row in enumerate(found, start=1))


def given_prompt(surroundings: Surroundings, prompt_id: str) -> Row:
    """The given row with this id.

    Raises:
        Refusal: There is none.
    """
    found = surroundings.given(prompt_id)
    if found is None:
        raise Refusal("is about a prompt that the file of prompts does not have")
    return found
