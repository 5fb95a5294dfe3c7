"""Decontamination as a stage: what a test asks too is dropped. Sees all rows at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from promedical_curation.decontamination import benchmarks, containment, decontamination
from promedical_curation.decontamination.benchmarks import benchmark
from promedical_curation.decontamination.decontamination import Decontamination
from promedical_curation.errors import CurationError
from promedical_curation.guard import facts, quantities, words
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Outcome
from promedical_curation.sources.catalog import Source
from promedical_curation.stages.vectors import Vectors
from promedical_data.files import sha256_of

NAME: Final = "decontamination"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkFile:
    """A test that training must not have seen.

    Attributes:
        name: What hits call it.
        path: Its file.
        source: How it is read; None for rows with `prompt`.
    """

    name: str
    path: Path
    source: Source | None = None

    @property
    def config(self) -> dict[str, object]:
        """What its entries depend on.

        Raises:
            CurationError: It cannot be read.
        """
        try:
            found = sha256_of(self.path)
        except OSError as error:
            raise CurationError(
                f"{self.path}: cannot be read: {error.strerror}; expected the questions of {self.name}"
            ) from None
        return {"name": self.name, "sha256": found, "source": None if self.source is None else self.source.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decontaminating:
    """Drops what tests ask.

    Attributes:
        tests: The tests.
        vectors: For texts that ask the same in other words; None to compare words only.
        containment: The share of runs of 13 words from which a text contains an entry.
        cosine: The cosine from which two questions are the same.
    """

    tests: tuple[BenchmarkFile, ...]
    vectors: Vectors | None
    containment: float
    cosine: float

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        return TableStage(
            name=NAME,
            config={
                "tests": [each.config for each in self.tests],
                "vectors": None if self.vectors is None else self.vectors.name,
                "containment": self.containment,
                "cosine": self.cosine,
            },
            code=(benchmarks, containment, decontamination, facts, quantities, words),
            decide=self.decide,
        )

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Every row, or its drop with its best hit."""
        entries = [entry for each in self.tests for entry in benchmark(each.name, each.path, each.source)]
        encoder = None if self.vectors is None else self.vectors.encoder()
        return Decontamination(entries, encoder, containment=self.containment, cosine=self.cosine).outcomes(rows)
