"""The batcher, from the design: batches when the engine is free, whole admission, one answer per job whatever happens.

No sleeps: the engine scores and the clock moves when a test says so.
"""

import asyncio
import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gated import FAILED, GatedEngine, close_batcher, make_tree, rig, scores_of, settle
from promedical.errors import ErrorCode
from promedical_service.batching import estimate
from promedical_service.engines.base import BranchFailure, EngineLost
from promedical_service.errors import ServiceError
from promedical_service.types import Caller


def branches(job):
    return job.future.result().branches


def whole(job):
    return branches(job) == tuple(scores_of(job.tree))


def failed(job):
    return all(isinstance(branch, BranchFailure) for branch in branches(job))


def refusal(job):
    return job.future.exception().code


# When a batch forms


async def test_batcher_sends_the_first_job_alone_at_once_and_the_rest_together():
    async with rig() as r:
        first = r.admit(make_tree(seed=1))
        await settle()
        assert r.engine.batches == [[first[0].tree]]
        later = [r.admit(make_tree(seed=seed))[0] for seed in (2, 3, 4)]
        await settle()
        assert len(r.engine.batches) == 1
        await r.engine.answer()
        assert whole(first[0])
        assert r.engine.batches[1:] == [[job.tree for job in later]]
        await r.engine.answer()
        assert all(map(whole, later))


async def test_batcher_waits_for_nothing_when_the_engine_was_idle_before():
    async with rig() as r:
        for seed in range(3):
            (job,) = r.admit(make_tree(seed=seed))
            await settle()
            await r.engine.answer()
            assert whole(job)
        assert len(r.engine.batches) == 3


async def test_batcher_puts_trees_together_again_that_it_split():
    async with rig(max_batch_tokens=30) as r:
        large, small = r.admit(make_tree(branches=(10,) * 7, leaves=3, seed=1), make_tree(seed=2))
        await settle()
        while r.engine.busy:
            assert sum(tree.unique_tokens for tree in r.engine.batches[-1]) <= 30
            await r.engine.answer()
        assert whole(large)
        assert whole(small)
        assert len(r.engine.batches) == 4


async def test_batcher_says_when_a_job_began_and_what_it_cost():
    async with rig(max_batch_tokens=14) as r:
        r.clock.now = 5.0
        (job,) = r.admit(make_tree(prompt=4, branches=(10, 10)))
        await settle()
        r.clock.advance(2.0)
        await r.engine.answer()
        r.clock.advance(1.0)
        await r.engine.answer()
        result = job.future.result()
        assert (result.started_at, result.tokens_computed) == (5.0, 28)
        assert [report.engine_s for report in r.events.reports] == [2.0, 1.0]


async def test_batcher_keeps_the_first_start_even_at_second_zero():
    async with rig(max_batch_tokens=14) as r:
        (job,) = r.admit(make_tree(prompt=4, branches=(10, 10)))
        await settle()
        r.clock.advance(2.0)
        await r.engine.answer()
        await r.engine.answer()
        assert job.future.result().started_at == 0.0


async def test_batcher_reports_each_batch():
    async with rig() as r:
        r.admit(make_tree(prompt=4, branches=(10, 10), leaves=2), make_tree(prompt=5, branches=(6,)))
        await settle()
        r.clock.advance(0.5)
        await r.engine.answer()
        (report,) = r.events.reports
        assert (report.trees, report.leaves, report.engine_s) == (2, 5, 0.5)
        assert (report.tokens_computed, report.tokens_flat) == (24 + 11, 2 * (2 * 12 + 2) + 11)


# Admission


async def test_batcher_admits_up_to_its_tokens_and_then_says_when_to_come_back():
    async with rig(max_queue_tokens=28, tokens_per_s=10.0, start=False) as r:
        r.admit(make_tree(), make_tree(), lane="interactive")
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), lane="interactive")
        assert caught.value.code is ErrorCode.OVERLOADED
        assert caught.value.retry_after_s == pytest.approx(1.4)
        with (
            pytest.raises(ServiceError) as caught,
            r.admission.reserved(14, "interactive", Caller(key="k"), timeout_s=100),
        ):
            pytest.fail("there is no room")
        assert caught.value.code is ErrorCode.OVERLOADED
        assert caught.value.retry_after_s == pytest.approx(1.4)
        assert r.waiting_tokens == 28


