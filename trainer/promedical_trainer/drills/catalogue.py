"""Where text comes from, and the gate: a source is read only if its licence allows what the weights are for."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

import yaml
from pydantic import TypeAdapter

Kind: TypeAlias = Literal["statements", "relevance", "vetoes", "answers"]
SourceFormat: TypeAlias = Literal["medquad", "kqa", "chatdoctor", "medsafetybench", "medinstruct", "own"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source of text.

    Attributes:
        title: Its name, with who published it.
        path: The file or folder below the folder of sources; None for what comes with this package.
        format: How it is read.
        kinds: The kinds of drills that it is for.
        licence: The licence that its publisher states, as SPDX names it.
        url: Where it is published; None for what comes with this package.
        used: What is taken from it.
    """

    title: str
    path: str | None
    format: SourceFormat
    kinds: frozenset[Kind]
    licence: str
    url: str | None
    used: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All sources by name, and the licences that weights of any licence may learn from."""

    allowed: tuple[str, ...]
    sources: dict[str, Source]

    def permitted(self, more: Collection[str] = ()) -> dict[str, Source]:
        """The sources whose licence is allowed, or is one of `more`."""
        licences = {*self.allowed, *more}
        return {name: source for name, source in self.sources.items() if source.licence in licences}


@cache
def catalogue() -> Catalogue:
    """The sources that come with the package, in `sources.yaml`."""
    text = (files("promedical_trainer.drills") / "sources.yaml").read_text(encoding="utf-8")
    return TypeAdapter(Catalogue).validate_python(yaml.safe_load(text))
