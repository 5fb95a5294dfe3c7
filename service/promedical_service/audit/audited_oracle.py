"""An oracle whose answers are audited. All transports and drop-ins ask it, so none of them knows of the audit."""

import time

from promedical.messages import (
    ItemOutcome,
    ModelInfo,
    RankRequest,
    RankResponse,
    RubricInfo,
    RubricList,
    ScoreItem,
    ScoreRequest,
    ScoreResponse,
)
from promedical_service.audit.audit_log import AuditLog
from promedical_service.audit.records import Audited
from promedical_service.types import Caller, Oracle


class AuditedOracle:
    """Implements `types.Oracle` over another one; what is refused as a whole has no responses and no records."""

    def __init__(self, oracle: Oracle, log: AuditLog) -> None:
        self._oracle = oracle
        self._log = log

    async def score(self, request: ScoreRequest, caller: Caller) -> ScoreResponse:
        answer = await self._oracle.score(request, caller)
        self._audit(request.items, answer.items, answer, caller)
        return answer

    async def rank(self, request: RankRequest, caller: Caller) -> RankResponse:
        answer = await self._oracle.rank(request, caller)
        items = request.as_score_request().items
        outcome = ItemOutcome(id=items[0].id, error=answer.error, result=answer.result)
        self._audit(items, (outcome,), answer, caller)
        return answer

    def rubrics(self) -> RubricList:
        return self._oracle.rubrics()

    def rubric(self, name: str) -> RubricInfo:
        return self._oracle.rubric(name)

    def model(self) -> ModelInfo:
        return self._oracle.model()

    def _audit(
        self,
        asked: tuple[ScoreItem, ...],
        outcomes: tuple[ItemOutcome, ...],
        answer: ScoreResponse | RankResponse,
        caller: Caller,
    ) -> None:
        audited = Audited(
            at=time.time(),
            caller=caller.key,
            request_ids=caller.request_ids,
            model=answer.model,
            rubrics=answer.rubrics,
            asked=asked,
            outcomes=outcomes,
        )
        self._log.put(audited)
