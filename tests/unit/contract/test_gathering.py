"""Questions gathered for a moment; time passes when the test says so."""

import asyncio

import pytest

from gated import nothing_lost, settle
from promedical.interop.gathering import Gatherer
from timers import Timers


class Asked:
    """Remembers the rounds; waits for `gate` where there is one, and raises `error`."""

    def __init__(self):
        self.rounds = []
        self.gate = None
        self.error = None
        self.cancelled = 0

    async def __call__(self, key, questions):
        self.rounds.append((key, questions))
        try:
            if self.gate:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return [f"{key}{question}!" for question in questions]


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def timers():
    return Timers()


@pytest.fixture
def gatherer(asked, timers):
    return Gatherer(asked, window_s=0.5, max_size=3, call_later=timers)


async def start(gatherer, *questions, key="k"):
    tasks = [asyncio.create_task(gatherer.submit(key, question)) for question in questions]
    await settle()
    return tasks


async def test_gatherer_asks_what_came_in_the_window_together(gatherer, asked, timers):
    async with nothing_lost():
        tasks = await start(gatherer, 1, 2)
        assert asked.rounds == []
        assert [timer.seconds for timer in timers.pending] == [0.5]
        await timers.fire()
        assert asked.rounds == [("k", (1, 2))]
        assert await asyncio.gather(*tasks) == ["k1!", "k2!"]


async def test_gatherer_asks_at_once_when_a_round_is_full_and_begins_another(gatherer, asked, timers):
    async with nothing_lost():
        tasks = await start(gatherer, 1, 2, 3, 4)
        assert asked.rounds == [("k", (1, 2, 3))]
        await timers.fire()
        assert asked.rounds[1:] == [("k", (4,))]
        assert len(await asyncio.gather(*tasks)) == 4
    assert timers.pending == []


async def test_gatherer_keeps_keys_apart(gatherer, asked, timers):
    tasks = [*(await start(gatherer, 1, key="a")), *(await start(gatherer, 2, key="b"))]
    await timers.fire()
    assert asked.rounds == [("a", (1,)), ("b", (2,))]
    assert await asyncio.gather(*tasks) == ["a1!", "b2!"]


async def test_gatherer_raises_a_failure_to_everyone_in_the_round_and_to_nobody_else(gatherer, asked, timers):
    async with nothing_lost():
        asked.error = ValueError("no")
        tasks = await start(gatherer, 1, 2)
        await timers.fire()
        assert [str(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == ["no", "no"]
        asked.error = None
        tasks = await start(gatherer, 3)
        await timers.fire()
        assert await tasks[0] == "k3!"


async def test_gatherer_goes_on_for_the_others_when_one_leaves(gatherer, asked, timers):
    async with nothing_lost():
        first, second = await start(gatherer, 1, 2)
        first.cancel()
        await timers.fire()
        assert await second == "k2!"
        assert asked.rounds == [("k", (1, 2))]


async def test_gatherer_cancels_the_work_when_all_have_left(gatherer, asked, timers):
    async with nothing_lost():
        asked.gate = asyncio.Event()
        tasks = await start(gatherer, 1, 2)
        await timers.fire()
        for task in tasks:
            task.cancel()
        await settle()
        assert asked.cancelled == 1


async def test_gatherer_takes_nobody_into_a_round_that_all_have_left(gatherer, asked, timers):
    async with nothing_lost():
        (left,) = await start(gatherer, 1)
        left.cancel()
        late = asyncio.create_task(gatherer.submit("k", 2))
        await settle()
        await timers.fire()
        assert await late == "k2!"
