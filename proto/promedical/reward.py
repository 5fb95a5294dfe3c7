"""The reward algebra of ProMedical (arXiv 2604.08326): from criteria met or not to S1, S2, S3, reward and ranking.

Pure functions on the standard library. Two orders live here and may disagree below the veto:
`preference_key` is lexicographic (violations, then S1, then S2, and where all verdicts tie the expected reward) and
makes the ranking; `reward` is the scalar that RL maximises, where excellence can outweigh proficiency.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, get_args

from promedical.rubric import Criterion, Dimension, InvalidField, Polarity, Rubric

ProficiencyMode = Literal["hard", "soft"]
PreferenceKey: TypeAlias = tuple[float, float, float, float]
"""Violations, -S1 and -S2 by verdict, -expected reward: sorts from best to worst; equal keys are ties."""

EXPECTED_DIGITS: Final = 3
"""Digits of the expected reward. The stated tolerance of a logit, between batches, machines and transports, is one
step of its own rounding, 1e-3. One such step moves a probability p by at most scale/4 * 1e-3 (the slope of the logistic
function; Platt scales of the default model are 0.5 to 1.3) and the expected reward by at most the largest of 1, alpha
and lambda times that: 0.0005 or less at the default weights, half a step of this rounding."""

_IN_RECIPES = {"extra": "forbid"}
_S1_DIGITS = 9
_BOUND_SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardWeights:
    """The constants of `r = clip(S1 + alpha*S2, 0, 1 + beta) - lambda*S3`.

    Attributes:
        excellence_weight: alpha, in (0, 1): what one bonus criterion adds.
        excellence_cap: beta, above 0: how far bonuses may lift the utility over 1.
        violation_penalty: lambda, at least 1 + beta: one violation outweighs any utility.
        proficiency_mode: "hard": S1 counts criteria met; "soft": it sums their probabilities.

    Raises:
        InvalidField: A value is out of its range; the error names it.
    """

    __pydantic_config__ = _IN_RECIPES

    excellence_weight: float = 0.1
    excellence_cap: float = 0.2
    violation_penalty: float = 1.5
    proficiency_mode: ProficiencyMode = "hard"

    def __post_init__(self) -> None:
        for name in ("excellence_weight", "excellence_cap", "violation_penalty"):
            if not math.isfinite(getattr(self, name)):
                raise InvalidField(name, f"is {getattr(self, name)}; expected a finite number")
        if not 0 < self.excellence_weight < 1:
            raise InvalidField("excellence_weight", f"is {self.excellence_weight}; expected above 0 and below 1")
        if not self.excellence_cap > 0:
            raise InvalidField("excellence_cap", f"is {self.excellence_cap}; expected above 0")
        if not self.violation_penalty >= 1 + self.excellence_cap - _BOUND_SLACK:
            raise InvalidField(
                "violation_penalty",
                f"is {self.violation_penalty}; expected at least 1 + excellence_cap = "
                f"{1 + self.excellence_cap:g}, so that no utility outweighs a violation",
            )
        if self.proficiency_mode not in get_args(ProficiencyMode):
            raise InvalidField("proficiency_mode", f"expected one of {', '.join(get_args(ProficiencyMode))}")


class Verdict(Protocol):
    """What `aggregate` reads of a verdict on one criterion. The contract's scores and the model's verdicts have it."""

    @property
    def probability(self) -> float:
        """The probability that the criterion is met as worded."""

    @property
    def met(self) -> bool:
        """The decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The smallest verdict, for callers that have no other."""

    probability: float
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The scores of one response under one rubric.

    Attributes:
        reward: The scalar for RL.
        proficiency: S1 as it entered the reward, in [0, 1]; None without proficiency criteria.
        excellence: S2, number of bonus criteria satisfied.
        violations: S3, number of veto criteria violated.
        expected_reward: The reward that the probabilities lead one to expect, see `expected_reward`.
        preference_key: Sorts ascending from best to worst; equal keys are ties.
    """

    reward: float
    proficiency: float | None
    excellence: int
    violations: int
    expected_reward: float
    preference_key: PreferenceKey

    @property
    def vetoed(self) -> bool:
        """Whether safety vetoes the response."""
        return self.violations > 0


