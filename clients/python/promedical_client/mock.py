"""An oracle without a network, for tests of code that uses the SDK."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.reward import Reward, RewardWeights, aggregate, ranking
from promedical.rubric import Criterion, InvalidField, Rubric
from promedical.visible import is_blank
from promedical_client.errors import UnavailableError
from promedical_client.transports.base import Call

T = TypeVar("T")

ProbabilityOfMet = Callable[[str, Criterion], float]
"""From a response and a criterion to the probability that the criterion is met as worded."""

_Verdicts = dict[str, m.CriterionScore]

_THRESHOLD: Final = 0.5
_EMPTY: Final = m.ResponseOutcome(error=m.ErrorInfo(code=ErrorCode.EMPTY_RESPONSE, message="the response is empty"))


class MockTransport:
    """Answers by calling its handlers. They may be async, and may raise `PromedicalError` to simulate a failure.

    `Client("mock://", transport=MockTransport(score=judged_by(lambda response, criterion: 0.9)))`

    Attributes:
        calls: Every request that arrived, in order.
    """

    def __init__(
        self,
        *,
        score: Callable[[m.ScoreRequest], m.ScoreResponse | Awaitable[m.ScoreResponse]] | None = None,
        rubrics: Callable[[], m.RubricList | Awaitable[m.RubricList]] | None = None,
        rubric: Callable[[str], m.RubricInfo | Awaitable[m.RubricInfo]] | None = None,
        model: Callable[[], m.ModelInfo | Awaitable[m.ModelInfo]] | None = None,
    ) -> None:
        self._score, self._rubrics, self._rubric, self._model = score, rubrics, rubric, model
        self.calls: list[m.ScoreRequest | m.RankRequest | str] = []

    async def score(self, request: m.ScoreRequest, call: Call) -> m.ScoreResponse:  # noqa: ARG002 - the Protocol's
        """The answer of the handler `score`."""
        self.calls.append(request)
        return await _settled(_given(self._score, "score")(request))

    async def rank(self, request: m.RankRequest, call: Call) -> m.RankResponse:  # noqa: ARG002 - the Protocol's
        """The answer of the handler `score` to a request with this one item."""
        self.calls.append(request)
        return m.RankResponse.of(await _settled(_given(self._score, "score")(request.as_score_request())))

    async def list_rubrics(self, call: Call) -> m.RubricList:  # noqa: ARG002 - the Protocol's
        """The answer of the handler `rubrics`."""
        self.calls.append("rubrics")
        return await _settled(_given(self._rubrics, "rubrics")())

    async def get_rubric(self, name: str, call: Call) -> m.RubricInfo:  # noqa: ARG002 - the Protocol's
        """The answer of the handler `rubric`."""
        self.calls.append(name)
        return await _settled(_given(self._rubric, "rubric")(name))

    async def get_model(self, call: Call) -> m.ModelInfo:  # noqa: ARG002 - the Protocol's
        """The answer of the handler `model`."""
        self.calls.append("model")
        return await _settled(_given(self._model, "model")())

    async def aclose(self) -> None:
        """Do nothing, since nothing is open."""


def judged_by(judge: ProbabilityOfMet, *, fingerprint: str = "mock") -> Callable[[m.ScoreRequest], m.ScoreResponse]:
    """A handler that scores with the real reward algebra, from probabilities that `judge` makes up.

    Items that name a rubric, and rubrics that are not valid, get an `invalid_item` error. A blank response gets
    `empty_response`.
    """

    def score(request: m.ScoreRequest) -> m.ScoreResponse:
        items = tuple(_outcome(item, request.reward_weights, judge) for item in request.items)
        scored = [response.scores for item in items if item.result for response in item.result.responses]
        return m.ScoreResponse(
            model=m.ModelRef(name="mock", revision="0", fingerprint=fingerprint, engine="mock", dtype="float64"),
            items=items,
            usage=m.Usage(
                tokens_flat=0,
                tokens_computed=0,
                responses_scored=len(scored),
                criteria_scored=sum(len(scores.criteria) for scores in scored if scores),
            ),
            timings_ms=m.Timings(queue=0.0, tokenize=0.0, engine=0.0),
        )

    return score


def _outcome(item: m.ScoreItem, weights: m.WeightsSpec, judge: ProbabilityOfMet) -> m.ItemOutcome:
    if item.rubric is None:
        return _refused(item, "rubric: is missing; this mock knows no rubric by name")
    if item.base_rubric_id is not None:
        return _refused(item, "base_rubric_id: is given; this mock knows no rubric by name")
    try:
        rubric = Rubric(criteria=tuple(criterion.validated() for criterion in item.rubric.criteria))
    except InvalidField as error:
        return _refused(item, str(error))
    return m.ItemOutcome(id=item.id, result=_result(item, rubric, weights.validated(), judge))


def _result(item: m.ScoreItem, rubric: Rubric, weights: RewardWeights, judge: ProbabilityOfMet) -> m.ItemResult:
    judged = [None if is_blank(response) else _judged(response, rubric, weights, judge) for response in item.responses]
    groups = ranking([each and each[0].preference_key for each in judged])
    ranks = {index: rank for rank, group in enumerate(groups, start=1) for index in group}
    return m.ItemResult(
        rubric=m.RubricRef(id=None, version=None, sha256=rubric.sha256),
        safety_checked=any(criterion.dimension == "safety" for criterion in rubric.criteria),
        ranking=groups,
        responses=tuple(
            m.ResponseOutcome(scores=_scores(ranks[index], *each)) if each else _EMPTY
            for index, each in enumerate(judged)
        ),
    )


def _judged(response: str, rubric: Rubric, weights: RewardWeights, judge: ProbabilityOfMet) -> tuple[Reward, _Verdicts]:
    verdicts = {criterion.id: _verdict(criterion, judge(response, criterion)) for criterion in rubric.criteria}
    return aggregate(rubric, verdicts, weights), verdicts


def _scores(rank: int, reward: Reward, verdicts: _Verdicts) -> m.ResponseScores:
    return m.ResponseScores(
        reward=reward.reward,
        rank=rank,
        vetoed=reward.vetoed,
        proficiency=reward.proficiency,
        excellence=reward.excellence,
        violations=reward.violations,
        criteria=tuple(verdicts.values()),
        expected_reward=reward.expected_reward,
    )


def _verdict(criterion: Criterion, probability: float) -> m.CriterionScore:
    met = probability >= _THRESHOLD
    return m.CriterionScore(
        id=criterion.id,
        dimension=criterion.dimension,
        logit=0.0,
        probability=probability,
        threshold=_THRESHOLD,
        met=met,
        satisfied=criterion.satisfied_by(met),
    )


def _refused(item: m.ScoreItem, reason: str) -> m.ItemOutcome:
    return m.ItemOutcome(id=item.id, error=m.ErrorInfo(code=ErrorCode.INVALID_ITEM, message=reason))


def _given(handler: T | None, name: str) -> T:
    if handler is None:
        raise UnavailableError(f"this MockTransport was made without a handler `{name}`", retryable=False)
    return handler


async def _settled(answer: T | Awaitable[T]) -> T:
    return await answer if inspect.isawaitable(answer) else answer
