"""The vllm engine around a core that the test scripts: order, refusals, deaths, and the one restart in place.

And what vLLM's processes do first, in processes that only do that.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gated import ManualClock, make_tree
from promedical_service.engines.base import BranchFailure, EngineLost
from promedical_service.engines.vllm import engine as vllm_engine
from promedical_service.engines.vllm.engine import CoreDiedError, EngineHooks, PathRefusedError, PathScore, VllmEngine


class ScriptedCore:
    """Scores a path by its last tokens; dies or refuses when told."""

    def __init__(self) -> None:
        self.dead = False
        self.ended = False
        self.refused: tuple[int, ...] = ()
        self.fault: Exception | None = None
        self.silent = False
        self.paths: list[Sequence[int]] = []

    async def score(self, path: Sequence[int]) -> PathScore:
        self.paths.append(path)
        while self.silent:  # noqa: ASYNC110 - says nothing, however long
            await asyncio.sleep(0.01)
        if self.dead:
            raise CoreDiedError("dead")
        if self.fault is not None:
            raise self.fault
        if path[-1] in self.refused:
            raise PathRefusedError("too odd")
        return PathScore(logit=path[-1] + 100.0 * path[0] + 10.0 * path[5], cached=len(path) - 1)

    def shutdown(self) -> None:
        self.ended = True


@dataclass
class Bench:
    engine: VllmEngine
    clock: ManualClock
    cores: list[ScriptedCore]
    told: list[str] = field(default_factory=list)
    prefixes: list[tuple[int, int]] = field(default_factory=list)
    launching: threading.Event = field(default_factory=threading.Event)
    may_launch: threading.Event = field(default_factory=threading.Event)

    async def until_told(self, *expected: str) -> None:
        async with asyncio.timeout(10):
            while self.told != list(expected):  # noqa: ASYNC110 - polls, as the engine does
                await asyncio.sleep(0.01)


@asynccontextmanager
async def bench(launches: int = 2, start_s: float = 0) -> AsyncIterator[Bench]:
    clock, cores, told, prefixes = ManualClock(), [], [], []
    launching, may_launch = threading.Event(), threading.Event()
    may_launch.set()

    async def launch() -> ScriptedCore:
        launching.set()
        assert may_launch.wait(10)  # blocks the thread, as vLLM does
        if len(cores) == launches:
            raise RuntimeError("no memory")
        clock.advance(start_s)
        cores.append(ScriptedCore())
        return cores[-1]

    hooks = EngineHooks(
        down=lambda: told.append("down"),
        up=lambda: told.append("up"),
        lost=lambda: told.append("lost"),
        prefixes=lambda cached, asked: prefixes.append((cached, asked)),
    )
    engine = await asyncio.to_thread(lambda: VllmEngine(launch, dtype="float32", hooks=hooks, clock=clock))
    yield Bench(engine, clock, cores, told, prefixes, launching, may_launch)
    await engine.close()
    assert all(core.ended for core in cores)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "_WATCH_S", 0.01)
    monkeypatch.setattr(vllm_engine, "_FAIL_S", 1.0)


TREES = [make_tree(branches=(8, 9), leaves=2, seed=1), make_tree(branches=(7,), leaves=3, seed=2)]


async def test_scores_come_back_by_branch_in_order() -> None:
    async with bench() as rig:
        assert await rig.engine.score(TREES) == [(100.0, 101.0), (110.0, 111.0), (200.0, 201.0, 202.0)]
        paths = [path for tree in TREES for path in tree.paths()]
        assert rig.cores[0].paths == paths
        assert rig.prefixes == [(sum(map(len, paths)) - len(paths), sum(map(len, paths)))]


async def test_path_that_is_refused_fails_its_branch_only() -> None:
    async with bench() as rig:
        rig.cores[0].refused = (2,)

        assert await rig.engine.score(TREES) == [(100.0, 101.0), (110.0, 111.0), BranchFailure(reason="too odd")]


async def test_fault_of_the_core_fails_the_batch_and_not_the_engine() -> None:
    async with bench() as rig:
        rig.cores[0].fault = OSError("odd")
        with pytest.raises(OSError, match="odd"):
            await rig.engine.score(TREES)

        rig.cores[0].fault = None
        assert len(await rig.engine.score(TREES)) == 3
        assert rig.told == []


async def test_core_that_dies_says_so_before_its_batch_fails_and_is_replaced() -> None:
    async with bench() as rig:
        await rig.engine.score(TREES)
        rig.cores[0].dead = True
        with pytest.raises(CoreDiedError):
            await rig.engine.score(TREES)
        assert rig.told == ["down"]  # before the batch failed, so that no other follows it

        await rig.until_told("down", "up")
        assert len(await rig.engine.score(TREES)) == 3
        assert rig.cores[0].ended
        assert len(rig.cores) == 2


async def test_death_is_noticed_while_nothing_is_asked() -> None:
    async with bench() as rig:
        await rig.engine.score(TREES)
        rig.cores[0].dead = True
        await rig.until_told("down", "up")


async def test_second_death_soon_after_loses_the_engine() -> None:
    async with bench(launches=3) as rig:
        await rig.engine.score(TREES)
        rig.cores[0].dead = True
        await rig.until_told("down", "up")
        rig.clock.advance(599)
        rig.cores[1].dead = True
        await rig.until_told("down", "up", "down", "lost")

        with pytest.raises(EngineLost, match="no other one"):
            await rig.engine.score(TREES)
        assert len(rig.cores) == 2


async def test_batch_that_a_dead_core_never_answers_fails_before_the_next_core_is_up() -> None:
    async with bench() as rig:
        await rig.engine.score(TREES)
        rig.cores[0].silent = True
        batch = asyncio.create_task(rig.engine.score(TREES))
        await asyncio.sleep(0.05)
        rig.cores[0].dead = True
        await rig.until_told("down", "up")

        with pytest.raises(asyncio.CancelledError):
            await batch
        assert len(await rig.engine.score(TREES)) == 3


async def test_late_news_of_a_core_that_was_replaced_takes_nothing_down() -> None:
    async with bench() as rig:
        await rig.engine.score(TREES)
        rig.cores[0].silent = True
        late = asyncio.create_task(rig.engine.score(TREES))
        await asyncio.sleep(0)  # it has begun, so that the next batch is the last one
        with pytest.raises(TimeoutError):  # a restart waits for the last batch only, and this one is given up
            await asyncio.wait_for(rig.engine.score(TREES), 0.05)
        rig.cores[0].dead = True
        await rig.until_told("down", "up")

        rig.cores[0].silent = False
        with pytest.raises(CoreDiedError):
            await late
        assert rig.told == ["down", "up"]
        assert len(await rig.engine.score(TREES)) == 3


async def test_core_that_is_launched_while_the_engine_closes_is_ended() -> None:
    async with bench() as rig:
        await rig.engine.score(TREES)
        rig.launching.clear()
        rig.may_launch.clear()
        rig.cores[0].dead = True
        assert await asyncio.to_thread(rig.launching.wait, 10)
        asyncio.get_running_loop().call_later(0.1, rig.may_launch.set)  # when `close` is under way

    assert [core.ended for core in rig.cores] == [True, True]


async def test_time_that_a_start_takes_does_not_count_as_living() -> None:
    async with bench(launches=3, start_s=700) as rig:
        await rig.engine.score(TREES)
        rig.cores[0].dead = True
        await rig.until_told("down", "up")
        rig.cores[1].dead = True
        await rig.until_told("down", "up", "down", "lost")


async def test_second_death_long_after_is_another_restart() -> None:
    async with bench(launches=3) as rig:
        await rig.engine.score(TREES)
        rig.cores[0].dead = True
        await rig.until_told("down", "up")
        rig.clock.advance(601)
        rig.cores[1].dead = True
        await rig.until_told("down", "up", "down", "up")


async def test_core_that_cannot_be_started_again_loses_the_engine() -> None:
    async with bench(launches=1) as rig:
        await rig.engine.score(TREES)
        rig.cores[0].dead = True
        await rig.until_told("down", "lost")
        with pytest.raises(EngineLost):
            await rig.engine.score(TREES)


FAMILY = """
import multiprocessing, os, sys, time
from promedical_service.engines.vllm.children import MARK, stay_with_parent

def run(generations):
    if generations:
        child = multiprocessing.get_context("fork").Process(target=run, args=(generations - 1,))
        child.start()
        os._exit(0) if sys.argv[2] == "orphan" and generations == 1 else child.join()
        return
    parent = multiprocessing.parent_process().pid
    while sys.argv[2] == "orphan" and os.getppid() == parent:
        time.sleep(0.01)
    stay_with_parent()
    print("stays", os.getpgid(0) == os.getpid())

os.environ[MARK] = str(os.getpid())
run(int(sys.argv[1]))
"""


def family(generations: int, fate: str) -> str:
    """What the youngest of a service's processes says once it stays; each has started the next."""
    command = [sys.executable, "-c", FAMILY, str(generations), fate]
    return subprocess.check_output(command, stderr=subprocess.STDOUT, text=True, timeout=60)


@pytest.mark.parametrize("generations", [1, 2])
def test_process_of_the_engine_leaves_the_group_and_stays(generations: int) -> None:
    assert family(generations, "child") == "stays True\n"


@pytest.mark.parametrize("generations", [1, 2])
def test_process_whose_parent_ended_before_it_could_say_so_ends(generations: int) -> None:
    assert family(generations, "orphan") == ""