def aggregate(rubric: Rubric, judgements: Mapping[str, Verdict], weights: RewardWeights) -> Reward:
    """Turn one verdict per criterion into the scores of a response (paper, section on the rubric).

    Args:
        rubric: The criteria.
        judgements: The verdicts by criterion id; every criterion must be there.
        weights: alpha, beta, lambda and the proficiency mode.

    Raises:
        KeyError: A criterion was not judged; a missing judgement is never read as "no violation".
    """
    hard = _proficiency(rubric, judgements, "hard")
    proficiency = _proficiency(rubric, judgements, weights.proficiency_mode)
    excellence = sum(c.satisfied_by(judgements[c.id].met) for c in rubric.of(Dimension.EXCELLENCE))
    violations = sum(not c.satisfied_by(judgements[c.id].met) for c in rubric.of(Dimension.SAFETY))
    utility = (proficiency or 0.0) + weights.excellence_weight * excellence
    clipped = min(max(utility, 0.0), 1 + weights.excellence_cap)
    expected = expected_reward(rubric, judgements, weights)
    return Reward(
        reward=clipped - weights.violation_penalty * violations,
        proficiency=proficiency,
        excellence=excellence,
        violations=violations,
        expected_reward=expected,
        preference_key=(violations, -(hard or 0.0), -excellence, -expected),
    )


def expected_reward(rubric: Rubric, judgements: Mapping[str, Verdict], weights: RewardWeights) -> float:
    """The mean of the reward over what may be true of the response, rounded to 1e-3 (`EXPECTED_DIGITS`).

        E[r] = sum_k P(S2 = k) * min(soft S1 + alpha*k, 1 + beta) - lambda * sum_c P(c violated)

    with c over the safety criteria. Criteria count as independent, each satisfied with its calibrated probability. The
    sum over k averages behind the cap, where the mean of S2 would be cut off as a whole: a fourth bonus that is only
    likely still counts. P(S2 = k) is the Poisson-binomial distribution (Wang 1993, Statistica Sinica 3, 295-312). S1
    enters with its mean, as in soft mode, whatever the mode of the request.

    Raises:
        KeyError: A criterion was not judged, as in `aggregate`.
    """
    most, alpha = 1 + weights.excellence_cap, weights.excellence_weight
    proficiency = _proficiency(rubric, judgements, "soft") or 0.0
    bonuses = _count_distribution([_chance(c, judgements[c.id]) for c in rubric.of(Dimension.EXCELLENCE)])
    utility = math.fsum(p * min(proficiency + alpha * count, most) for count, p in enumerate(bonuses))
    violated = math.fsum(1.0 - _chance(c, judgements[c.id]) for c in rubric.of(Dimension.SAFETY))
    return round(utility - weights.violation_penalty * violated, EXPECTED_DIGITS) + 0.0  # no -0.0


def _proficiency(rubric: Rubric, judgements: Mapping[str, Verdict], mode: ProficiencyMode) -> float | None:
    """S1. It is summed exactly and then rounded, so that the order of criteria cannot split a tie."""
    shares = rubric.normalised_weights()
    if not shares:
        return None
    terms = []
    for criterion in rubric.of(Dimension.PROFICIENCY):
        judgement = judgements[criterion.id]
        value = _chance(criterion, judgement) if mode == "soft" else float(criterion.satisfied_by(judgement.met))
        terms.append(shares[criterion.id] * value)
    return round(math.fsum(terms), _S1_DIGITS)


def _chance(criterion: Criterion, judgement: Verdict) -> float:
    """Probability that the criterion is satisfied."""
    return judgement.probability if criterion.polarity is Polarity.POSITIVE else 1.0 - judgement.probability


def _count_distribution(chances: Iterable[float]) -> list[float]:
    """The probability of 0, 1, 2, ... successes in independent trials; sorted, so that their order changes no bit."""
    counts = [1.0]
    for chance in sorted(chances):
        counts = [
            missed * (1.0 - chance) + hit * chance for missed, hit in zip([*counts, 0.0], [0.0, *counts], strict=True)
        ]
    return counts


def by_verdict(key: PreferenceKey) -> tuple[float, float, float]:
    """A preference without what breaks ties."""
    return key[:3]


def ranking(keys: Sequence[PreferenceKey | None]) -> tuple[tuple[int, ...], ...]:
    """Group indices of responses by preference, best group first; equal keys share a group.

    Args:
        keys: `Reward.preference_key` per response; None for a response that was not scored, which is left out.
    """
    scored = {index: key for index, key in enumerate(keys) if key is not None}
    groups: dict[PreferenceKey, list[int]] = {}
    for index, key in scored.items():
        groups.setdefault(key, []).append(index)
    return tuple(tuple(groups[key]) for key in sorted(groups))
