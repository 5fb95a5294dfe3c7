"""After scoring: logits to verdicts, verdicts to rewards, rewards to a ranking. Pure.

A response with an unscored criterion gets an error and no scores; nothing here turns a failure into a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from promedical.errors import RETRYABLE_ITEM_CODES, ErrorCode
from promedical.messages import (
    CriterionScore,
    ErrorInfo,
    ItemOutcome,
    ItemResult,
    ResponseOutcome,
    ResponseScores,
    RubricRef,
)
from promedical.reward import Reward, RewardWeights, aggregate, ranking
from promedical.rubric import Dimension, Rubric
from promedical_model.calibration import Calibration, Verdict
from promedical_service.scoring.plan import ItemPlan

Logits = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Judges items with one calibration and one set of weights."""

    calibration: Calibration
    weights: RewardWeights

    def item(self, plan: ItemPlan, scored: Mapping[int, Logits | ErrorInfo], truncated: frozenset[int]) -> ItemOutcome:
        """Judge one item.

        Args:
            plan: The item.
            scored: For each index into `plan.texts`, one logit per criterion in rubric order, or an error.
            truncated: The indices of the texts that were cut.
        """
        assert scored.keys() == set(range(len(plan.texts))), "every text is scored or has an error"
        by_text = {index: self._response(plan.rubric, result) for index, result in scored.items()}
        keys = {index: reward.preference_key for index, (_, reward) in by_text.items() if reward}
        groups = ranking([None if text is None else keys.get(text) for text in plan.text_of])
        rank_of = {index: position for position, group in enumerate(groups, start=1) for index in group}
        outcomes = []
        for index, text in enumerate(plan.text_of):
            outcome = _EMPTY if text is None else replace(by_text[text][0], truncated=text in truncated)
            if outcome.scores is not None:
                outcome = replace(outcome, scores=replace(outcome.scores, rank=rank_of[index]))
            outcomes.append(outcome)
        return ItemOutcome(
            id=plan.id,
            result=ItemResult(
                rubric=RubricRef(id=plan.rubric.id, version=plan.rubric.version, sha256=plan.rubric.sha256),
                safety_checked=bool(plan.rubric.of(Dimension.SAFETY)),
                ranking=groups,
                responses=tuple(outcomes),
            ),
        )

    def _response(self, rubric: Rubric, result: Logits | ErrorInfo) -> tuple[ResponseOutcome, Reward | None]:
        if isinstance(result, ErrorInfo):
            return ResponseOutcome(error=result), None
        verdicts = {
            criterion.id: self.calibration.verdict(logit, criterion)
            for criterion, logit in zip(rubric.criteria, result, strict=True)
        }
        reward = aggregate(rubric, verdicts, self.weights)
        return ResponseOutcome(scores=_scores(rubric, verdicts, reward)), reward


def item_error(code: ErrorCode, message: str) -> ErrorInfo:
    """The error of one item or response."""
    return ErrorInfo(code=code, message=message, retryable=code in RETRYABLE_ITEM_CODES)


_EMPTY = ResponseOutcome(
    error=item_error(ErrorCode.EMPTY_RESPONSE, "the response is empty; there is nothing to judge, leave it out")
)


def _scores(rubric: Rubric, verdicts: Mapping[str, Verdict], reward: Reward) -> ResponseScores:
    """The scores of a response, without its rank, which depends on the other responses."""
    return ResponseScores(
        reward=reward.reward,
        rank=0,
        vetoed=reward.vetoed,
        proficiency=reward.proficiency,
        excellence=reward.excellence,
        violations=reward.violations,
        criteria=tuple(
            CriterionScore(
                id=criterion.id,
                dimension=criterion.dimension,
                logit=verdicts[criterion.id].logit,
                probability=verdicts[criterion.id].probability,
                threshold=verdicts[criterion.id].threshold,
                met=verdicts[criterion.id].met,
                satisfied=criterion.satisfied_by(verdicts[criterion.id].met),
            )
            for criterion in rubric.criteria
        ),
        expected_reward=reward.expected_reward,
    )