async def test_batcher_admits_all_trees_of_a_request_or_none():
    async with rig(max_queue_tokens=50, start=False) as r:
        r.admit(make_tree(branches=(20,)))
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), make_tree(), lane="interactive")
        assert caught.value.code is ErrorCode.OVERLOADED
        assert r.events.queue == {"bulk": (1, 24), "interactive": (0, 0)}
        r.admit(make_tree(), lane="interactive")
        assert r.waiting_tokens == 38


async def test_batcher_refuses_for_good_what_never_fits():
    async with rig(max_queue_tokens=27, start=False) as r:
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), make_tree(), lane="interactive")
        assert (caught.value.code, caught.value.retry_after_s) == (ErrorCode.TOO_LARGE, None)
        assert "28" in caught.value.message
        assert "27" in caught.value.message
        r.admit(make_tree(), lane="interactive")


async def test_batcher_says_too_large_even_when_it_is_full():
    async with rig(max_queue_tokens=14, start=False) as r:
        r.admit(make_tree(), lane="interactive")
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), make_tree(), lane="interactive")
        assert caught.value.code is ErrorCode.TOO_LARGE
        assert r.admission.admit([], "interactive", Caller(key="k")) == []


async def test_batcher_counts_only_what_waits():
    async with rig(max_queue_tokens=14) as r:
        r.admit(make_tree(seed=1), lane="interactive")
        await settle()
        r.admit(make_tree(seed=2), lane="interactive")
        with pytest.raises(ServiceError):
            r.admit(make_tree(seed=3), lane="interactive")
        await r.engine.answer()
        r.admit(make_tree(seed=3), lane="interactive")


@pytest.mark.parametrize(("speed", "expected"), [(1e9, 0.1), (1e-3, 30.0)])
async def test_batcher_bounds_what_it_says_to_wait(speed, expected):
    async with rig(max_queue_tokens=14, tokens_per_s=speed, start=False) as r:
        r.admit(make_tree(), lane="interactive")
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), lane="interactive")
        assert caught.value.retry_after_s == expected


async def test_batcher_keeps_a_part_of_the_queue_for_interactive_requests():
    async with rig(max_queue_tokens=32, start=False) as r:
        r.admit(make_tree(), make_tree())  # 28 tokens: all that bulk may hold
        with pytest.raises(ServiceError) as caught, r.admission.reserved(1, "bulk", Caller(key="k"), timeout_s=100):
            pytest.fail("the rest is not for bulk")
        assert caught.value.code is ErrorCode.OVERLOADED
        with r.admission.reserved(4, "interactive", Caller(key="k"), timeout_s=100):
            pass


async def test_batcher_counts_what_is_being_rendered():
    async with rig(max_queue_tokens=100, start=False) as r:
        with r.admission.reserved(80, "interactive", Caller(key="k"), timeout_s=100) as reservation:
            with pytest.raises(ServiceError), r.admission.reserved(21, "interactive", Caller(key="k"), timeout_s=100):
                pytest.fail("there is no room")
            reservation.correct(15, [make_tree()])  # it needs 14
            with r.admission.reserved(21, "interactive", Caller(key="k"), timeout_s=100):
                pass
        with r.admission.reserved(21, "interactive", Caller(key="k"), timeout_s=100):
            pass


async def test_batcher_lets_no_reservation_take_what_is_kept_for_interactive_requests():
    async with rig(max_queue_tokens=800, start=False) as r:
        with r.admission.reserved(10**9, "interactive", Caller(key="k"), timeout_s=100) as reservation:
            assert reservation.tokens == 700
            with r.admission.reserved(100, "interactive", Caller(key="k"), timeout_s=100):
                pass


async def test_admission_says_how_full_the_queue_is_with_what_is_being_rendered():
    async with rig(max_queue_tokens=1000) as r:
        assert r.admission.filled == 0
        r.admit(make_tree(prompt=10, branches=(90,)))
        await settle()
        r.admit(make_tree(prompt=10, branches=(240,)))
        assert r.admission.filled == 0.25, "what the engine has waits no more"
        with r.admission.reserved(250, "bulk", Caller(), 1e6):
            assert r.admission.filled == 0.5
        assert r.admission.filled == 0.25
        await r.engine.answer()
        await r.engine.answer()


