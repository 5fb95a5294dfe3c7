"""Interactive work overtakes a batch of bulk in its middle: when, how much, and that nothing is lost by it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gated import make_tree, rig, scores_of, settle
from promedical.errors import ErrorCode
from promedical_model.tree.token_tree import TokenTree
from promedical_service.batching import estimate
from promedical_service.engines.base import BranchFailure, BranchScores, EngineLost


@dataclass
class PileEngine:
    """Holds every batch until the test answers it; takes a second one on top of the first, never a third."""

    kind = "fake"
    dtype = "none"
    overtakes = True
    batches: list[list[TokenTree]] = field(default_factory=list)
    crowded: bool = False
    pile: list[tuple[list[TokenTree], asyncio.Future[list[BranchScores]]]] = field(default_factory=list)

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        self.crowded |= len(self.pile) >= 2
        self.batches.append(list(trees))
        entry = (list(trees), asyncio.get_running_loop().create_future())
        self.pile.append(entry)
        try:
            return await entry[1]
        finally:
            self.pile.remove(entry)

    async def answer(self, position: int = -1) -> None:
        trees, future = self.pile[position]
        future.set_result([score for tree in trees for score in scores_of(tree)])
        await settle()

    async def close(self) -> None:
        """Nothing to stop."""


async def finish(engine: PileEngine) -> None:
    while engine.pile:
        await engine.answer()
    assert not engine.crowded


def trees_of(*jobs):
    return [job.tree for job in jobs]


def whole(job):
    return job.future.result().branches == tuple(scores_of(job.tree))


async def test_interactive_job_goes_into_the_middle_of_a_batch_of_bulk_and_is_answered_first():
    async with rig(PileEngine()) as r:
        (bulk,) = r.admit(make_tree(seed=1))
        await settle()
        (urgent,) = r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        assert r.engine.batches == [trees_of(bulk), trees_of(urgent)]
        await r.engine.answer()
        assert whole(urgent)
        assert not bulk.future.done()
        await r.engine.answer()
        assert whole(bulk)


async def test_bulk_overtakes_nothing():
    async with rig(PileEngine()) as r:
        r.admit(make_tree(seed=1))
        await settle()
        r.admit(make_tree(seed=2))
        await settle()
        assert len(r.engine.batches) == 1
        await finish(r.engine)


async def test_interactive_work_overtakes_none_of_its_own_and_shares_no_batch_with_bulk():
    async with rig(PileEngine()) as r:
        first = r.admit(make_tree(seed=1), make_tree(seed=2), lane="interactive")
        (bulk,) = r.admit(make_tree(seed=3))
        await settle()
        (later,) = r.admit(make_tree(seed=4), lane="interactive")
        await settle()
        assert r.engine.batches == [trees_of(*first)]
        await r.engine.answer()
        assert r.engine.batches[1] == trees_of(later)
        await r.engine.answer()
        assert r.engine.batches[2] == trees_of(bulk)
        await finish(r.engine)


@pytest.mark.parametrize("max_batch_tokens", [14, 100_000])
async def test_what_overtakes_leaves_bulk_its_share(max_batch_tokens):
    async with rig(PileEngine(), bulk_share=0.25, max_batch_tokens=max_batch_tokens) as r:
        (bulk,) = r.admit(make_tree(seed=1))
        await settle()
        urgent = r.admit(*(make_tree(seed=seed) for seed in range(2, 7)), lane="interactive")
        await settle()
        while len(r.engine.pile) > 1:
            await r.engine.answer()
        assert [job.future.done() for job in urgent] == [True] * 3 + [False] * 2  # 3 of 4 tokens are theirs
        assert not bulk.future.done()
        await finish(r.engine)
        assert all(map(whole, [bulk, *urgent]))


async def test_next_batch_waits_for_one_that_came_too_late_to_overtake():
    async with rig(PileEngine()) as r:
        r.admit(make_tree(seed=1))
        await settle()
        r.admit(make_tree(seed=2), lane="interactive")
        r.admit(make_tree(seed=3))
        await settle()
        await r.engine.answer(0)
        assert len(r.engine.batches) == 2
        await r.engine.answer()
        assert len(r.engine.batches) == 3
        await finish(r.engine)


async def test_nothing_overtakes_where_the_engine_cannot_do_it():
    engine = PileEngine()
    engine.overtakes = False
    async with rig(engine) as r:
        r.admit(make_tree(seed=1))
        await settle()
        r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        assert len(engine.batches) == 1
        await finish(engine)


async def test_time_of_what_overtook_is_not_counted_as_that_of_the_batch():
    async with rig(PileEngine()) as r:
        r.admit(make_tree(seed=1))
        await settle()
        r.clock.advance(1.0)
        r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        r.clock.advance(5.0)
        await r.engine.answer()
        r.clock.advance(2.0)
        await r.engine.answer()
        assert [report.engine_s for report in r.events.reports] == [5.0, 3.0]


async def test_failure_of_what_overtakes_concerns_nothing_else():
    async with rig(PileEngine()) as r:
        (bulk,) = r.admit(make_tree(seed=1))
        await settle()
        (urgent,) = r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        r.engine.pile[-1][1].set_exception(ValueError("broken"))
        await settle()
        assert isinstance(urgent.future.result().branches[0], BranchFailure)
        await finish(r.engine)
        assert whole(bulk)


async def test_engine_that_is_lost_while_overtaken_leaves_nobody_without_an_answer():
    async with rig(PileEngine()) as r:
        (bulk,) = r.admit(make_tree(seed=1))
        await settle()
        (urgent,) = r.admit(make_tree(seed=2), lane="interactive")
        (waiting,) = r.admit(make_tree(seed=3))
        await settle()
        for _, future in r.engine.pile:
            future.set_exception(EngineLost("gone"))
        await settle()
        assert r.lost == [True]
        assert isinstance(urgent.future.result().branches[0], BranchFailure)
        assert isinstance(bulk.future.result().branches[0], BranchFailure)
        error: Any = waiting.future.exception()
        assert error.code is ErrorCode.UNAVAILABLE


async def test_nothing_overtakes_while_the_batcher_is_paused():
    async with rig(PileEngine()) as r:
        r.admit(make_tree(seed=1))
        await settle()
        r.batcher.pause()
        r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        assert len(r.engine.batches) == 1
        r.batcher.resume()
        await settle()
        assert len(r.engine.batches) == 2
        await finish(r.engine)


async def test_batch_that_is_overtaken_is_not_taken_for_one_that_hangs(monkeypatch):
    monkeypatch.setattr(estimate, "_HUNG_S", 0.0)
    monkeypatch.setattr(estimate, "_HUNG_FACTOR", 1.0)
    async with rig(PileEngine(), tokens_per_s=200.0, bulk_share=0.05) as r:
        (bulk,) = r.admit(make_tree(seed=1))  # 14 tokens, 0.07 s of work, which may take 1.4 s
        await asyncio.sleep(0.3)
        await finish(r.engine)
        assert whole(bulk)


async def test_closing_waits_for_both_batches():
    async with rig(PileEngine(), close=False) as r:
        (bulk,) = r.admit(make_tree(seed=1))
        await settle()
        (urgent,) = r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        closing = asyncio.create_task(r.batcher.close())
        await settle()
        assert not closing.done()
        await finish(r.engine)
        await closing
        assert whole(bulk)
        assert whole(urgent)


@pytest.mark.parametrize("name", ["batcher", "batcher-overtaking"])
async def test_a_batcher_that_dies_answers_what_it_held(name):
    async with rig(PileEngine(), close=False) as r:
        jobs = r.admit(make_tree(seed=1))
        await settle()
        jobs += r.admit(make_tree(seed=2), lane="interactive")
        await settle()
        next(task for task in asyncio.all_tasks() if task.get_name() == name).cancel()
        await settle()
        assert r.lost == [True]
        assert all(job.future.done() for job in jobs)
        await finish(r.engine)
        await r.batcher.close()
