"""The synchronous client: an `AsyncClient` in a thread of its own with one event loop."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypedDict, TypeVar, Unpack

from promedical import messages as m
from promedical_client.address import DEFAULT_URL, Address
from promedical_client.client import AsyncClient, RankOptions, ScoreOneOptions, ScoreOptions
from promedical_client.errors import closed_in_call
from promedical_client.shadow import Shadow
from promedical_client.transports.base import Transport

T = TypeVar("T")

_CLOSING_S: Final = 1.0
"""How many seconds calls in flight have to tell their callers how they ended when their loop ends."""


class ClientOptions(TypedDict, total=False):
    """The settings of `AsyncClient`; see there."""

    api_key: str | None
    timeout_s: float
    max_attempts: int
    max_in_flight: int
    ca_file: str | Path | None
    cert_file: str | Path | None
    key_file: str | Path | None
    transport: Transport | None
    shadow: Shadow | None


class Client:
    """Asks the reward oracle, from any thread. Takes the settings of `AsyncClient` and does what it does.

    The thread starts with the first call, and again in a forked process. Close the client, or use it as a
    context manager.

    Args:
        url: `grpc://HOST:PORT`, `grpcs://HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`;
            or an `Address`.
        options: See `AsyncClient`.
    """

    def __init__(self, url: str | Address = DEFAULT_URL, **options: Unpack[ClientOptions]) -> None:
        self._client = AsyncClient(url, **options)
        self._threads: dict[int, LoopThread] = {}

    def score(self, items: Iterable[m.ScoreItem], **options: Unpack[ScoreOptions]) -> m.ScoreResponse:
        """Score any number of items; see `AsyncClient.score`. `on_progress` is called in the client's thread."""
        return self._run(partial(self._client.score, items, **options))

    def score_one(
        self, prompt: str | Sequence[m.Message], responses: Sequence[str], **options: Unpack[ScoreOneOptions]
    ) -> m.ItemOutcome:
        """Score the responses to one prompt; see `AsyncClient.score_one`."""
        return self._run(partial(self._client.score_one, prompt, responses, **options))

    def rank(
        self, prompt: str | Sequence[m.Message], responses: Sequence[str], **options: Unpack[RankOptions]
    ) -> m.RankResponse:
        """Put the responses to one prompt in order, best first; see `AsyncClient.rank`."""
        return self._run(partial(self._client.rank, prompt, responses, **options))

    def rubrics(self, *, oracle: str | None = None) -> tuple[m.RubricInfo, ...]:
        """Every rubric that the service knows by name; see `AsyncClient.rubrics`."""
        return self._run(partial(self._client.rubrics, oracle=oracle))

    def rubric(self, name: str, *, oracle: str | None = None) -> m.RubricInfo:
        """The rubric called `id@version`, or the newest one called `id`; see `AsyncClient.rubric`."""
        return self._run(partial(self._client.rubric, name, oracle=oracle))

    def model(self, *, oracle: str | None = None) -> m.ModelInfo:
        """What the oracle is; see `AsyncClient.model`."""
        return self._run(partial(self._client.model, oracle=oracle))

    def close(self) -> None:
        """Close the connections and end the thread of this process. A later call starts it again.

        Calls of other threads that are in flight end with `UnavailableError`.
        """
        thread = self._threads.pop(os.getpid(), None)
        if thread is not None:
            try:
                thread.run(self._client.aclose)
            finally:
                thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, ask: Callable[[], Coroutine[None, None, T]]) -> T:
        # A forked process must touch neither its parent's thread nor the lock, which may never be released.
        return self._threads.setdefault(os.getpid(), LoopThread()).run(ask)


class LoopThread:
    """A thread with an event loop, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def run(self, ask: Callable[[], Coroutine[None, None, T]]) -> T:
        """Run the coroutine of `ask` in the thread and return its result.

        Raises:
            UnavailableError: The thread was closed first.
        """
        with self._lock:  # a loop that `close` is ending would never answer
            future = asyncio.run_coroutine_threadsafe(ask(), self._started().loop)
        try:
            return future.result()
        except CancelledError:
            raise closed_in_call() from None
        except BaseException:  # an interrupt here must not leave the call running there
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            running, self._running = self._running, None
            if running is not None:
                running.loop.call_soon_threadsafe(running.stop.set)
        if running is not None:
            running.thread.join()

    def _started(self) -> "_Running":
        """The running thread; the lock is held."""
        if self._running is None:
            started: Future[_Running] = Future()
            # A daemon: a client that was never closed must not keep its process.
            threading.Thread(target=asyncio.run, args=(_main(started),), name="promedical", daemon=True).start()
            self._running = started.result()
        return self._running


@dataclass(frozen=True, slots=True)
class _Running:
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


async def _main(started: "Future[_Running]") -> None:
    stop = asyncio.Event()
    started.set_result(_Running(threading.current_thread(), asyncio.get_running_loop(), stop))
    await stop.wait()
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    if calls:
        await asyncio.wait(calls, timeout=_CLOSING_S)
