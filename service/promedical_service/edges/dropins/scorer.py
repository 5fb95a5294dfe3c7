"""Exchanges to scores: exchanges with the same prompt and rubric become one item, so that they share its tree.

A request with many exchanges is one request to the oracle. A request with one waits a moment for others with the same
prompt, since frameworks ask for each response of a group on its own. This module does not know wire formats.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange, group
from promedical.interop.gathering import CallLater, Gatherer
from promedical.interop.labels import RubricChoice
from promedical.messages import (
    ErrorInfo,
    Message,
    ModelRef,
    Priority,
    ResponseOutcome,
    ResponseScores,
    ScoreRequest,
    Truncation,
    UsedRubric,
)
from promedical.pins import written
from promedical.reward import ProficiencyMode
from promedical_service.edges.dropins.format import Options, Scored
from promedical_service.errors import ServiceError, invalid_field
from promedical_service.types import Caller, Oracle

_RETRY_AFTER_S: Final = 1.0
_SHOWN: Final = 16
"""So many rubrics are named in a header: clients read at most 8 KiB of it, and names may be long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """What exchanges must have in common to be scored together."""

    oracle: Oracle
    caller: Caller
    turns: tuple[Message, ...]
    rubric: RubricChoice | None
    options: Options


_Branch = tuple[Exchange, Caller]
"""An exchange that waits for others, and who waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    response: ResponseOutcome
    model: ModelRef
    rubrics: tuple[UsedRubric, ...]
    tokens: int


class ExchangeScorer:
    """Scores exchanges of any format. It belongs to one event loop.

    Args:
        default_rubric: The name of the rubric for exchanges without criteria.
        gather_s: How many seconds a request with one exchange waits for others to the same prompt; 0 not to wait.
        max_responses: The most responses of one item.
        on_round: It is told how many requests with one exchange became one item.
        call_later: Calls a function after some seconds; None for the event loop's own. Tests bring their own clock.
    """

    def __init__(
        self,
        *,
        default_rubric: str,
        gather_s: float,
        max_responses: int,
        on_round: Callable[[int], None] = lambda _: None,
        call_later: CallLater | None = None,
    ) -> None:
        self._on_round = on_round
        self._default_rubric = default_rubric
        self._gather_s = gather_s
        self._max_responses = max_responses
        self._gatherer: Gatherer[_Tree, _Branch, _Outcome | ServiceError] = Gatherer(
            self._ask_tree, window_s=gather_s, max_size=max_responses, call_later=call_later
        )

    def lane(self, exchanges: Sequence[Exchange]) -> Priority:
        """The lane of exchanges that ask for none: interactive if they are one item, as in the API."""
        is_one_item = len(exchanges) <= self._max_responses and len({exchange.turns for exchange in exchanges}) <= 1
        return "interactive" if is_one_item else "bulk"

    async def score(self, oracle: Oracle, exchanges: Sequence[Exchange], options: Options, caller: Caller) -> Scored:
        """Scores for every exchange.

        Raises:
            ServiceError: An exchange cannot be scored, which fails the request; the error names it.
        """
        if not exchanges:
            return Scored(responses=(), model=oracle.model().model, tokens=0)
        default = options.rubric_id or self._default_rubric
        exchanges = [replace(exchange, rubric=exchange.rubric or default) for exchange in exchanges]
        _check_rubrics(oracle, exchanges, options.base_rubric_id)
        if len(exchanges) > 1 or not self._gather_s:
            outcomes = await self._ask(oracle, exchanges, options, caller)
        else:
            outcomes = [await self._gathered(oracle, exchanges[0], options, caller)]
        return Scored(
            responses=tuple(
                _scores(exchange.place, outcome.response, options.unscored_reward)
                for exchange, outcome in zip(exchanges, outcomes, strict=True)
            ),
            unscored=frozenset(index for index, outcome in enumerate(outcomes) if outcome.response.error),
            model=outcomes[0].model,
            tokens=sum(outcome.tokens for outcome in outcomes),
            rubrics=written(islice(dict.fromkeys(used for outcome in outcomes for used in outcome.rubrics), _SHOWN)),
        )

    async def _gathered(self, oracle: Oracle, exchange: Exchange, options: Options, caller: Caller) -> _Outcome:
        same = replace(caller, timeout_s=None)
        tree = _Tree(oracle=oracle, caller=same, turns=exchange.turns, rubric=exchange.rubric, options=options)
        try:
            async with asyncio.timeout(caller.timeout_s):
                outcome = await self._gatherer.submit(tree, (exchange, caller))
        except TimeoutError:
            message = f"not scored within {caller.timeout_s:g} s; allow more time or send fewer requests"
            raise ServiceError(ErrorCode.DEADLINE, message) from None
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    async def _ask_tree(self, tree: _Tree, branches: Sequence[_Branch]) -> list[_Outcome | ServiceError]:
        """The longest time that any caller in the round waits; each caller keeps its own deadline."""
        self._on_round(len(branches))
        return await self._ask_branches(tree, branches)

    async def _ask_branches(self, tree: _Tree, branches: Sequence[_Branch]) -> list[_Outcome | ServiceError]:
        """Ask for a round that is too large in two halves, one after the other: nobody chose to be gathered."""
        exchanges = [exchange for exchange, _ in branches]
        limits = [caller.timeout_s for _, caller in branches if caller.timeout_s is not None]
        timeout_s = max(limits) if len(limits) == len(branches) else None
        request_ids = tuple(each for _, caller in branches for each in caller.request_ids)
        caller = replace(tree.caller, timeout_s=timeout_s, request_ids=request_ids)
        try:
            return [*await self._ask(tree.oracle, exchanges, tree.options, caller)]
        except ServiceError as error:
            if error.code is not ErrorCode.TOO_LARGE or len(branches) == 1:
                return [error] * len(branches)
        middle = len(branches) // 2
        halves = (branches[:middle], branches[middle:])
        return [outcome for half in halves for outcome in await self._ask_branches(tree, half)]

    async def _ask(
        self, oracle: Oracle, exchanges: Sequence[Exchange], options: Options, caller: Caller
    ) -> list[_Outcome]:
        grouping = group(exchanges, base_rubric_id=options.base_rubric_id, max_responses=self._max_responses)
        request = ScoreRequest(
            items=grouping.items,
            reward_weights=options.weights,
            expected_fingerprint=options.expected_fingerprint,
            priority=options.priority,
            truncation=options.truncation,
            expected_rubrics=options.pins,
        )
        answer = await oracle.score(request, caller)
        share = answer.usage.tokens_computed // len(exchanges)
        return [
            _Outcome(response=outcome, model=answer.model, rubrics=answer.rubrics, tokens=share)
            for outcome in grouping.outcomes(answer.items)
        ]


def with_defaults(
    options: Options, priority: Priority | None, truncation: Truncation, mode: ProficiencyMode | None
) -> Options:
    """The options of a request; its format and its body fill in what the URL leaves open."""
    return replace(
        options,
        proficiency_mode=options.proficiency_mode or mode,
        priority=options.priority or priority,
        truncation=truncation if options.truncation == "none" else options.truncation,
    )


def _check_rubrics(oracle: Oracle, exchanges: Sequence[Exchange], base_rubric_id: str | None) -> None:
    """Make errors name the exchange's place in the body, not the item that it became."""
    asked: dict[str, RubricChoice | None] = {"base_rubric_id": base_rubric_id} if base_rubric_id else {}
    asked |= {exchange.place: exchange.rubric for exchange in exchanges}
    first_of = {name: place for place, name in reversed(asked.items()) if isinstance(name, str)}
    for name, place in first_of.items():
        try:
            oracle.rubric(name)
        except ServiceError as error:
            raise ServiceError(error.code, f"{place}: {error.message}") from None


def _scores(place: str, outcome: ResponseOutcome, unscored_reward: float | None) -> ResponseScores:
    """The scores, or what the caller takes instead where the response itself is at fault: a failure passes."""
    if outcome.scores is not None:
        return outcome.scores
    assert outcome.error is not None
    if unscored_reward is None or outcome.error.retryable:
        raise _refusal(place, outcome.error)
    return ResponseScores(
        reward=unscored_reward, rank=0, vetoed=False, proficiency=None, excellence=0, violations=0, criteria=()
    )


def _refusal(place: str, error: ErrorInfo) -> ServiceError:
    """The error of the whole request, made from that of one response, for which these formats have no place."""
    if error.retryable:
        return ServiceError(ErrorCode.UNAVAILABLE, f"{place}: {error.message}", retry_after_s=_RETRY_AFTER_S)
    return invalid_field(place, error.message)
