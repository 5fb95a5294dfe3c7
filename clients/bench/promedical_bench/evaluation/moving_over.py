"""May the training of a policy move over to another oracle? The limits, and what was measured beside them. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from scipy.stats import binomtest

from promedical_bench.evaluation.oracle_change import ADDED, ADVANTAGES, AGREEMENT, LIFTED, REVERSED, UNSCORED
from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import OVERALL, Scores


class MayMove(StrEnum):
    """Whether a training may move over; unknown if the data are too few."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may change before a policy would learn something else, or another caller would notice.

    Attributes:
        reversed_pairs: The largest share of pairs whose order is reversed.
        vetoes_lifted: The largest share of responses whose veto is lifted.
        vetoes_added: The largest share of responses that are newly vetoed.
        advantage_correlation: The smallest correlation of advantages.
        agreement: The smallest share of verdicts that agree.
        newly_unscored: The largest share of responses that only the old oracle scores.
    """

    reversed_pairs: float = 0.05
    vetoes_lifted: float = 0.01
    vetoes_added: float = 0.02
    advantage_correlation: float = 0.9
    agreement: float = 0.95
    newly_unscored: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One limit, and the number beside it.

    Attributes:
        measure: The name of the measure.
        at_most: Whether the limit is the largest value that is allowed; otherwise it is the smallest.
    """

    measure: str
    limit: float
    at_most: bool
    found: Estimate

    @property
    def answer(self) -> MayMove:
        """Yes where the whole interval keeps the limit, no where the value breaks it, else unknown."""
        if self.found.value is None:
            return MayMove.UNKNOWN
        if not self._keeps(self.found.value):
            return MayMove.NO
        worst = self.found.high if self.at_most else self.found.low
        return MayMove.YES if worst is not None and self._keeps(worst) else MayMove.UNKNOWN

    def _keeps(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


ADVICE: Final = {
    MayMove.YES: "Training that pins the old oracle may move over to the new one: every limit is kept.",
    MayMove.NO: "Do not move a training over: the policy would learn something else. Start it again with the new one.",
    MayMove.UNKNOWN: (
        "These data are too few to tell. Ask both oracles about more prompts, with several responses each."
    ),
}


OF_A_POLICY: Final = (REVERSED, LIFTED, ADDED, ADVANTAGES)
"""What a policy that is trained with groups of answers would notice."""


def checks(change: Scores, limits: Limits, measures: Collection[str] = OF_A_POLICY) -> tuple[Check, ...]:
    """The limits of these measures beside what was measured."""
    return tuple(
        Check(measure=name, limit=limit, at_most=at_most, found=_bounded(change[name][OVERALL], at_most=at_most))
        for name, limit, at_most in _limits(limits)
        if name in measures
    )


def answer_of(found: tuple[Check, ...]) -> MayMove:
    """No if one check says no; yes only if all say yes."""
    said = {check.answer for check in found}
    if MayMove.NO in said:
        return MayMove.NO
    return MayMove.UNKNOWN if MayMove.UNKNOWN in said else MayMove.YES


def _bounded(found: Estimate, *, at_most: bool) -> Estimate:
    """Resampling cannot tell how far a share that was never seen may be from 0; the exact binomial interval can."""
    if not at_most or found.value != 0:
        return found
    return replace(found, low=0.0, high=float(binomtest(0, found.n).proportion_ci().high))


def _limits(limits: Limits) -> Iterator[tuple[str, float, bool]]:
    yield REVERSED, limits.reversed_pairs, True
    yield LIFTED, limits.vetoes_lifted, True
    yield ADDED, limits.vetoes_added, True
    yield ADVANTAGES, limits.advantage_correlation, False
    yield AGREEMENT, limits.agreement, False
    yield UNSCORED, limits.newly_unscored, True
