"""Test doubles for batching and scoring: an engine that scores only when told, a clock that moves only when told,
events that are remembered, and a Scorer put together from them.

Run as a program it is `promedical-serve` with a fake engine of the speed that `FAKE_TOKENS_PER_S` says, which looks at
its rubric folder every `REREAD_S` seconds; SIGUSR1 holds its event loop up for a second.
"""

import asyncio
import contextlib
import functools
import gc
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from promedical import messages as m
from promedical.rubric import Dimension
from promedical.rubric_files import load_catalog
from promedical_model.calibration import Calibration
from promedical_model.tree.token_tree import Branch, TokenTree
from promedical_service.batching.admission import Admission
from promedical_service.batching.batcher import Batcher
from promedical_service.batching.estimate import ThroughputEstimate
from promedical_service.batching.job import TreeJob
from promedical_service.engines.base import BranchFailure, BranchScores, Engine
from promedical_service.engines.fake import FakeEngine, fake_renderer
from promedical_service.scoring import Scorer
from promedical_service.types import BatchReport, Caller

MODEL = m.ModelRef(name="gated", revision="r1", fingerprint="f1", engine="fake", dtype="none")


def make_tree(*, prompt: int = 4, branches: Sequence[int] = (10,), leaves: int = 1, seed: int = 0) -> TokenTree:
    """A tree by sizes: each number of `branches` is the tokens of one branch with its leaves of one token each."""
    return TokenTree(
        prompt=(seed,) * prompt,
        branches=tuple(
            Branch(response=(seed, index, *(7,) * (size - leaves - 2)), leaves=tuple((leaf,) for leaf in range(leaves)))
            for index, size in enumerate(branches)
        ),
    )


def scores_of(tree: TokenTree) -> list[BranchScores]:
    """Numbers that tell every leaf of every branch of every tree apart."""
    return [
        tuple(float(branch.response[0] * 100 + branch.response[1] + leaf[0] / 10) for leaf in branch.leaves)
        for branch in tree.branches
    ]


class ManualClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class GatedEngine:
    """Holds every batch until the test answers it."""

    kind = "fake"
    dtype = "none"
    overtakes = False

    def __init__(self) -> None:
        self.batches: list[list[TokenTree]] = []
        self._answer: asyncio.Future[list[BranchScores]] | None = None

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        assert self._answer is None, "one batch at a time"
        self.batches.append(list(trees))
        self._answer = asyncio.get_running_loop().create_future()
        try:
            return await self._answer
        finally:
            self._answer = None

    @property
    def busy(self) -> bool:
        return self._answer is not None and not self._answer.done()

    async def answer(self, scores: list[BranchScores] | None = None) -> None:
        """Answer the batch that runs, by default with `scores_of`, and let everybody react."""
        assert self._answer is not None
        trees = self.batches[-1]
        self._answer.set_result([s for tree in trees for s in scores_of(tree)] if scores is None else scores)
        await settle()

    async def fail(self, error: BaseException) -> None:
        assert self._answer is not None
        self._answer.set_exception(error)
        await settle()

    async def cancel(self) -> None:
        """What an engine does whose own worker was cancelled."""
        assert self._answer is not None
        self._answer.cancel()
        await settle()

    async def close(self) -> None:
        """Nothing to stop."""


class RecordingEvents:
    """Remembers what the core reports."""

    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = []
        self.responses: list[tuple[bool, bool]] = []
        self.failures: list[str] = []
        self.criteria: list[tuple[str, float]] = []
        self.stages: list[tuple[str, float]] = []
        self.lanes: list[str] = []
        self.queue: dict[str, tuple[int, int]] = {}
        self.reports: list[BatchReport] = []
        self.engine_errors: list[BaseException] = []

    def item_finished(self, lane, outcome):
        self.items.append((lane, outcome))

    def response_scored(self, *, vetoed, safety_checked):
        self.responses.append((vetoed, safety_checked))

    def response_failed(self, code):
        self.failures.append(code)

    def criterion_scored(self, dimension, probability):
        self.criteria.append((dimension, probability))

    def stage_finished(self, stage, lane, seconds, ago_s):
        self.stages.append((stage, seconds))
        self.lanes.append(lane)

    def queue_changed(self, lane, jobs, tokens):
        self.queue[lane] = (jobs, tokens)

    def engine_failed(self, error):
        self.engine_errors.append(error)

    def batch_finished(self, report):
        self.reports.append(report)


class InlineExecutor(Executor):
    """Runs at once in the caller's thread, so that nothing depends on threads."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


async def settle(turns: int = 60) -> None:
    """Let everything run that can run without an answer from outside."""
    for _ in range(turns):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def nothing_lost() -> AsyncIterator[None]:
    """Fails if a task's or future's exception was never retrieved."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    previous = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    gc.freeze()  # collecting is quick when only what is new is looked at
    try:
        yield
        await settle()
        gc.collect()
        await settle()
    finally:
        gc.unfreeze()
        loop.set_exception_handler(previous)
    assert complaints == []


