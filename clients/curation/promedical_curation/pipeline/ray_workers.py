"""What runs in the processes of Ray: workers that decide about rows, and the sign that stops all of them.

A worker keeps one asker for all its batches, so that its pace and its count of failed calls outlive a batch. Why a run
has to stop is what a worker returns, not what it raises: Ray would report it as a fault of its own.
"""

import asyncio
import hashlib
import pickle
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
import ray

import promedical_curation
from promedical_client.sync import LoopThread
from promedical_curation.asking.asker import Asker, asking
from promedical_curation.asking.store import open_store
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.pipeline.worker import Means, decide_rows
from promedical_curation.rows import Outcome, Row

Result: TypeAlias = list[Outcome] | CurationError
"""What became of a batch of rows, or why the run has to stop."""

_COLUMN: Final = "pickled"


class StopSign:
    """Tells every worker to stop. It is an actor of Ray, with one event loop."""

    def __init__(self) -> None:
        self._reason: CurationError | None = None
        self._given = asyncio.Event()

    async def stop(self, reason: CurationError) -> None:
        """Stop all workers; the first reason counts."""
        self._reason = self._reason or reason
        self._given.set()

    async def wait(self) -> CurationError:
        """The reason, as soon as there is one."""
        await self._given.wait()
        assert self._reason is not None
        return self._reason


class Worker:
    """Decides about batches, several at a time, each called in a thread of its own. It is an actor of Ray.

    Args:
        stage: What to decide by.
        means: By what means this worker asks.
        sign: The actor that tells all workers to stop.
        code: The digest of the code that the run was started with.
    """

    def __init__(self, stage: RowStage, means: Means, sign: Any, code: str) -> None:
        self._stage = stage
        self._sign = sign
        self._stopped: CurationError | None = None
        self._thread = LoopThread()
        try:
            self._open(means, code)
        except CurationError as error:
            self._stop(type(error)(f"worker on {socket.gethostname()}: {error}"))
        else:
            threading.Thread(target=self._watch, daemon=True).start()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """What became of the rows of each cell."""
        return packed([self._result(rows) for rows in unpacked(batch)])

    def _open(self, means: Means, code: str) -> None:
        if code != code_digest():
            raise CurationError("has another version of promedical than the command; install the same on all machines")
        for endpoint in self._stage.endpoints:
            endpoint.key()
        # A worker that was killed is started again under the same name, and nobody has to wait for its claims.
        owner = f"ray:{ray.get_runtime_context().get_actor_id()}"
        store = open_store(means.store)
        store.release_all(owner)
        self._asking = asking(means.endpoints, store, means.terms, owner=owner)
        self._asker: Asker = self._thread.run(self._asking.__aenter__)

    def _result(self, rows: Sequence[Row]) -> Result:
        if self._stopped is None:
            try:
                return self._thread.run(lambda: decide_rows(self._stage, rows, self._asker))
            except CurationError as error:
                self._stop(error)
        assert self._stopped is not None
        return self._stopped

    def _stop(self, error: CurationError) -> None:
        if self._stopped is None:
            self._stopped = error
            self._sign.stop.remote(error)

    def _watch(self) -> None:
        error = ray.get(self._sign.wait.remote())
        self._stopped = self._stopped or error
        self._asker.stop(error)


def packed(cells: Sequence[Any]) -> pa.Table:
    """Values as a table, one a row."""
    return pa.table({_COLUMN: pa.array([pickle.dumps(cell) for cell in cells], pa.large_binary())})


def unpacked(table: pa.Table) -> list[Any]:
    """The values in such a table, which only this command and its own workers write."""
    return [pickle.loads(cell) for cell in table[_COLUMN].to_pylist()]  # noqa: S301


def code_digest() -> str:
    """The digest of this package's code."""
    whole, folder = hashlib.sha256(), Path(promedical_curation.__file__).parent
    for file in sorted(folder.rglob("*.py")):
        whole.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes())
    return whole.hexdigest()
