"""An oracle whose answers are offered to a shadow once they are there. No transport or drop-in knows of it."""

from promedical.messages import (
    ItemOutcome,
    ModelInfo,
    RankRequest,
    RankResponse,
    RubricInfo,
    RubricList,
    ScoreRequest,
    ScoreResponse,
)
from promedical_service.shadow.shadow import Shadow
from promedical_service.types import Caller, Oracle


class ShadowedOracle:
    """Implements `types.Oracle` over another one; what is refused as a whole is not shadowed."""

    def __init__(self, oracle: Oracle, shadow: Shadow) -> None:
        self._oracle = oracle
        self._shadow = shadow

    async def score(self, request: ScoreRequest, caller: Caller) -> ScoreResponse:
        answer = await self._oracle.score(request, caller)
        self._shadow.offer(request, answer.items, answer.model, caller)
        return answer

    async def rank(self, request: RankRequest, caller: Caller) -> RankResponse:
        answer = await self._oracle.rank(request, caller)
        scored = request.as_score_request()
        outcome = ItemOutcome(id=scored.items[0].id, error=answer.error, result=answer.result)
        self._shadow.offer(scored, (outcome,), answer.model, caller)
        return answer

    def rubrics(self) -> RubricList:
        return self._oracle.rubrics()

    def rubric(self, name: str) -> RubricInfo:
        return self._oracle.rubric(name)

    def model(self) -> ModelInfo:
        return self._oracle.model()
