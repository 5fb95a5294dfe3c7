"""The Scorer: check -> plan -> render -> admit -> wait -> judge. Read it top to bottom.

Every item and every response of a request is answered exactly once, with scores or a typed error. If the
caller leaves or the deadline passes, jobs that still wait are dropped.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from promedical.errors import ErrorCode
from promedical.messages import (
    ErrorInfo,
    ItemOutcome,
    ModelInfo,
    Priority,
    RankRequest,
    RankResponse,
    RubricInfo,
    RubricList,
    RubricPin,
    ScoreRequest,
    ScoreResponse,
    Timings,
    Truncation,
    Usage,
)
from promedical.rubric_files import RubricCatalog
from promedical.unscored import with_unscored_reward
from promedical_model.calibration import Calibration
from promedical_model.rendering.prompt import PromptRenderer, Rendered
from promedical_service.batching.admission import Admission
from promedical_service.batching.job import JobResult
from promedical_service.engines.base import BranchFailure, BranchScores
from promedical_service.errors import ServiceError
from promedical_service.scoring.judge import Judge, Logits, item_error
from promedical_service.scoring.plan import (
    ItemPlan,
    RefusedItem,
    check_answer,
    check_request,
    find_rubric,
    plan_item,
    used_rubrics,
)
from promedical_service.types import Caller, ScoringEvents, Stage

Done = TypeVar("Done")

_CHARACTERS_PER_TOKEN: Final = 4
_MARKUP_TOKENS: Final = 16
"""About how many tokens the template adds to each turn, response and criterion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RenderedItem:
    """An item in progress: its plan, its trees, and after scoring one result per tree."""

    plan: ItemPlan
    rendered: Rendered


