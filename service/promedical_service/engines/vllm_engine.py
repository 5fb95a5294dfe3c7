"""The vllm engine: every path of a tree is a prompt of vLLM's pooling runner, whose prefix cache shares what is equal.

vLLM computes in processes of its own, and its front lives in a thread with a loop of its own, since it blocks for
seconds when it starts and ends. A core that dies is started once more in place: the batch that it had fails, the
service is not ready meanwhile. One that dies again soon after is lost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from promedical_model.tree import TokenTree
from promedical_service.engines.base import BranchFailure, BranchScores, EngineLost
from promedical_service.engines.loop_thread import LoopThread

_WATCH_S: Final = 0.25
_STABLE_S: Final = 600.0
"""A core that lived so long after a restart may be restarted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathScore:
    """What the core says of one path.

    Attributes:
        logit: Raw, of the last token.
        cached: Tokens of the path that were computed before.
    """

    logit: float
    cached: int


class PathRefusedError(Exception):
    """The core did not score a path; others it still does."""


class CoreDiedError(Exception):
    """The core's process is gone."""


class Core(Protocol):
    """vLLM, as far as it is used here. All methods are called in the thread that made it."""

    async def score(self, path: Sequence[int]) -> PathScore:
        """Score one path.

        Raises:
            PathRefusedError: This path is not scored.
            CoreDiedError: Nothing more is.
        """

    @property
    def dead(self) -> bool:
        """Whether its process is gone."""

    def shutdown(self) -> None:
        """End it; blocks for seconds."""


def _ignore(*_: Any) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHooks:
    """Whom the engine tells, in the service's event loop.

    Attributes:
        down: Its core died, and another one starts.
        up: The other one scores.
        lost: It stays dead.
        prefixes: Tokens found in the cache and tokens asked for, of one batch.
    """

    down: Callable[[], None] = _ignore
    up: Callable[[], None] = _ignore
    lost: Callable[[], None] = _ignore
    prefixes: Callable[[int, int], None] = _ignore


class VllmEngine:
    """Scores trees path by path.

    Args:
        launch: Starts a core; called in the engine's thread, at once and after a death.
        dtype: Of the computation.
        hooks: Told about deaths and cache hits.
        clock: Monotonic seconds.

    Raises:
        Exception: Whatever `launch` raises.
    """

    kind = "vllm"

    def __init__(
        self,
        launch: Callable[[], Awaitable[Core]],
        *,
        dtype: str,
        hooks: EngineHooks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._launch = launch
        self._dtype = dtype
        self._hooks = hooks
        self._clock = clock
        self._thread = LoopThread("vllm-engine")
        self._restarted_at = float("-inf")
        self._usable = asyncio.Event()
        self._lost = False
        self._watcher: asyncio.Task[None] | None = None
        self._core = self._thread.submit(self._launched()).result()
        self._usable.set()

    @property
    def dtype(self) -> str:
        """Of the computation."""
        return self._dtype

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        """Score every branch, in order; all paths are sent together, so that they share within one step too."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="vllm-watch")
        await self._usable.wait()
        if self._lost:
            raise EngineLost("vLLM's process died again soon after it was started anew")
        paths = [path for tree in trees for path in tree.paths()]
        try:
            results = iter(await self._thread.run(self._score_paths(self._core, paths)))
        except CoreDiedError:
            self._usable.clear()  # the next batch waits for the watcher to start another core
            raise
        branches = [branch for tree in trees for branch in tree.branches]
        scored = [list(islice(results, len(branch.leaves))) for branch in branches]
        self._report(paths, [each for branch in scored for each in branch])
        return [_branch_scores(branch) for branch in scored]

    async def close(self) -> None:
        """End vLLM's processes and the thread."""
        if self._watcher is not None:
            self._watcher.cancel()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.submit(_shut_down(self._core)).result()
        self._thread.stop()

    async def _launched(self) -> Core:
        return await self._launch()

    @staticmethod
    async def _score_paths(core: Core, paths: Sequence[Sequence[int]]) -> list[PathScore | PathRefusedError]:
        results = await asyncio.gather(*(core.score(path) for path in paths), return_exceptions=True)
        unforeseen = [each for each in results if not isinstance(each, PathScore | PathRefusedError)]
        if unforeseen:
            raise unforeseen[0]
        return [each for each in results if isinstance(each, PathScore | PathRefusedError)]

    def _report(self, paths: Sequence[Sequence[int]], scored: Sequence[PathScore | PathRefusedError]) -> None:
        cached = sum(each.cached for each in scored if isinstance(each, PathScore))
        self._hooks.prefixes(cached, sum(map(len, paths)))

    async def _watch(self) -> None:
        """Notice that the core died, also while nothing is asked."""
        while not self._lost:
            await asyncio.sleep(_WATCH_S)
            if self._core.dead:
                await self._replace()

    async def _replace(self) -> None:
        self._usable.clear()
        if self._clock() - self._restarted_at < _STABLE_S:
            self._give_up()
            return
        self._restarted_at = self._clock()
        self._hooks.down()
        try:
            await self._thread.run(_shut_down(self._core))
            self._core = await self._thread.run(self._launched())
        except Exception:  # noqa: BLE001 - whatever vLLM raises, there is no engine
            self._give_up()
            return
        self._usable.set()
        self._hooks.up()

    def _give_up(self) -> None:
        self._lost = True
        self._usable.set()
        self._hooks.lost()


async def _shut_down(core: Core) -> None:
    core.shutdown()


def _branch_scores(scored: Sequence[PathScore | PathRefusedError]) -> BranchScores:
    for each in scored:
        if isinstance(each, PathRefusedError):
            return BranchFailure(reason=str(each))
    return tuple(each.logit for each in scored if isinstance(each, PathScore))