async def test_batcher_full_of_one_key_refuses_that_key_and_no_other():
    async with rig(max_queue_tokens=56, start=False) as r:
        r.admit(*(make_tree() for _ in range(4)), lane="interactive", key="flood")  # 56 tokens: all of it
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), lane="interactive", key="flood")
        assert caught.value.code is ErrorCode.OVERLOADED
        with r.admission.reserved(28, "interactive", Caller(key="calm"), timeout_s=100):
            pass
        r.admit(make_tree(), make_tree(), lane="interactive", key="calm")  # an even part of the queue
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), lane="interactive", key="calm")
        assert caught.value.code is ErrorCode.OVERLOADED
        r.admit(make_tree(), lane="interactive", key="third")


async def test_batcher_lets_no_key_fill_more_than_its_share():
    async with rig(max_queue_tokens=56, start=False) as r:
        half = {"key": "half", "queue_share": 0.5}
        r.admit(make_tree(), make_tree(), lane="interactive", **half)
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(), lane="interactive", **half)
        assert caught.value.code is ErrorCode.OVERLOADED
        assert caught.value.retry_after_s is not None
        assert "28 of the 28 tokens that this API key may fill" in caught.value.message
        with pytest.raises(ServiceError), r.admission.reserved(14, "interactive", Caller(**half), timeout_s=100):
            pytest.fail("its share is full")
        with pytest.raises(ServiceError) as caught:
            r.admit(*(make_tree() for _ in range(3)), lane="interactive", **half)
        assert caught.value.code is ErrorCode.TOO_LARGE
        r.admit(make_tree(), make_tree(), lane="interactive", key="other")


async def test_batcher_spends_the_tokens_of_what_it_admits_and_of_nothing_else():
    async with rig(max_queue_tokens=28, start=False) as r:
        spent = []
        r.admit(make_tree(), lane="interactive", spend=spent.append)
        with pytest.raises(ServiceError):
            r.admit(make_tree(), make_tree(), lane="interactive", spend=spent.append)
        assert spent == [14]

        def refuse(_):
            raise ServiceError(ErrorCode.RATE_LIMITED, "too fast")

        with pytest.raises(ServiceError, match="too fast"):
            r.admit(make_tree(), lane="interactive", spend=refuse)
        assert r.waiting_tokens == 14


async def test_batcher_gives_up_an_engine_that_hangs(monkeypatch):
    monkeypatch.setattr(estimate, "_HUNG_S", 0.01)
    async with rig(close=False, tokens_per_s=1e6) as r:
        (job,) = r.admit(make_tree())
        await asyncio.wait([job.future], timeout=10)
        (branch,) = job.future.result().branches
        assert isinstance(branch, BranchFailure)
        assert r.lost == [True]
        await r.batcher.close()


async def test_batcher_refuses_what_could_only_miss_its_deadline():
    async with rig(max_queue_tokens=1000, tokens_per_s=10.0, start=False) as r:
        r.admit(*(make_tree(seed=seed) for seed in range(20)))  # 280 tokens: 28 s
        with pytest.raises(ServiceError) as caught, r.admission.reserved(1, "bulk", Caller(key="k"), timeout_s=20):
            pytest.fail("it would be late")
        assert caught.value.code is ErrorCode.OVERLOADED
        assert caught.value.retry_after_s == pytest.approx(28.0)
        with (
            r.admission.reserved(1, "bulk", Caller(key="k"), timeout_s=40),
            r.admission.reserved(1, "interactive", Caller(key="k"), timeout_s=1),
        ):
            pass


async def test_batcher_does_not_make_one_key_wait_for_anothers_flood():
    async with rig(tokens_per_s=1000.0, start=False) as r:
        r.admit(*(make_tree(branches=(1000,), seed=seed) for seed in range(60)), key="flood")  # a minute
        with r.admission.reserved(100, "bulk", Caller(key="other"), timeout_s=20):
            pass
        with pytest.raises(ServiceError), r.admission.reserved(100, "bulk", Caller(key="flood"), timeout_s=20):
            pytest.fail("its own flood is in its way")


