"""Rows handed out by Ray Data to workers on one machine or many; the outcomes are those of the embedded engine.

Rows go to the workers and outcomes come back through Ray's object store, so no folder has to be shared. Answers are in
the response store, as always: a worker that is killed costs the calls that it had in flight.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Final

import ray
import ray.data
from ray.data.exceptions import SystemException
from ray.exceptions import RayError

from promedical_curation.asking.fetching import KEPT
from promedical_curation.errors import CurationError, StoppedError
from promedical_curation.pipeline.engines import Embedded, Sink, batches
from promedical_curation.pipeline.ray_workers import Result, StopSign, Worker, code_digest, packed, unpacked
from promedical_curation.pipeline.row_files import RowFile
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.pipeline.worker import Means
from promedical_curation.rows import Outcome, Row

CPUS_PER_WORKER: Final = 0.5
"""A worker mostly waits for answers."""
_WINDOW: Final = 10_000
"""Rows that are with Ray at a time: all that is in its memory."""
_AHEAD: Final = 24
"""Batches that a worker has in work at the same time."""


class RayData:
    """The workers of a cluster that this process is connected to.

    Args:
        workers: How many processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, stage: RowStage, rows: RowFile, means: Means, sink: Sink) -> None:
        """See `Engine`. A stage that asks nothing runs here: that is done before workers have started."""
        if not stage.endpoints:
            Embedded().run(stage, rows, means, sink)
            return
        sign: Any = ray.remote(num_cpus=0)(StopSign).remote()
        workers = min(self._workers, *(endpoint.max_in_flight for endpoint in stage.endpoints))
        constructor = (stage, share(means, workers), sign, code_digest())
        with _signals_stop(sign.stop.remote):
            for window in batches(rows, _WINDOW):
                try:
                    for outcomes in _until_stopped(_results(window, constructor, workers)):
                        sink(outcomes)
                except (RayError, SystemException) as error:
                    raise StoppedError(
                        f"Ray failed ({type(error).__name__}); its logs say why, by default in /tmp/ray; {KEPT}"
                    ) from None


def share(means: Means, workers: int) -> Means:
    """What one of so many workers may do, so that together they keep to the limits of the endpoints."""
    endpoints = {
        name: replace(endpoint, max_in_flight=max(endpoint.max_in_flight // workers, 1))
        for name, endpoint in means.endpoints.items()
    }
    return replace(means, endpoints=endpoints)


def _results(rows: Sequence[Row], constructor: tuple[Any, ...], workers: int) -> Iterator[Result]:
    """What became of each batch, in the rows' order."""
    with ray.data.DataContext.current(_context()):
        decided = ray.data.from_arrow([packed([batch]) for batch in batches(rows)]).map_batches(
            Worker,
            fn_constructor_args=constructor,
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=CPUS_PER_WORKER,
            compute=ray.data.ActorPoolStrategy(
                size=workers,
                max_tasks_in_flight_per_actor=_AHEAD,
                max_concurrent_calls_per_actor=_AHEAD,
                enable_true_multi_threading=True,
            ),
        )
        for block in decided.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from unpacked(block)


def _context() -> ray.data.DataContext:
    """How Ray Data is to work: in order, and without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it warns of defaults of its own
        context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context


def _until_stopped(results: Iterator[Result]) -> Iterator[list[Outcome]]:
    """The outcomes before the first batch that was not decided.

    Raises:
        CurationError: There is such a batch. All others were waited for, so what was in flight is kept.
    """
    stopped: CurationError | None = None
    for result in results:
        if isinstance(result, CurationError):
            stopped = stopped or result
        elif stopped is None:
            yield result
    if stopped is not None:
        raise stopped


@contextmanager
def _signals_stop(stop: Callable[[CurationError], object]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops the workers and lets calls in flight end; the next one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told: SimpleQueue[CurationError | None] = SimpleQueue()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        told.put(StoppedError(f"stopped by {signal.Signals(number).name}; {KEPT}"))

    def pass_on() -> None:  # not in the handler, which may interrupt Ray's own code
        while (error := told.get()) is not None:
            stop(error)

    thread = threading.Thread(target=pass_on)
    thread.start()
    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        told.put(None)
        thread.join()
