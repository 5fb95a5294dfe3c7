"""Percentile intervals by resampling prompts. Labels of one prompt are correlated, so prompts are the clusters.

`scipy.stats.bootstrap` resamples single observations and computes a statistic of them again each time; here whole
prompts are drawn, the same ones for every metric, and a replicate is a product of weights and sums.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from promedical_data.measures.tallies import Numbers, Tally

_CHUNK: Final = 100
"""Replicates at a time: wide tallies (a column per criterion) then fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: None where the metric is not defined: no data, or one class only. Never 0 or NaN for that.
        low: Lower end of the 95 % interval; None where there is no value, or one prompt only.
        high: Upper end.
        n: How many observations the value is an average of; 0 where there is no value.
        std: Standard deviation over the replicates, where there is an interval.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    std: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """The percentile bootstrap (Efron 1979), clustered by prompt.

    The same seed draws the same prompts for every metric of the same prompts. Replicates in which a metric is
    not defined are left out. Of metrics that are biased upwards in small samples (calibration error), the
    interval is too.
    """

    replicates: int = 1000
    seed: int = 0
    level: float = 0.95

    def estimate(self, tally: Tally) -> Estimate:
        """The metric and its interval."""
        value = tally.value
        if value is None:
            return Estimate(value=None, low=None, high=None, n=0)
        replicates = self._replicates(tally)
        defined = replicates[np.isfinite(replicates)]
        if len(tally.sums) == 1 or not defined.size:
            return Estimate(value=value, low=None, high=None, n=tally.n)
        tail = (1 - self.level) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return Estimate(value=value, low=float(low), high=float(high), n=tally.n, std=float(defined.std()))

    def _replicates(self, tally: Tally) -> Numbers:
        matrix = tally.matrix
        weights = self._weights(len(matrix))
        chunks = [weights[start : start + _CHUNK] for start in range(0, self.replicates, _CHUNK)]
        return np.concatenate([tally.formula(chunk @ matrix) for chunk in chunks])

    def _weights(self, prompts: int) -> Numbers:
        """How often each replicate holds each prompt."""
        draws = np.random.default_rng(self.seed).multinomial(prompts, np.full(prompts, 1 / prompts), self.replicates)
        return draws.astype(np.float64)