async def test_batcher_that_dies_answers_everything_and_says_that_it_is_lost():
    async with rig(close=False) as r:
        running = r.admit(make_tree(seed=1))
        await settle()
        waiting = r.admit(make_tree(seed=2))
        r.events.batch_finished = lambda _: 1 / 0
        await r.engine.answer()
        await settle()
        for job in (*running, *waiting):
            assert refusal(job) is ErrorCode.UNAVAILABLE
        assert r.lost == [True]
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree(seed=3))
        assert caught.value.code is ErrorCode.UNAVAILABLE
        await r.batcher.close()


async def test_batcher_admits_nothing_as_nothing():
    async with rig() as r:
        assert r.admission.admit([], "bulk", Caller(key="k")) == []


# Time budget


async def test_batcher_bounds_a_batch_by_the_speed_it_was_told():
    async with rig(max_batch_s=1.0, tokens_per_s=30.0) as r:
        r.admit(*(make_tree(seed=seed) for seed in range(5)))
        await settle()
        assert len(r.engine.batches[0]) == 2


async def test_batcher_learns_the_speed_of_the_engine():
    async with rig(max_batch_s=1.0, tokens_per_s=1000.0, max_batch_tokens=10_000) as r:
        for _ in range(12):
            r.admit(*(make_tree(branches=(96,)) for _ in range(10)))
        await settle()
        while r.engine.busy:
            r.clock.advance(sum(tree.unique_tokens for tree in r.engine.batches[-1]) / 200.0)
            await r.engine.answer()
        sizes = [sum(tree.unique_tokens for tree in batch) for batch in r.engine.batches]
        assert sizes[0] == 1000
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-2] == 200


async def test_batcher_never_exceeds_the_tokens_of_a_batch_however_fast_the_engine():
    async with rig(max_batch_tokens=300, max_batch_s=1.0) as r:
        r.admit(*(make_tree(branches=(96,)) for _ in range(20)))
        await settle()
        while r.engine.busy:
            assert len(r.engine.batches[-1]) <= 3
            await r.engine.answer()


async def test_batcher_does_not_take_a_quick_failure_for_speed():
    async with rig(max_batch_s=1.0, tokens_per_s=100.0) as r:
        (first,) = r.admit(make_tree(branches=(96,)))
        await settle()
        await r.engine.fail(RuntimeError("at once"))
        assert failed(first)
        r.admit(*(make_tree(branches=(96,)) for _ in range(5)))
        await settle()
        assert len(r.engine.batches[-1]) == 1


async def test_batcher_takes_a_branch_however_slow_the_engine():
    async with rig(max_batch_s=1e-9) as r:
        r.admit(make_tree(branches=(10, 10)))
        await settle()
        assert [tree.leaf_count for tree in r.engine.batches[0]] == [1]


# Failures


@pytest.mark.parametrize("error", [RuntimeError("secret text"), MemoryError(), ValueError("secret"), TimeoutError()])
async def test_batcher_answers_an_engine_exception_to_its_batch_only(error):
    async with rig() as r:
        (one,) = r.admit(make_tree(branches=(10, 10), seed=1))
        await settle()
        (two,) = r.admit(make_tree(seed=2))
        await r.engine.fail(error)
        assert failed(one)
        assert not any("secret" in branch.reason for branch in branches(one))
        await r.engine.answer()
        assert whole(two)
        assert r.lost == []


async def test_batcher_survives_an_engine_whose_work_was_cancelled():
    async with rig() as r:
        (one,) = r.admit(make_tree(seed=1))
        await settle()
        await r.engine.cancel()
        assert failed(one)
        (two,) = r.admit(make_tree(seed=2))
        await settle()
        await r.engine.answer()
        assert whole(two)


@pytest.mark.parametrize("answer", [[], [(1.0,)], [(1.0,)] * 3])
async def test_batcher_trusts_no_answer_of_the_wrong_length(answer):
    async with rig() as r:
        (job,) = r.admit(make_tree(branches=(10, 10)))
        await settle()
        await r.engine.answer(answer)
        assert failed(job)


