"""What was read from a file and what was refused, in numbers. A report holds ids and line numbers, never any text."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from promedical.rubric import Dimension, Polarity
from promedical_data.labelled import LabelledPrompt
from promedical_data.skips import Skipped

FileFormat = Literal["criteria", "pairs", "healthbench"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """Which file was read, and as what.

    Attributes:
        path: The path, as the caller gave it.
        sha256: The hash of the bytes on the disk, as `sha256sum` gives it; a gzipped copy has another one.
        file_format: How the rows were read.
        rows: Lines that are not blank, or elements of the array.
    """

    path: Path
    sha256: str
    file_format: FileFormat
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What there is for one dimension and polarity.

    Attributes:
        dimension: Where the criteria count.
        polarity: Whether they speak for or against a response.
        criteria: The number of criteria, over all prompts.
        labels: The number of verdicts on them.
        met: The number of verdicts that say met as worded.
        preferences: The number of comparisons on them.
    """

    dimension: Dimension
    polarity: Polarity
    criteria: int
    labels: int
    met: int
    preferences: int

    @property
    def share_met(self) -> float | None:
        """The share of labels that are met; None if there are none."""
        return self.met / self.labels if self.labels else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths in characters: the middle, the 95th percentile (nearest rank) and the longest."""

    median: float
    p95: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What a file held. rows = prompts + rows skipped.

    Attributes:
        path: The file, as the caller named it.
        sha256: The hash of the file's bytes on the disk.
        file_format: How its rows were read.
        rows: Lines that are not blank, or elements of the array.
        prompts: Rows that could be used.
        responses: Answers in these rows.
        labels: Verdicts on a response and a criterion.
        preferences: Comparisons of two responses on a criterion.
        prompts_without_pair: Prompts with fewer than two responses, in which nothing can be compared.
        cells: Labels and preferences by dimension and polarity.
        kinds: Labels by who rated: "llm", "physician".
        sources: Prompts by source.
        lengths: Lengths of "prompt", "response" and "criterion", without those that are absent.
        skipped: What was left out and why, the most frequent first.
    """

    path: Path
    sha256: str
    file_format: FileFormat
    rows: int
    prompts: int
    responses: int
    labels: int
    preferences: int
    prompts_without_pair: int
    cells: tuple[Cell, ...]
    kinds: Mapping[str, int]
    sources: Mapping[str, int]
    lengths: Mapping[str, Lengths]
    skipped: tuple[Skipped, ...]

    @property
    def rows_skipped(self) -> int:
        """Rows of which nothing could be used."""
        return sum(entry.count for entry in self.skipped if entry.part == "row")


def report_on(prompts: Sequence[LabelledPrompt], file: FileIdentity, skipped: tuple[Skipped, ...]) -> DataReport:
    """The report of a file that gave these prompts."""
    responses = [response for prompt in prompts for response in prompt.responses]
    kinds = Counter(label.kind for response in responses for label in response.labels.values())
    return DataReport(
        path=file.path,
        sha256=file.sha256,
        file_format=file.file_format,
        rows=file.rows,
        prompts=len(prompts),
        responses=len(responses),
        labels=kinds.total(),
        preferences=sum(len(prompt.preferences) for prompt in prompts),
        prompts_without_pair=sum(len(prompt.responses) < 2 for prompt in prompts),  # noqa: PLR2004 - a pair is two
        cells=_cells(prompts),
        kinds=dict(kinds.most_common()),
        sources=dict(Counter(prompt.source for prompt in prompts).most_common()),
        lengths=_lengths(prompts),
        skipped=skipped,
    )


def as_dict(report: DataReport) -> dict[str, Any]:
    """The report as JSON can hold it, with shares and skipped rows."""
    cells = [asdict(cell) | {"share_met": cell.share_met} for cell in report.cells]
    return asdict(report) | {"path": str(report.path), "rows_skipped": report.rows_skipped, "cells": cells}


def _cells(prompts: Sequence[LabelledPrompt]) -> tuple[Cell, ...]:
    criteria = Counter((c.dimension, c.polarity) for prompt in prompts for c in prompt.criteria)
    verdicts = Counter(entry for prompt in prompts for entry in _verdicts(prompt))
    compared = Counter(entry for prompt in prompts for entry in _compared(prompt))
    return tuple(
        Cell(
            dimension=dimension,
            polarity=polarity,
            criteria=criteria[dimension, polarity],
            labels=verdicts[dimension, polarity, True] + verdicts[dimension, polarity, False],
            met=verdicts[dimension, polarity, True],
            preferences=compared[dimension, polarity],
        )
        for dimension in Dimension
        for polarity in Polarity
        if criteria[dimension, polarity]
    )


def _verdicts(prompt: LabelledPrompt) -> Iterator[tuple[Dimension, Polarity | None, bool]]:
    criteria = prompt.criterion_by_id
    for response in prompt.responses:
        for criterion_id, label in response.labels.items():
            yield criteria[criterion_id].dimension, criteria[criterion_id].polarity, label.met


def _compared(prompt: LabelledPrompt) -> Iterator[tuple[Dimension, Polarity | None]]:
    criteria = prompt.criterion_by_id
    for preference in prompt.preferences:
        yield criteria[preference.criterion].dimension, criteria[preference.criterion].polarity


def _lengths(prompts: Sequence[LabelledPrompt]) -> dict[str, Lengths]:
    characters = {
        "prompt": [sum(len(turn.content) for turn in prompt.turns) for prompt in prompts],
        "response": [len(response.text) for prompt in prompts for response in prompt.responses],
        "criterion": [len(criterion.text) for prompt in prompts for criterion in prompt.criteria],
    }
    return {name: lengths_of(values) for name, values in characters.items() if values}


def lengths_of(characters: Iterable[int]) -> Lengths:
    """The summary of some lengths; there must be at least one."""
    ordered = sorted(characters)
    rank = math.ceil(0.95 * len(ordered))
    return Lengths(median=float(median(ordered)), p95=ordered[rank - 1], max=ordered[-1])
