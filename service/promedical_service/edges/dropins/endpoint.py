"""One request to a drop-in, from body to answer: read -> exchanges -> score -> encode."""

import asyncio
import time
from collections.abc import Iterable

import pydantic_core

from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange
from promedical.interop.thoughts import Thoughts
from promedical.rubric import FieldTooLarge
from promedical_service.edges.call import Call
from promedical_service.edges.dropins.catalog import read_request
from promedical_service.edges.dropins.format import Asked, DropIn, Receipt
from promedical_service.edges.dropins.scorer import ExchangeScorer, with_defaults
from promedical_service.errors import ServiceError
from promedical_service.limits import CountLimits
from promedical_service.types import Oracle


class DropInEndpoint:
    """Answers requests to every drop-in, with one scorer behind them all."""

    def __init__(self, scorer: ExchangeScorer, limits: CountLimits, thoughts: Thoughts = "leave_out") -> None:
        self._scorer = scorer
        self._limits = limits
        self._thoughts = thoughts

    async def answer(
        self, drop_in: DropIn, body: bytes, query: Iterable[tuple[str, str]], oracle: Oracle, call: Call
    ) -> bytes:
        """The answer in the format's own JSON.

        Raises:
            ServiceError: The exchanges were not scored; the error says why.
            InvalidField: The body does not fit the format.
        """
        # A large body must not hold the loop.
        asked, exchanges = await asyncio.to_thread(self._read, drop_in, body, query)
        drop_in = asked.drop_in
        call.items = len(exchanges)
        truncation = drop_in.truncation(asked.body) if drop_in.truncation else "none"
        mode = drop_in.proficiency_mode(asked.body) if drop_in.proficiency_mode else None
        usual = drop_in.priority or self._scorer.lane(exchanges)
        call.lane = call.tenant.lane(asked.options.priority, usual)
        options = with_defaults(asked.options, call.lane, truncation, mode)
        scored = await self._scorer.score(oracle, exchanges, options, call.as_caller())
        call.fingerprint, call.rubrics = scored.model.fingerprint, scored.rubrics
        call.unscored = None if options.unscored_reward is None else len(scored.unscored)
        receipt = Receipt(request_id=call.request_id, created=int(time.time()))
        return await asyncio.to_thread(
            lambda: pydantic_core.to_json(drop_in.encode(asked, scored, receipt), inf_nan_mode="null")
        )

    def _read(
        self, drop_in: DropIn, body: bytes, query: Iterable[tuple[str, str]]
    ) -> tuple[Asked, tuple[Exchange, ...]]:
        asked = read_request(drop_in, body, query, self._limits)
        try:
            thoughts = asked.options.thoughts or self._thoughts
            return asked, tuple(each.judged(thoughts) for each in asked.drop_in.exchanges(asked.body))
        except FieldTooLarge as error:
            raise ServiceError(ErrorCode.TOO_LARGE, str(error)) from None