@pytest.mark.parametrize("bad", [(), (1.0,), (1.0, 2.0, 3.0), (1.0, math.nan), (math.inf, 1.0), (-math.inf, 1.0)])
async def test_batcher_fails_the_branch_whose_numbers_are_not_one_finite_per_leaf(bad):
    async with rig() as r:
        (job,) = r.admit(make_tree(branches=(10, 10, 10), leaves=2))
        await settle()
        await r.engine.answer([(1.0, 2.0), bad, (3.0, 4.0)])
        first, middle, last = branches(job)
        assert (first, last) == ((1.0, 2.0), (3.0, 4.0))
        assert isinstance(middle, BranchFailure)


async def test_batcher_passes_on_the_failure_of_one_branch_beside_scores():
    async with rig() as r:
        (job,) = r.admit(make_tree(branches=(10, 10)))
        await settle()
        await r.engine.answer([FAILED, (1.0,)])
        assert branches(job) == (FAILED, (1.0,))


async def test_batcher_without_its_engine_fails_the_batch_and_refuses_the_rest_and_says_so_once():
    async with rig(max_batch_tokens=14) as r:
        running, waiting, split = r.admit(make_tree(seed=1), make_tree(seed=2), make_tree(branches=(10, 10), seed=3))
        await settle()
        await r.engine.fail(EngineLost("its text"))
        assert failed(running)
        assert [refusal(job) for job in (waiting, split)] == [ErrorCode.UNAVAILABLE] * 2
        for refused in (r.admit, r.admission.check_open):
            with pytest.raises(ServiceError) as caught:
                refused()
            assert caught.value.code is ErrorCode.UNAVAILABLE
            assert "its text" not in caught.value.message
        assert r.events.queue == {"bulk": (0, 0), "interactive": (0, 0)}
        await r.batcher.close()
        assert r.lost == [True]
        assert len(r.engine.batches) == 1


# Abandoned jobs


async def test_batcher_never_shows_the_engine_what_was_abandoned():
    async with rig() as r:
        r.admit(make_tree(seed=1))
        await settle()
        gone, kept = r.admit(make_tree(seed=2)), r.admit(make_tree(seed=3))
        r.admission.abandon(gone)
        assert gone[0].future.cancelled()
        assert r.waiting_tokens == 14
        await r.engine.answer()
        assert r.engine.batches[1:] == [[kept[0].tree]]
        await r.engine.answer()


async def test_batcher_drops_the_rest_of_a_tree_that_was_abandoned_half_way():
    async with rig(max_batch_tokens=14) as r:
        jobs = r.admit(make_tree(branches=(10,) * 5, seed=1))
        await settle()
        r.admission.abandon(jobs)
        r.admission.abandon(jobs)
        await r.engine.answer()
        assert jobs[0].future.cancelled()
        assert len(r.engine.batches) == 1
        assert not r.engine.busy
        assert r.waiting_tokens == 0


async def test_batcher_lets_jobs_be_abandoned_that_are_done():
    async with rig() as r:
        jobs = r.admit(make_tree())
        await settle()
        await r.engine.answer()
        r.admission.abandon(jobs)
        assert whole(jobs[0])


# The end


async def test_batcher_closing_finishes_the_batch_that_runs_and_refuses_what_waits():
    async with rig(close=False) as r:
        (running,) = r.admit(make_tree(seed=1))
        await settle()
        (waiting,) = r.admit(make_tree(seed=2))
        closing = asyncio.create_task(r.batcher.close())
        await settle()
        assert refusal(waiting) is ErrorCode.UNAVAILABLE
        with pytest.raises(ServiceError) as caught:
            r.admit(make_tree())
        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert not closing.done()
        await r.engine.answer()
        assert whole(running)
        await closing
        assert len(r.engine.batches) == 1


async def test_batcher_closes_when_idle_before_start_and_twice():
    async with rig(close=False) as r:
        await settle()
        await r.batcher.close()
        await r.batcher.close()
    async with rig(start=False) as r:
        (job,) = r.admit(make_tree())
        await r.batcher.close()
        assert refusal(job) is ErrorCode.UNAVAILABLE


