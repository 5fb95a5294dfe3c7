"""Who hands rows to the worker. The outcomes are the same, in the same order, whoever does."""

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Final, Protocol, TypeAlias, TypeVar

from promedical_curation.asking.asker import Asker, asking
from promedical_curation.asking.fetching import KEPT
from promedical_curation.asking.store import Store, open_store
from promedical_curation.errors import StoppedError
from promedical_curation.pipeline.row_files import RowFile
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.pipeline.worker import Means, decide_rows
from promedical_curation.rows import Outcome

T = TypeVar("T")

BATCH: Final = 32
_AHEAD: Final = 24
"""Batches in work at the same time, so that the slowest row of one does not hold up the next."""

Sink: TypeAlias = Callable[[Sequence[Outcome]], None]
Watch: TypeAlias = Callable[[Asker], None]


class Engine(Protocol):
    """Takes all rows of a stage through the worker, and gives their outcomes to `sink` in the rows' order."""

    def run(self, stage: RowStage, rows: RowFile, means: Means, sink: Sink) -> None:
        """Run a stage.

        Raises:
            CurationError: The run has to stop. All answers so far are in the store.
        """


class Embedded:
    """One process and one event loop.

    Args:
        watch: Is given the asker when it is open, so that it can show what is in flight.
    """

    def __init__(self, watch: Watch = lambda _: None) -> None:
        self._watch = watch

    def run(self, stage: RowStage, rows: RowFile, means: Means, sink: Sink) -> None:
        """See `Engine`."""
        with closing(open_store(means.store)) as store:
            asyncio.run(self._run(stage, rows, store, means, sink))

    async def _run(self, stage: RowStage, rows: RowFile, store: Store, means: Means, sink: Sink) -> None:
        async with asking(means.endpoints, store, means.terms) as asker:
            with _signals_stop(asker):
                self._watch(asker)
                await _decide_all(stage, rows, asker, sink)


async def _decide_all(stage: RowStage, rows: RowFile, asker: Asker, sink: Sink) -> None:
    waiting = deque[asyncio.Task[list[Outcome]]]()
    try:
        for batch in batches(rows):
            waiting.append(asyncio.create_task(decide_rows(stage, batch, asker)))
            if len(waiting) == _AHEAD:
                sink(await waiting.popleft())
        while waiting:
            sink(await waiting.popleft())
    finally:
        await asyncio.gather(*waiting, return_exceptions=True)  # what is in flight ends, and is kept


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of this length; the last may be shorter."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


@contextmanager
def _signals_stop(asker: Asker) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops the asker and lets calls in flight end; the next one ends the process."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        asker.stop(StoppedError(f"stopped by {number.name}; {KEPT}"))

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