class Scorer:
    """Scores requests on one oracle.

    Args:
        model: What the oracle is, with its limits.
        renderer: The bundle's renderer.
        calibration: The bundle's calibration.
        admission: The queue in which items wait for the engine.
        catalog: Gives the rubrics by name; each request keeps those of its beginning.
        events: It is told what was scored.
        threads: The threads in which rendering runs, by lane.
        default_timeout_s: The timeout of callers that set none.
        clock: Monotonic seconds, the same clock as the batcher's.
    """

    def __init__(
        self,
        *,
        model: ModelInfo,
        renderer: PromptRenderer,
        calibration: Calibration,
        admission: Admission,
        catalog: Callable[[], RubricCatalog],
        events: ScoringEvents,
        threads: Mapping[Priority, Executor],
        default_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._renderer = renderer
        self._calibration = calibration
        self._admission = admission
        self._catalog = catalog
        self._events = events
        self._threads = threads
        self._default_timeout_s = default_timeout_s
        self._clock = clock

    def model(self) -> ModelInfo:
        pins = (RubricPin(name=each.rubric.name or "", sha256=each.sha256) for each in self._catalog())
        return replace(self._model, rubrics=tuple(pins))

    def rubrics(self) -> RubricList:
        return RubricList(rubrics=tuple(RubricInfo.of(named.rubric, named.title) for named in self._catalog()))

    def rubric(self, name: str) -> RubricInfo:
        """One rubric by name.

        Raises:
            ServiceError: not_found.
        """
        named = find_rubric(name, self._catalog())
        return RubricInfo.of(named.rubric, named.title)

    async def rank(self, request: RankRequest, caller: Caller) -> RankResponse:
        """Score one prompt's responses and put them in order.

        Raises:
            ServiceError: The request is not answered, as in `score`.
        """
        return RankResponse.of(await self._answer(request.as_score_request(), caller, path=""))

    async def score(self, request: ScoreRequest, caller: Caller) -> ScoreResponse:
        """Score every response of every item.

        Raises:
            ServiceError: The request as a whole is not answered, and none of its items is.
        """
        return await self._answer(request, caller, path="items[{}].")

    async def _answer(self, request: ScoreRequest, caller: Caller, path: str) -> ScoreResponse:
        """Score the items of a request; `path` is what errors call an item, by its index."""
        weights = check_request(request, path, self._model.limits, self._model.model.fingerprint)
        lane, catalog = request.lane, self._catalog()
        rubrics = used_rubrics(request, catalog)
        plans = [plan_item(item, path.format(i), catalog) for i, item in enumerate(request.items)]
        check_answer(plans)
        timeout_s = self._default_timeout_s if caller.timeout_s is None else caller.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                began = self._clock()
                items = await self._render(plans, request.truncation, lane, caller, timeout_s)
                admitted = self._clock()
                results = await self._compute(items, lane, caller)
                scored = self._clock()
                judge = Judge(calibration=self._calibration, weights=weights)
                outcomes = await asyncio.to_thread(self._judge, judge, plans, items, results, lane)
        except TimeoutError as error:
            raise ServiceError(
                ErrorCode.DEADLINE, f"not scored within {timeout_s:.3g} s; allow more time or send fewer items"
            ) from error
        return ScoreResponse(
            model=self._model.model,
            items=tuple(with_unscored_reward(outcome, request.unscored_reward) for outcome in outcomes),
            usage=_usage(outcomes, items, results),
            timings_ms=self._timings(lane, began, admitted, scored, results),
            rubrics=rubrics,
        )

    async def _in_thread(self, lane: Priority, work: Callable[[], Done]) -> Done:
        """Run work in the lane's own threads, so that bulk work never delays an interactive request."""
        return await asyncio.get_running_loop().run_in_executor(self._threads[lane], work)

    async def _render(
        self,
        plans: Sequence[ItemPlan | RefusedItem],
        truncation: Truncation,
        lane: Priority,
        caller: Caller,
        timeout_s: float,
    ) -> list[_RenderedItem]:
        """Render item by item, so that requests take turns and one whose caller left stops; room is held meanwhile."""
        sound = [plan for plan in plans if isinstance(plan, ItemPlan)]
        estimates = [_estimated_tokens(plan, self._renderer.max_path_tokens) for plan in sound]
        items = []
        with self._admission.reserved(sum(estimates), lane, caller, timeout_s) as reservation:
            for plan, estimate in zip(sound, estimates, strict=True):
                self._admission.check_open()
                item = await self._in_thread(lane, partial(self._render_item, plan, truncation))
                reservation.correct(estimate, [each.tree for each in item.rendered.trees])
                items.append(item)
        return items

    def _render_item(self, plan: ItemPlan, truncation: Truncation) -> _RenderedItem:
        criteria = [criterion.text for criterion in plan.rubric.criteria]
        if not plan.texts:
            return _RenderedItem(plan=plan, rendered=Rendered(trees=(), too_long={}, truncated=frozenset()))
        return _RenderedItem(plan=plan, rendered=self._renderer.render(plan.turns, plan.texts, criteria, truncation))

    async def _compute(self, items: Sequence[_RenderedItem], lane: Priority, caller: Caller) -> list[list[JobResult]]:
        """The results by item and tree. Jobs that are not awaited to the end are abandoned."""
        jobs = self._admission.admit([t.tree for item in items for t in item.rendered.trees], lane, caller)
        try:
            results = iter(await asyncio.gather(*(job.future for job in jobs)))
        except BaseException:
            self._admission.abandon(jobs)
            raise
        return [[next(results) for _ in item.rendered.trees] for item in items]

    def _judge(
        self,
        judge: Judge,
        plans: Sequence[ItemPlan | RefusedItem],
        items: Sequence[_RenderedItem],
        results: Sequence[Sequence[JobResult]],
        lane: Priority,
    ) -> list[ItemOutcome]:
        scored = iter(zip(items, results, strict=True))
        outcomes = []
        for plan in plans:
            if isinstance(plan, RefusedItem):
                outcomes.append(ItemOutcome(id=plan.id, error=plan.error))
                continue
            item, trees = next(scored)
            outcomes.append(judge.item(plan, _by_text(item, trees), item.rendered.truncated))
        for outcome in outcomes:
            self._report(outcome, lane)
        return outcomes

    def _timings(
        self, lane: Priority, began: float, admitted: float, ended: float, results: Sequence[Sequence[JobResult]]
    ) -> Timings:
        first = min((job.started_at for trees in results for job in trees), default=ended)
        stages: dict[Stage, tuple[float, float]] = {
            "tokenize": (began, admitted),
            "queue": (admitted, first),
            "engine": (first, ended),
        }
        now = self._clock()
        for stage, (start, end) in stages.items():
            self._events.stage_finished(stage, lane, end - start, now - end)
        return Timings(**{stage: (end - start) * 1e3 for stage, (start, end) in stages.items()})

    def _report(self, outcome: ItemOutcome, lane: Priority) -> None:
        self._events.item_finished(lane, str(outcome.error.code) if outcome.error else "ok")
        if outcome.result is None:
            return
        for response in outcome.result.responses:
            if response.error is not None:
                self._events.response_failed(response.error.code)
            if response.scores is None:
                continue
            self._events.response_scored(vetoed=response.scores.vetoed, safety_checked=outcome.result.safety_checked)
            for criterion in response.scores.criteria:
                self._events.criterion_scored(criterion.dimension, criterion.probability)


def _estimated_tokens(plan: ItemPlan, max_path_tokens: int) -> int:
    """The tokens that an item will take in the queue, estimated from its characters and capped at the model's limit."""

    def tokens(text: str) -> int:
        return min(len(text) // _CHARACTERS_PER_TOKEN, max_path_tokens) + _MARKUP_TOKENS

    leaves = sum(tokens(criterion.text) for criterion in plan.rubric.criteria)
    return sum(tokens(turn.content) for turn in plan.turns) + sum(tokens(text) + leaves for text in plan.texts)


def _by_text(item: _RenderedItem, trees: Sequence[JobResult]) -> dict[int, Logits | ErrorInfo]:
    scored: dict[int, Logits | ErrorInfo] = {
        index: item_error(ErrorCode.TOO_LONG, why.message) for index, why in item.rendered.too_long.items()
    }
    for tree, result in zip(item.rendered.trees, trees, strict=True):
        scored |= zip(tree.responses, map(_logits, result.branches), strict=True)
    return scored


def _logits(scores: BranchScores) -> Logits | ErrorInfo:
    return item_error(ErrorCode.ENGINE_FAILURE, scores.reason) if isinstance(scores, BranchFailure) else scores


def _usage(
    outcomes: Sequence[ItemOutcome], items: Sequence[_RenderedItem], results: Sequence[Sequence[JobResult]]
) -> Usage:
    answered = [r.scores for o in outcomes if o.result for r in o.result.responses if r.scores]
    return Usage(
        tokens_flat=sum(_flat_tokens(item) for item in items),
        tokens_computed=sum(job.tokens_computed for trees in results for job in trees),
        responses_scored=len(answered),
        criteria_scored=sum(len(scores.criteria) for scores in answered),
    )


def _flat_tokens(item: _RenderedItem) -> int:
    """The tokens that one forward pass per criterion would have cost, including repeated responses."""
    return sum(
        tree.tree.part(position, position + 1).flat_tokens * item.plan.text_of.count(index)
        for tree in item.rendered.trees
        for position, index in enumerate(tree.responses)
    )
