"""From logit to probability and decision: Platt scaling per dimension and polarity, read from the bundle. Pure."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from promedical.rubric import Criterion, Dimension, Polarity

NO_OTHER_FIELDS: Final = {"extra": "forbid"}
"""Settings of what is read from a manifest: a misspelt field is an error, not a default."""

LOGIT_DIGITS = 3
"""Logits are rounded before anything depends on them, so that float noise does not flip a decision."""


CELL_NAMES: Final = frozenset(
    {"global", *Dimension, *(f"{dimension}/{polarity}" for dimension in Dimension for polarity in Polarity)}
)
"""The names of cells for kinds of criteria."""

_WORDING: Final = re.compile(r"wording/[0-9a-f]{16}")


def wording_cell(text: str) -> str:
    """The name of the cell for a single criterion, by its text: it is the same in every rubric."""
    return f"wording/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def is_cell_name(name: str) -> bool:
    """Whether a calibration may hold a cell of this name."""
    return name in CELL_NAMES or _WORDING.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlattCell:
    """`probability = sigmoid(scale * logit + offset)`; a criterion is met from `threshold` on."""

    __pydantic_config__ = NO_OTHER_FIELDS

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.offset) and self.scale > 0):
            raise ValueError(f"scale {self.scale} and offset {self.offset}: expected finite numbers, scale above 0")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold}: expected above 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One calibrated answer: the rounded logit, its probability, and whether the criterion is met as worded."""

    logit: float
    probability: float
    threshold: float
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Cells by wording, "dimension/polarity", "dimension" or "global": the most specific wins; none means identity."""

    cells: Mapping[str, PlattCell] = field(default_factory=dict)

    def verdict(self, logit: float, criterion: Criterion) -> Verdict:
        """Judge one finite logit for one criterion."""
        cell = self._cell(criterion)
        rounded = round(logit, LOGIT_DIGITS)
        probability = _sigmoid(cell.scale * rounded + cell.offset)
        return Verdict(
            logit=rounded, probability=probability, threshold=cell.threshold, met=probability >= cell.threshold
        )

    def _cell(self, criterion: Criterion) -> PlattCell:
        kind = f"{criterion.dimension}/{criterion.polarity}"
        names = (wording_cell(criterion.text), kind, str(criterion.dimension), "global")
        return next((self.cells[name] for name in names if name in self.cells), PlattCell())

    @property
    def kind(self) -> str:
        """The kind of calibration: identity or platt."""
        return "platt" if self.cells else "identity"

    @property
    def sha256(self) -> str:
        """Hash of the parameters."""
        canonical = json.dumps({name: asdict(cell) for name, cell in self.cells.items()}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _sigmoid(x: float) -> float:
    """The logistic function, without overflow for any finite x."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))
