"""The batcher: sole owner of the queue. Admits whole requests, feeds the engine when it is free, answers every job.

A batch forms when the engine is free, never on a timer. If the engine can do that, interactive branches overtake a
batch of bulk in its middle, within the share of the engine that is theirs. Every admitted job's future is resolved
exactly once: with scores and failures per branch, or with an error for the whole job. Jobs whose caller went away leave
the queue before they reach the engine.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from promedical.errors import ErrorCode
from promedical.messages import Priority
from promedical_model.tree import TokenTree
from promedical_service.batching.flow import Overtaking, Reservation, Speed, lane_capacity
from promedical_service.batching.job import TreeJob
from promedical_service.batching.queue import JobQueue, Part
from promedical_service.engines.base import BranchFailure, BranchScores, Engine, EngineLost, checked
from promedical_service.errors import ServiceError
from promedical_service.types import BatchReport, ScoringEvents

_RETRY_AFTER_S = (0.1, 30.0)


class Batcher:
    """Queue and engine of one process.

    Args:
        engine: Scores one batch at a time, and perhaps one that overtakes it.
        events: Told about queue and batches.
        max_queue_tokens: Unique tokens that may wait; beyond it requests are refused at once.
        max_batch_tokens: Unique tokens of one batch.
        max_batch_s: Time of one batch, which bounds what waits for its end.
        tokens_per_s: First estimate of the engine's speed, corrected by every batch.
        bulk_share: Part of the engine that bulk keeps while interactive requests wait.
        on_lost: Called once when the engine is gone.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        events: ScoringEvents,
        *,
        max_queue_tokens: int,
        max_batch_tokens: int,
        max_batch_s: float,
        tokens_per_s: float,
        bulk_share: float = 0.25,
        on_lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._events = events
        self._max_queue_tokens = max_queue_tokens
        self._max_batch_tokens = max_batch_tokens
        self._max_batch_s = max_batch_s
        self._on_lost = on_lost
        self._clock = clock
        self._queue: JobQueue[TreeJob] = JobQueue(bulk_share)
        self._change = asyncio.Event()
        self._speed = Speed(tokens_per_s)
        self._bulk_share = bulk_share
        self._reservations: set[Reservation] = set()
        self._overtaking = Overtaking(bulk_share, clock)
        self._running: set[Part[TreeJob]] = set()
        self._closed: ServiceError | None = None
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
        """Refuse new jobs, fail those that still wait, and stop after the batch that runs."""
        self._shut(ServiceError(ErrorCode.UNAVAILABLE, "the service is stopping; send the request to another replica"))
        if self._runners:
            await asyncio.wait(self._runners)  # the batch that runs is answered even if nobody waits here

    def pause(self) -> None:
        """Take no batch until `resume`: the engine is being replaced. What waits keeps its place and its deadline."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._change.set()

    def check_open(self) -> None:
        """Refuse what can no longer be answered.

        Raises:
            ServiceError: unavailable.
        """
        if self._closed is not None:
            raise ServiceError(self._closed.code, self._closed.message)

    @contextmanager
    def reserved(self, estimate: int, lane: Priority, key: str, timeout_s: float) -> Iterator[Reservation]:
        """Hold room for about `estimate` tokens while a request is rendered, or refuse it before that work.

        Raises:
            ServiceError: unavailable; or overloaded, also if what waits already takes longer than `timeout_s`.
        """
        self.check_open()
        estimate = min(estimate, self._capacity("bulk"))
        if self._held_tokens + estimate > self._capacity(lane):
            raise self._overloaded(estimate)
        wait_s = self._expected_wait_s(lane, key)
        if 0 < timeout_s < wait_s:
            raise self._come_back_in(wait_s)
        reservation = Reservation(estimate)
        self._reservations.add(reservation)
        try:
            yield reservation
        finally:
            self._reservations.remove(reservation)

    @property
    def _held_tokens(self) -> int:
        return self._queue.tokens + sum(reservation.tokens for reservation in self._reservations)

    def admit(self, trees: Sequence[TokenTree], lane: Priority, key: str) -> list[TreeJob]:
        """Put all trees of a request into the queue, or none.

        Raises:
            ServiceError: overloaded (with when to come back), too_large (it could never be admitted), or
                unavailable.
        """
        self.check_open()
        needed, capacity = _tokens(trees), self._capacity(lane)
        if needed > capacity:
            raise ServiceError(
                ErrorCode.TOO_LARGE,
                f"the request holds {needed} unique tokens; the {lane} lane holds {capacity}. Send fewer items at once",
            )
        if self._queue.tokens + needed > capacity:
            raise self._overloaded(needed)
        loop = asyncio.get_running_loop()
        jobs = [TreeJob(tree=tree, lane=lane, key=key, future=loop.create_future()) for tree in trees]
        for job in jobs:
            self._queue.add(job)
        self._report_queue()
        self._change.set()
        return jobs

    def abandon(self, jobs: Sequence[TreeJob]) -> None:
        """Drop jobs that nobody waits for any more; what the engine already has of them is thrown away."""
        for job in jobs:
            self._queue.discard(job)
            job.future.cancel()
        self._report_queue()

    def _capacity(self, lane: Priority) -> int:
        return lane_capacity(self._max_queue_tokens, lane)

    def _expected_wait_s(self, lane: Priority, key: str) -> float:
        """Until something of this key that arrives now would be computed, as far as can be foreseen."""
        ahead = self._queue.ahead(lane, key)
        if lane == "bulk":
            return (ahead + self._queue.size("interactive")[1]) / self._speed.tokens_per_s
        return ahead / self._speed.tokens_per_s / (1 - self._bulk_share)

    def _overloaded(self, needed: int) -> ServiceError:
        excess = max(self._held_tokens + needed - self._max_queue_tokens, needed, 1)
        return self._come_back_in(excess / self._speed.tokens_per_s)

    def _come_back_in(self, seconds: float) -> ServiceError:
        wait_s = min(max(seconds, _RETRY_AFTER_S[0]), _RETRY_AFTER_S[1])
        return ServiceError(
            ErrorCode.OVERLOADED,
            f"{self._held_tokens} of {self._max_queue_tokens} tokens wait already; try again in {wait_s:.1f} s, "
            "or send to another replica",
            retry_after_s=wait_s,
        )

    async def _run(self) -> None:
        while self._closed is None:
            if self._paused or not self._queue or self._overtaking.under_way:
                await self._next_change()
                continue
            lane = self._queue.next_lane()
            parts = self._queue.take(self._budget(), lane if self._engine.overtakes else None)
            self._overtaking.permit(_tokens(part.tree for part in parts) if lane == "bulk" else 0)
            self._change.set()
            await self._run_batch(parts, self._overtaking.others_clock)
            self._overtaking.permit(0)

    async def _overtake(self) -> None:
        """Send interactive branches into the middle of a batch of bulk."""
        while self._closed is None:
            budget = min(self._budget(), self._overtaking.tokens)
            if self._paused or budget <= 0 or not self._queue.size("interactive")[0]:
                await self._next_change()
                continue
            parts = self._queue.take(budget, "interactive")
            self._overtaking.begin(_tokens(part.tree for part in parts))
            await self._run_batch(parts, self._clock)
            self._overtaking.end()
            self._change.set()

    async def _next_change(self) -> None:
        self._change.clear()
        await self._change.wait()

    def _budget(self) -> int:
        return min(self._max_batch_tokens, int(self._speed.tokens_per_s * self._max_batch_s))

    async def _run_batch(self, parts: Sequence[Part[TreeJob]], clock: Callable[[], float]) -> None:
        self._running.update(parts)
        self._report_queue()
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
        """The engine's answer, or a failure for every branch; the batcher itself never dies of an engine."""
        branches = [branch for tree in trees for branch in tree.branches]
        tokens = _tokens(trees) / self._bulk_share  # what may overtake included
        patience = asyncio.timeout(self._speed.patience_s(tokens))
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
            self._speed.observe(tokens, seconds)
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
        """If the batcher ended by anything but `close`, answer what it held and say that nothing more is scored."""
        if not runner.cancelled() and runner.exception() is None:
            return
        gone = "this replica can score no more; another one can"
        for part in self._running:
            part.job.fail(ServiceError(ErrorCode.UNAVAILABLE, gone))
        self.lose(gone)

    def lose(self, message: str) -> None:
        """Nothing can be scored any more: refuse what comes, answer what waits, and say so."""
        self._shut(ServiceError(ErrorCode.UNAVAILABLE, message))
        if not self._lost:
            self._lost = True
            self._on_lost()

    def _shut(self, error: ServiceError) -> None:
        self._closed = self._closed or error
        for job in self._queue.jobs():
            self._queue.discard(job)
            job.fail(error)
        self._report_queue()
        self._change.set()

    def _report_queue(self) -> None:
        for lane in ("interactive", "bulk"):
            self._events.queue_changed(lane, *self._queue.size(lane))


def _tokens(trees: Iterable[TokenTree]) -> int:
    return sum(tree.unique_tokens for tree in trees)


def _is_cancelled() -> bool:
    """Whether the running task itself was cancelled, not something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
