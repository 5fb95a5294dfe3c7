"""The vllm engine: every path of a tree is a prompt for vLLM's pooling runner, whose prefix cache shares equal parts.

vLLM computes in processes of its own. Its front end lives in a thread with a loop of its own, since it blocks for
seconds when it starts and ends. A core that dies is replaced in place: the batch that it had fails, and nobody should
send another one until the new core is up. If the new core dies soon after, the engine is lost.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, Protocol

from promedical_model.tree.token_tree import TokenTree
from promedical_service.engines.base import BranchFailure, BranchScores, EngineLost
from promedical_service.engines.vllm.loop_thread import LoopThread
from promedical_service.telemetry.logs import describe_error, get_logger

_WATCH_S: Final = 0.25
_FAIL_S: Final = 5.0
_STABLE_S: Final = 600.0
"""A core that lived for so many seconds after a restart may be replaced again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathScore:
    """The core's result for one path.

    Attributes:
        logit: The raw logit of the last token.
        cached: How many tokens of the path had been computed before.
    """

    logit: float
    cached: int


class PathRefusedError(Exception):
    """The core did not score this path; it can still score others."""


class CoreDiedError(Exception):
    """The core's process is gone."""


class Core(Protocol):
    """The parts of vLLM that are used here. All methods are called in the thread that made it."""

    async def score(self, path: Sequence[int]) -> PathScore:
        """Score one path.

        Raises:
            PathRefusedError: This path cannot be scored.
            CoreDiedError: Nothing can be scored any more.
        """

    @property
    def dead(self) -> bool:
        """Whether the core's process is gone."""

    def shutdown(self) -> None:
        """End the core. This blocks for seconds."""


def _ignore(*_: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHooks:
    """Functions that the engine calls in the service's event loop.

    Attributes:
        down: It is called when the core died and another one starts, before the core's batch fails.
        up: It is called when the new core is ready.
        lost: It is called when no core takes the place of a dead one.
        prefixes: It gets the tokens found in the cache and the tokens asked for, of one batch.
    """

    down: Callable[[], None] = _ignore
    up: Callable[[], None] = _ignore
    lost: Callable[[], None] = _ignore
    prefixes: Callable[[int, int], None] = _ignore


class VllmEngine:
    """Scores trees path by path.

    Args:
        launch: Starts a core. It is called in the engine's thread, which it blocks: now, and after a core died.
        dtype: The precision of the computation.
        hooks: Functions that are told about deaths and cache hits.
        clock: Monotonic seconds.

    Raises:
        Exception: Whatever `launch` raises.
    """

    kind = "vllm"
    overtakes = False

    def __init__(
        self,
        launch: Callable[[], Coroutine[Any, Any, Core]],
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
        self._state: Literal["up", "down", "lost"] = "up"
        self._watcher: asyncio.Task[None] | None = None
        self._scoring: asyncio.Task[list[PathScore | PathRefusedError]] | None = None
        self._core = self._thread.submit(launch()).result()
        self._log = get_logger("promedical.engine")

    @property
    def dtype(self) -> str:
        return self._dtype

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        """Score every branch, in order; all paths are sent together, so that they share within one step too.

        Raises:
            EngineLost: No core is left.
            CoreDiedError: The core died; `hooks.down` has been called.
        """
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="vllm-watch")
        if self._state == "lost":
            raise EngineLost("vLLM's process died, and no other one could take its place")
        paths = [path for tree in trees for path in tree.paths()]
        results = iter(await self._on(self._core, paths))
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
        self._thread.submit(self._shut_down()).result()
        self._thread.stop()

    async def _on(self, core: Core, paths: Sequence[Sequence[int]]) -> list[PathScore | PathRefusedError]:
        self._scoring = asyncio.ensure_future(self._thread.run(_score_paths(core, paths)))
        try:
            return await self._scoring
        except CoreDiedError:
            if core is self._core:  # else the news is about a core that has been replaced
                self._go_down()
            raise

    def _report(self, paths: Sequence[Sequence[int]], scored: Sequence[PathScore | PathRefusedError]) -> None:
        cached = sum(each.cached for each in scored if isinstance(each, PathScore))
        self._hooks.prefixes(cached, sum(map(len, paths)))

    async def _watch(self) -> None:
        """Notice that the core died, even while nothing is being scored."""
        while self._state != "lost":
            await asyncio.sleep(_WATCH_S)
            if self._core.dead or self._state == "down":
                self._go_down()
                await self._replace()

    def _go_down(self) -> None:
        if self._state == "up":
            self._state = "down"
            self._log.error("vLLM's process died")
            self._hooks.down()

    async def _replace(self) -> None:
        if self._clock() - self._restarted_at < _STABLE_S:
            self._give_up("it died again soon after it was restarted")
            return
        try:
            await self._let_fail()
            await self._thread.run(self._shut_down())
            await self._thread.run(self._start_anew())
        except Exception as error:  # noqa: BLE001 - whatever vLLM raises, there is no engine
            self._give_up("it could not be restarted", **describe_error(error))
            return
        self._restarted_at = self._clock()
        self._state = "up"
        self._log.info("vLLM's process was restarted")
        self._hooks.up()

    async def _start_anew(self) -> None:
        """Launch a core in the engine's thread, so that a later `close`, which runs there too, ends it."""
        self._core = await self._launch()

    async def _shut_down(self) -> None:
        self._core.shutdown()

    async def _let_fail(self) -> None:
        """Let the dead core's batch fail before the core is shut down, since nobody would tell the batch afterwards."""
        if self._scoring is not None:
            await asyncio.wait({self._scoring}, timeout=_FAIL_S)
            self._scoring.cancel()

    def _give_up(self, reason: str, **detail: Any) -> None:
        self._state = "lost"
        self._log.error("vLLM is lost", reason=reason, **detail)
        self._hooks.lost()


async def _score_paths(core: Core, paths: Sequence[Sequence[int]]) -> list[PathScore | PathRefusedError]:
    results = await asyncio.gather(*(core.score(path) for path in paths), return_exceptions=True)
    unforeseen = [each for each in results if not isinstance(each, PathScore | PathRefusedError)]
    if unforeseen:
        raise unforeseen[0]
    return [each for each in results if isinstance(each, PathScore | PathRefusedError)]


def _branch_scores(scored: Sequence[PathScore | PathRefusedError]) -> BranchScores:
    for each in scored:
        if isinstance(each, PathRefusedError):
            return BranchFailure(reason=str(each))
    return tuple(each.logit for each in scored if isinstance(each, PathScore))
