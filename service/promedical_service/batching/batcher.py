"""The batcher: takes batches from admission, feeds the engine when it is free, answers every job.

A batch forms when the engine is free, never on a timer. If the engine supports it, interactive branches overtake a
batch of bulk in its middle, within their share of the engine. Every admitted job's future is resolved exactly once:
with scores and failures per branch, or with an error for the whole job.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from promedical.errors import ErrorCode
from promedical_model.tree.token_tree import TokenTree
from promedical_service.batching.admission import Admission
from promedical_service.batching.estimate import ThroughputEstimate
from promedical_service.batching.job import TreeJob
from promedical_service.batching.overtaking import Overtaking
from promedical_service.batching.queue import Part
from promedical_service.engines.base import BranchFailure, BranchScores, Engine, EngineLost, checked
from promedical_service.errors import ServiceError
from promedical_service.types import BatchReport, ScoringEvents


class Batcher:
    """The engine of one process, and what runs on it.

    Args:
        engine: Scores one batch at a time, and perhaps another one that overtakes it.
        admission: The queue; it is closed when the engine is gone.
        events: It is told about batches.
        estimate: How fast the engine is; every batch corrects it.
        max_batch_tokens: The most unique tokens of one batch.
        max_batch_s: The most seconds that one batch should take, so that requests do not wait long for its end.
        bulk_share: The part of the engine that bulk keeps while interactive requests wait.
        on_lost: It is called once, when the engine is gone.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        admission: Admission,
        events: ScoringEvents,
        estimate: ThroughputEstimate,
        *,
        max_batch_tokens: int,
        max_batch_s: float,
        bulk_share: float = 0.25,
        on_lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._events = events
        self._estimate = estimate
        self._max_batch_tokens = max_batch_tokens
        self._max_batch_s = max_batch_s
        self._bulk_share = bulk_share
        self._on_lost = on_lost
        self._clock = clock
        self._overtaking = Overtaking(bulk_share, clock)
        self._running: set[Part[TreeJob]] = set()
        self._paused = self._lost = False
        self._runners: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to feed the engine."""
        self._runners = [asyncio.create_task(self._run(), name="batcher")]
        if self._engine.overtakes:
            self._runners.append(asyncio.create_task(self._overtake(), name="batcher-overtaking"))
        for runner in self._runners:
            runner.add_done_callback(self._on_end)

    async def close(self) -> None:
        """Admit nothing more, fail what still waits, and stop after the running batch."""
        stopping = "the service is stopping; send the request to another replica"
        self._admission.close(ServiceError(ErrorCode.UNAVAILABLE, stopping))
        if self._runners:
            await asyncio.wait(self._runners)  # the running batch is answered even if nobody waits here

    def pause(self) -> None:
        """Take no batch until `resume`: the engine is being replaced. Waiting jobs keep their places and deadlines."""
        self._paused = True

    def resume(self) -> None:
        """Take batches again."""
        self._paused = False
        self._admission.changed.set()

    def lose(self, message: str) -> None:
        """Refuse new jobs and answer the waiting ones: nothing can be scored any more. Report it."""
        self._admission.close(ServiceError(ErrorCode.UNAVAILABLE, message))
        if not self._lost:
            self._lost = True
            self._on_lost()

    async def _run(self) -> None:
        while not self._admission.closed:
            held = self._paused or self._overtaking.under_way
            lane = None if held else self._admission.next_lane()
            if lane is None:
                await self._next_change()
                continue
            parts = self._admission.take(self._budget(), lane if self._engine.overtakes else None)
            self._overtaking.permit(_tokens(part.tree for part in parts) if lane == "bulk" else 0)
            self._admission.changed.set()
            await self._run_batch(parts, self._overtaking.others_clock)
            self._overtaking.permit(0)

    async def _overtake(self) -> None:
        """Send interactive branches into the middle of a batch of bulk."""
        while not self._admission.closed:
            budget = min(self._budget(), self._overtaking.tokens)
            if self._paused or budget <= 0 or not self._admission.waits("interactive"):
                await self._next_change()
                continue
            parts = self._admission.take(budget, "interactive")
            self._overtaking.begin(_tokens(part.tree for part in parts))
            await self._run_batch(parts, self._clock)
            self._overtaking.end()
            self._admission.changed.set()

    async def _next_change(self) -> None:
        self._admission.changed.clear()
        await self._admission.changed.wait()

    def _budget(self) -> int:
        return min(self._max_batch_tokens, int(self._estimate.tokens_per_s * self._max_batch_s))

    async def _run_batch(self, parts: Sequence[Part[TreeJob]], clock: Callable[[], float]) -> None:
        self._running.update(parts)
        trees = [part.tree for part in parts]
        for part in parts:
            part.job.started_at = self._clock() if part.job.started_at is None else part.job.started_at
        started = clock()
        scores = await self._score(trees)
        self._account(trees, scores, clock() - started)
        rest = iter(scores)
        for part, tree in zip(parts, trees, strict=True):
            part.job.record(part.start, list(islice(rest, part.stop - part.start)), tree.unique_tokens)
        self._running.difference_update(parts)

    async def _score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        """The engine's answer, or a failure for every branch; the batcher itself never dies of an engine's error."""
        branches = [branch for tree in trees for branch in tree.branches]
        tokens = _tokens(trees) / self._bulk_share  # including what may overtake
        patience = asyncio.timeout(self._estimate.patience_s(tokens))
        try:
            async with patience:
                scores = await self._engine.score(trees)
            return [checked(branch, result) for branch, result in zip(branches, scores, strict=True)]
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, EngineLost) or patience.expired():
                lost = "the engine is gone; another replica can score this"
                self.lose(lost)
                return [BranchFailure(reason=lost)] * len(branches)
            if _is_cancelled():
                raise
            self._events.engine_failed(error)
            return [BranchFailure(reason=f"the engine failed with {type(error).__name__}")] * len(branches)

    def _account(self, trees: Sequence[TokenTree], scores: Sequence[BranchScores], seconds: float) -> None:
        tokens = _tokens(trees)
        if not all(isinstance(branch, BranchFailure) for branch in scores):  # a failure is quick, not fast
            self._estimate.observe(tokens, seconds)
        self._events.batch_finished(
            BatchReport(
                trees=len(trees),
                leaves=sum(tree.leaf_count for tree in trees),
                tokens_computed=tokens,
                tokens_flat=sum(tree.flat_tokens for tree in trees),
                engine_s=seconds,
            )
        )

    def _on_end(self, runner: asyncio.Task[None]) -> None:
        """If the batcher ended by anything but `close`, answer what it held and report that it scores nothing more."""
        if not runner.cancelled() and runner.exception() is None:
            return
        gone = "this replica cannot score any more; send the request to another one"
        for part in self._running:
            part.job.fail(ServiceError(ErrorCode.UNAVAILABLE, gone))
        self.lose(gone)


def _tokens(trees: Iterable[TokenTree]) -> int:
    return sum(tree.unique_tokens for tree in trees)


def _is_cancelled() -> bool:
    """Whether the running task itself was cancelled, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
