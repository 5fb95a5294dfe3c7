"""What a rubric did to responses that an oracle judged by it: verdicts by criterion, rewards, vetoes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from promedical import messages as m
from promedical.rubric import Dimension, Rubric


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionTrial:
    """One criterion over all responses that were scored.

    Attributes:
        id: Its id.
        dimension: Where it counts.
        share: Its share of S1; None outside of proficiency.
        tokens: How many tokens it adds to every response; None if that was not measured.
        met: In how many responses it was met as worded.
        satisfied: In how many it spoke for the response.
        probability: The mean probability that it is met; None if nothing was scored.
    """

    id: str
    dimension: Dimension
    share: float | None
    tokens: int | None
    met: int
    satisfied: int
    probability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRange:
    """Which rewards a rubric can give.

    Attributes:
        lowest: With every veto.
        without_veto: The lowest one without a veto.
        highest: With everything satisfied.
    """

    lowest: float
    without_veto: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A rubric and the responses that were judged by it.

    Attributes:
        rubric: Its name, or that of its file.
        sha256: The hash of its criteria.
        range: Which rewards it can give.
        criteria: What every criterion did, in the order of the rubric.
        rewards: The rewards of the responses that were scored.
        vetoed: How many of them were vetoed.
        failed: How many responses, or items, were not scored.
        tokens_computed: What it cost.
        tokens_flat: What a forward pass per criterion would have cost.
        engine_ms: How long the engine took.
        fake: Whether the oracle only pretends to judge.
    """

    rubric: str
    sha256: str
    range: RewardRange
    criteria: tuple[CriterionTrial, ...]
    rewards: tuple[float, ...]
    vetoed: int
    failed: int
    tokens_computed: int
    tokens_flat: int
    engine_ms: float
    fake: bool


def trial_of(
    name: str,
    rubric: Rubric,
    answer: m.ScoreResponse,
    *,
    weights: m.WeightsSpec,
    tokens: Mapping[str, int],
    fake: bool,
) -> Trial:
    """What the rubric did."""
    scored = scores_of(answer.items)
    failed = sum(item.error is not None for item in answer.items)
    failed += sum(each.error is not None for item in answer.items if item.result for each in item.result.responses)
    return Trial(
        rubric=name,
        sha256=rubric.sha256,
        range=reward_range(rubric, weights),
        criteria=_criteria(rubric, scored, tokens),
        rewards=tuple(scores.reward for scores in scored),
        vetoed=sum(scores.vetoed for scores in scored),
        failed=failed,
        tokens_computed=answer.usage.tokens_computed,
        tokens_flat=answer.usage.tokens_flat,
        engine_ms=answer.timings_ms.engine,
        fake=fake,
    )


def scores_of(items: Iterable[m.ItemOutcome]) -> list[m.ResponseScores]:
    """The scores of all responses that have some."""
    results = [item.result for item in items if item.result]
    return [response.scores for result in results for response in result.responses if response.scores]


def reward_range(rubric: Rubric, weights: m.WeightsSpec) -> RewardRange:
    """The rewards that the formula leaves possible."""
    best = bool(rubric.of(Dimension.PROFICIENCY)) + weights.excellence_weight * len(rubric.of(Dimension.EXCELLENCE))
    return RewardRange(
        lowest=-weights.violation_penalty * len(rubric.of(Dimension.SAFETY)),
        without_veto=0.0,
        highest=min(best, 1 + weights.excellence_cap),
    )


def _criteria(
    rubric: Rubric, scored: Sequence[m.ResponseScores], tokens: Mapping[str, int]
) -> tuple[CriterionTrial, ...]:
    shares = rubric.normalised_weights()
    verdicts: dict[str, list[m.CriterionScore]] = {criterion.id: [] for criterion in rubric.criteria}
    for scores in scored:
        for verdict in scores.criteria:
            verdicts[verdict.id].append(verdict)
    return tuple(
        CriterionTrial(
            id=criterion.id,
            dimension=criterion.dimension,
            share=shares.get(criterion.id),
            tokens=tokens.get(criterion.id),
            met=sum(verdict.met for verdict in verdicts[criterion.id]),
            satisfied=sum(verdict.satisfied for verdict in verdicts[criterion.id]),
            probability=fmean(each.probability for each in verdicts[criterion.id]) if scored else None,
        )
        for criterion in rubric.criteria
    )
