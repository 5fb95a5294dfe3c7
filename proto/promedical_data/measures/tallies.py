"""What a metric needs to know of each prompt: sums, and the formula that turns sums into the metric.

Every metric of this package has this form, so one bootstrap over prompts serves all: a resampled data set is a
weighted sum of the rows, and the formula works on many of them at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers: TypeAlias = npt.NDArray[np.float64]
Formula: TypeAlias = Callable[[Numbers], Numbers]
"""From sums of shape (..., columns) to the metric of shape (...); NaN where it is not defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A metric before it is computed.

    Attributes:
        sums: One row per prompt, in the order of ids, so that the order of the data changes nothing.
        formula: Works on sums over any multiset of those prompts.
        n: How many observations the metric is an average of: prompts, pairs, labels or responses.
    """

    sums: pd.DataFrame
    formula: Formula
    n: int

    @property
    def value(self) -> float | None:
        """The metric over all prompts; None where it is not defined (no data, or one class only)."""
        if self.sums.empty:
            return None
        value = float(self.formula(self.matrix.sum(axis=0)))
        return value if np.isfinite(value) else None

    @property
    def matrix(self) -> Numbers:
        """The sums as an array of shape (prompts, columns)."""
        return self.sums.to_numpy(dtype=np.float64)


NOTHING: Final = Tally(sums=pd.DataFrame(), formula=lambda sums: sums, n=0)
"""The estimate of a metric without data: its value is None."""


def ratio(numerator: Numbers, denominator: Numbers) -> Numbers:
    """The quotient, NaN where the denominator is 0."""
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return undefined


def micro(prompt: pd.Series, values: pd.Series) -> Tally:
    """The mean over all values."""
    sums = values.astype(float).groupby(prompt).agg(["sum", "count"])
    return Tally(sums=sums, formula=_first_by_second, n=len(values))


def macro(prompt: pd.Series, values: pd.Series) -> Tally:
    """The mean over prompts of the mean over the prompt's values: no prompt counts more for having more of them."""
    sums = values.astype(float).groupby(prompt).agg("mean").to_frame("mean").assign(prompts=1.0)
    return Tally(sums=sums, formula=_first_by_second, n=len(sums))


def difference(minuend: Tally, subtrahend: Tally) -> Tally:
    """One metric minus another on the same prompts, so that resampling pairs them.

    Raises:
        ValueError: The prompts differ.
    """
    if not minuend.sums.index.equals(subtrahend.sums.index):
        raise ValueError("the two metrics were measured on different prompts; compare them on the same ones")
    columns = minuend.sums.shape[1]

    def formula(sums: Numbers) -> Numbers:
        return minuend.formula(sums[..., :columns]) - subtrahend.formula(sums[..., columns:])

    return Tally(sums=pd.concat([minuend.sums, subtrahend.sums], axis=1), formula=formula, n=minuend.n)


def _first_by_second(sums: Numbers) -> Numbers:
    return ratio(sums[..., 0], sums[..., 1])
