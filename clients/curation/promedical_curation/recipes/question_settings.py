"""What a recipe says about questions before any model is asked: sources, screens, dedup, decontamination."""

from typing import Final, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

STRICT: Final = ConfigDict(extra="forbid", strict=True)
"""Of all sections: nothing unknown, and nothing converted."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ColumnNames:
    """Where a table holds what a row needs; dotted names lead into objects and lists."""

    instruction: str
    id: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SourceChoice:
    """One file of one source.

    Attributes:
        source: One of the known data sets, or a name of one's own with `columns`.
        path: The file, or the folder, relative to the recipe's.
        sample: Whether the package's own sample of the data set is meant.
        columns: The map of columns of a table that is none of the known data sets.
        licence: What its publisher says, where `columns` are given.
    """

    source: str
    path: str | None = None
    sample: bool = False
    columns: ColumnNames | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) is not self.sample:
            raise ValueError(f"source {self.source}: expected path, or sample: true, and not both")
        if self.sample and self.columns is not None:
            raise ValueError(f"source {self.source}: the package's sample needs no columns; leave them out")
        if self.licence is not None and self.columns is None:
            raise ValueError(f"source {self.source}: licence goes with columns; known data sets have their own")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Screens:
    """What is dropped before anything is compared.

    Attributes:
        languages: Codes of ISO 639-1.
    """

    languages: tuple[str, ...] = ("en",)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Dedup:
    """From where on two questions are one.

    Attributes:
        jaccard: The similarity of their runs of five words.
        cosine: The cosine of their vectors.
        guard: Whether facts that differ keep two questions apart.
        vectors: The small model on the CPU, or the endpoint with the role `embedding`.
    """

    jaccard: float = 0.8
    cosine: float = 0.85
    guard: bool = True
    vectors: Literal["minilm", "endpoint"] = "minilm"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Benchmark:
    """A test whose questions must not be learnt from.

    Attributes:
        name: What hits call it.
        path: Its file, relative to the recipe's.
        sample: Whether the few questions are meant that come with the package, to show how it works.
        source: One of the known data sets, if it is one; otherwise rows have `prompt`.
        columns: The map of columns of a table that is neither.
    """

    name: str
    path: str | None = None
    sample: bool = False
    source: str | None = None
    columns: ColumnNames | None = None

    def __post_init__(self) -> None:
        if self.source is not None and self.columns is not None:
            raise ValueError(f"benchmark {self.name}: expected source or columns, and not both")
        if (self.path is None) is not self.sample:
            raise ValueError(f"benchmark {self.name}: expected path, or sample: true, and not both")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Decontamination:
    """What is taken out because a test asks it.

    Attributes:
        benchmarks: The tests.
        containment: The share of runs of 13 words from which a question contains a test's.
        cosine: The cosine of vectors from which two questions are the same.
        vectors: As for dedup; none to compare words only.
    """

    benchmarks: tuple[Benchmark, ...]
    containment: float = 0.3
    cosine: float = 0.85
    vectors: Literal["minilm", "endpoint", "none"] = "minilm"

    def __post_init__(self) -> None:
        if not self.benchmarks:
            raise ValueError("benchmarks is empty: name a test, or set decontamination: null")