@dataclass
class Rig:
    """A batcher on a gated engine and a manual clock, with a Scorer over it."""

    engine: Any
    clock: ManualClock
    events: RecordingEvents
    admission: Admission
    batcher: Batcher
    scorer: Scorer
    threads: InlineExecutor
    lost: list[bool] = field(default_factory=list)
    jobs: list[TreeJob] = field(default_factory=list)

    def admit(self, *trees: TokenTree, lane: m.Priority = "bulk", key: str = "k", **caller: Any) -> list[TreeJob]:
        jobs = self.admission.admit(trees or [make_tree()], lane, Caller(key=key, **caller))
        self.jobs += jobs
        return jobs

    async def score(self, *items: m.ScoreItem, caller: Caller | None = None, **changes: Any) -> m.ScoreResponse:
        return await self.scorer.score(m.ScoreRequest(items=items, **changes), caller or Caller())

    @property
    def waiting_tokens(self) -> int:
        return sum(tokens for _, tokens in self.events.queue.values())


@contextlib.asynccontextmanager
async def rig(
    engine: Engine | None = None,
    *,
    max_path_tokens: int = 8192,
    max_queue_tokens: int = 100_000,
    tokens_per_s: float = 1000.0,
    bulk_share: float = 0.25,
    start: bool = True,
    close: bool = True,
    limits: m.Limits | None = None,
    clock: Callable[[], float] | None = None,
    **changes: Any,
) -> AsyncIterator[Rig]:
    """Put together a Rig; at the end it is closed, whatever the engine still holds, and nothing may be lost."""
    engine, manual, events, lost = engine or GatedEngine(), ManualClock(), RecordingEvents(), []
    threads = InlineExecutor()
    estimate = ThroughputEstimate(tokens_per_s)
    admission = Admission(events, estimate, max_queue_tokens=max_queue_tokens, bulk_share=bulk_share)
    batcher = Batcher(
        engine,
        admission,
        events,
        estimate,
        bulk_share=bulk_share,
        on_lost=lambda: lost.append(True),
        clock=clock or manual,
        **{"max_batch_tokens": 100_000, "max_batch_s": 1e6, **changes},
    )
    scorer = Scorer(
        model=model_info(limits),
        renderer=fake_renderer(max_path_tokens),
        calibration=Calibration(),
        admission=admission,
        catalog=load_catalog,
        events=events,
        threads={"interactive": threads, "bulk": threads},
        default_timeout_s=30.0,
        clock=clock or manual,
    )
    async with nothing_lost():
        if start:
            batcher.start()
        made = Rig(engine, manual, events, admission, batcher, scorer, threads, lost)
        yield made
        if close:
            await close_batcher(batcher, engine)
        for job in made.jobs:
            assert job.future.done(), "every admitted job is answered"
            assert job.future.cancelled() or job.future.exception() or job.future.result()


async def close_batcher(batcher: Batcher, engine: Any) -> None:
    closing = asyncio.create_task(batcher.close())
    await settle()
    if isinstance(engine, GatedEngine) and engine.busy:
        await engine.answer()
    await closing


def model_info(limits: m.Limits | None = None) -> m.ModelInfo:
    return m.ModelInfo(
        model=MODEL,
        status="fake",
        family="none",
        template="t",
        calibration="c",
        licence="none",
        description="gated",
        limits=limits or make_limits(),
    )


def make_limits(**changes: int) -> m.Limits:
    base = {
        "max_request_bytes": 1_000_000,
        "max_items": 64,
        "max_responses_per_item": 32,
        "max_criteria_per_item": 32,
        "max_path_tokens": 8192,
        "max_request_tokens": 100_000,
    }
    return m.Limits(**{**base, **changes})


def criterion(name: str, dimension: str = "proficiency", **changes: Any) -> m.CriterionSpec:
    return m.CriterionSpec(id=name, **{"text": f"Says {name}.", "dimension": Dimension(dimension), **changes})


def item(name: str = "a1", responses: Sequence[str] = ("Yes.",), **changes: Any) -> m.ScoreItem:
    """An item that is in order."""
    rubric = m.RubricSpec(criteria=(criterion("good"), criterion("warm", "excellence"), criterion("harm", "safety")))
    base = {"id": name, "prompt": "Is it safe?", "responses": tuple(responses), "rubric": rubric}
    return m.ScoreItem(**{**base, **changes})


CONTRACT_REQUEST = json.loads((files("promedical_service.edges.rest") / "example_request.json").read_text("utf-8"))
"""The example of the contract, word for word."""

FAILED = BranchFailure(reason="scripted failure")


def _serve_slowed() -> int:
    import os
    import signal
    import sys
    import time

    from promedical_service import __main__, rubric_folder
    from promedical_service.engines import load

    vars(rubric_folder)["REREAD_S"] = float(os.environ.get("REREAD_S", rubric_folder.REREAD_S))
    vars(load)["FakeEngine"] = functools.partial(FakeEngine, tokens_per_s=float(os.environ["FAKE_TOKENS_PER_S"]))
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(1.0))
    return __main__.run(sys.argv[1:], os.environ)


if __name__ == "__main__":
    raise SystemExit(_serve_slowed())