async def test_batcher_answers_the_running_batch_even_if_whoever_closes_it_gives_up():
    async with rig() as r:
        (running,) = r.admit(make_tree())
        await settle()
        closing = asyncio.create_task(r.batcher.close())
        await settle()
        closing.cancel()
        await settle()
        await r.engine.answer()
        assert whole(running)


async def test_batcher_ends_when_its_loop_ends():
    async with rig(close=False, start=False) as r:
        before = asyncio.all_tasks()
        r.batcher.start()
        (job,) = r.admit(make_tree())
        await settle()
        (runner,) = asyncio.all_tasks() - before
        runner.cancel()
        await settle()
        assert runner.cancelled()
        r.admission.abandon([job])


# Any history

STEPS = st.one_of(
    st.tuples(
        st.just("admit"),
        st.lists(st.lists(st.integers(3, 40), min_size=1, max_size=4), min_size=1, max_size=3),
        st.sampled_from(["interactive", "bulk"]),
        st.sampled_from("ab"),
    ),
    st.tuples(st.just("abandon"), st.integers(0, 30)),
    st.tuples(st.just("answer")),
    st.tuples(st.just("answer wrong")),
    st.tuples(st.just("answer partly")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(st.just("lose")),
    st.tuples(st.just("close")),
)


class History:
    """Plays steps against a batcher and remembers what every job was told, and how often."""

    def __init__(self, r):
        self.r = r
        self.requests = []
        self.refusals = set()
        self.abandoned = set()
        self.answers = {}
        self.closing = None
        self.seed = 0

    async def play(self, step, *args):
        await getattr(self, step.replace(" ", "_"))(*args)

    async def admit(self, sizes, lane, key):
        trees = []
        for size in sizes:
            self.seed += 1
            trees.append(make_tree(branches=size, seed=self.seed))
        before = self.r.waiting_tokens
        try:
            jobs = self.r.admission.admit(trees, lane, Caller(key=key))
        except ServiceError as error:
            self.refusals.add(error.code)
            self.check_refused(before)
            return
        self.requests.append(jobs)
        for job in jobs:
            self.answers[job] = 0
            job.future.add_done_callback(lambda _, job=job: self._count(job))

    def _count(self, job):
        self.answers[job] += 1
        if not job.future.cancelled():
            job.future.exception()

    async def abandon(self, index):
        if self.requests:
            jobs = self.requests[index % len(self.requests)]
            self.abandoned.update(job for job in jobs if not job.future.done())
            self.r.admission.abandon(jobs)

    async def answer(self):
        if self.r.engine.busy:
            self.r.clock.advance(0.5)
            await self.r.engine.answer()

    async def answer_wrong(self):
        if self.r.engine.busy:
            await self.r.engine.answer([(1.0,)] * 99)

    async def answer_partly(self):
        if self.r.engine.busy:
            right = [score for tree in self.r.engine.batches[-1] for score in scores_of(tree)]
            await self.r.engine.answer([right[0], *[FAILED] * (len(right) - 1)])

    async def fail(self):
        if self.r.engine.busy:
            await self.r.engine.fail(RuntimeError("x"))

    async def cancel(self):
        if self.r.engine.busy:
            await self.r.engine.cancel()

    async def lose(self):
        if self.r.engine.busy:
            await self.r.engine.fail(EngineLost())

    async def turn(self, count):
        await settle(count)

    async def close(self):
        self.closing = self.closing or asyncio.create_task(self.r.batcher.close())

    def check_refused(self, before):
        assert self.refusals <= {ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.TOO_LARGE}
        assert self.r.waiting_tokens == before

    def check(self):
        waiting = sum(tokens for _, tokens in self.r.events.queue.values())
        most = 400 * (1 + 1 / 2 + 1 / 3)  # each of three keys is let in with less than its even part
        assert waiting == self.r.admission._queue.tokens <= most
        assert sum(self.r.admission._queue.held().values()) == waiting
        for job, count in self.answers.items():
            assert count <= 1
            assert job.future.cancelled() is (job in self.abandoned)

    def check_end(self):
        """Everybody has exactly one answer, and every number in it is the right one."""
        for job, count in self.answers.items():
            assert count == 1, "exactly one answer"
            if job in self.abandoned:
                continue
            if job.future.exception() is not None:
                assert refusal(job) is ErrorCode.UNAVAILABLE
                continue
            for told, right in zip(branches(job), scores_of(job.tree), strict=True):
                assert isinstance(told, BranchFailure) or told == right
        assert len(self.r.lost) <= 1
        assert self.r.waiting_tokens == 0


async def _play(steps):
    async with rig(max_queue_tokens=400, max_batch_tokens=60, max_batch_s=1.0, tokens_per_s=60.0) as r:
        history, shown = History(r), 0
        for step in steps:
            await history.play(*step)
            gone = {job.tree.prompt[0] for job in history.abandoned}
            if step[0] == "abandon":
                shown = len(r.engine.batches)
            await settle(1)
            history.check()
            if step[0] == "abandon":
                assert not any(tree.prompt[0] in gone for batch in r.engine.batches[shown:] for tree in batch)
        while r.engine.busy and not r.admission.closed:
            await r.engine.answer()
        await close_batcher(r.batcher, r.engine)
        history.check_end()


@given(st.lists(STEPS, max_size=40))
@example([("admit", [[10]], "bulk", "a"), ("turn", 3), ("lose",), ("close",), ("admit", [[10]], "bulk", "a")])
@example([("admit", [[10, 10, 30, 30]], "bulk", "a"), ("turn", 3), ("close",), ("abandon", 0), ("answer",)])
@settings(max_examples=100)
def test_batcher_answers_every_admitted_job_exactly_once_in_any_history(steps):
    asyncio.run(_play(steps))


def test_batcher_answers_every_admitted_job_exactly_once_in_long_random_histories():
    choice = random.Random(20260408)
    names = ["admit"] * 6 + ["abandon"] * 2 + ["answer"] * 6 + ["answer wrong", "answer partly", "fail", "cancel"]

    def step():
        name = choice.choice([*names, "turn"])
        if name == "admit":
            sizes = [[choice.randint(3, 40) for _ in range(choice.randint(1, 4))] for _ in range(choice.randint(1, 3))]
            return (name, sizes, choice.choice(["interactive", "bulk"]), choice.choice("abc"))
        return (name, choice.randint(1, 30)) if name in {"abandon", "turn"} else (name,)

    for _ in range(5):
        end = choice.choice([[], [("lose",)], [("close",)]])
        asyncio.run(_play([*(step() for _ in range(150)), *end, *(step() for _ in range(10))]))


async def test_gated_engine_refuses_two_batches_at_once():
    engine = GatedEngine()
    first = asyncio.create_task(engine.score([make_tree()]))
    await settle()
    with pytest.raises(AssertionError):
        await engine.score([make_tree()])
    await engine.answer()
    assert await first == scores_of(make_tree())


# An engine that is replaced


async def test_batcher_that_is_paused_takes_no_batch_and_loses_none():
    async with rig() as r:
        running = r.admit(make_tree(seed=1))
        await settle()
        r.batcher.pause()
        await r.engine.answer()
        assert whole(running[0])
        waiting = r.admit(make_tree(seed=2)) + r.admit(make_tree(seed=3))
        await settle()
        assert len(r.engine.batches) == 1
        r.clock.advance(1000)  # the time of a new start is no time of computing
        r.batcher.resume()
        await settle()
        await r.engine.answer()
        assert all(map(whole, waiting))


async def test_batcher_that_is_lost_while_paused_answers_what_waits():
    async with rig() as r:
        r.batcher.pause()
        waiting = r.admit(make_tree(seed=1)) + r.admit(make_tree(seed=2))
        await settle()
        r.batcher.lose("gone")
        assert [refusal(job) for job in waiting] == [ErrorCode.UNAVAILABLE] * 2
        assert r.lost == [True]
        with pytest.raises(ServiceError, match="gone"):
            r.admit()


async def test_batcher_that_is_paused_can_be_closed():
    async with rig() as r:
        r.batcher.pause()
        waiting = r.admit(make_tree())
        await settle()
        async with asyncio.timeout(5):
            await r.batcher.close()
        assert refusal(waiting[0]) is ErrorCode.UNAVAILABLE
