"""The torch engine: tree attention on CPU or one GPU, in a thread of its own, so that the event loop stays free.

On a CPU, a batch that comes while another one runs is scored between two layers of the running one. On a GPU, the host
queues all layers of a pass long before they are computed, so batches wait for each other there.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

import torch

from promedical_model.tree.token_tree import TokenTree, pack_rows
from promedical_model.tree.tree_model import TreeModel
from promedical_service.engines.base import BranchFailure, BranchScores, EngineLost

CPU_ROW_TOKENS: Final = 3072
"""Long enough to share prompts, and short enough that the allocator can reuse memory for activations."""
_OUT_OF_MEMORY = BranchFailure(reason="out of memory, also after splitting; send fewer or shorter criteria at once")


@dataclass(frozen=True, slots=True)
class _Batch:
    """Trees, and the future that waits for their scores."""

    trees: list[TokenTree]
    answer: Future[list[BranchScores]] = field(default_factory=Future)


class TorchEngine:
    """Runs a TreeModel.

    Args:
        model: The model, on its device and in eval mode.
        max_row_tokens: The most tokens of one forward pass. On a CPU, rows of a few thousand tokens are faster than
            longer ones, since the allocator can then reuse memory for activations.
    """

    kind = "torch"

    def __init__(self, model: TreeModel, *, max_row_tokens: int) -> None:
        self._model = model
        self._max_row_tokens = max_row_tokens
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch-engine")
        self._waiting: SimpleQueue[_Batch] = SimpleQueue()
        self._overtaking = False
        self.overtakes = model.device.type == "cpu"
        self._hooks = model.before_each_layer(self._overtake) if self.overtakes else []

    @property
    def dtype(self) -> str:
        return str(self._model.dtype).removeprefix("torch.")

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        batch = _Batch(list(trees))
        self._waiting.put(batch)
        self._thread.submit(self._work_off)
        return await asyncio.wrap_future(batch.answer)

    async def close(self) -> None:
        """Wait for the running batch, then stop the thread."""
        await asyncio.to_thread(self._thread.shutdown)
        for hook in self._hooks:
            hook.remove()

    def _work_off(self) -> None:
        """Score all batches that wait; batches that overtook another one are already done."""
        while (batch := self._next()) is not None:
            if not batch.answer.set_running_or_notify_cancel():
                continue
            try:
                batch.answer.set_result(self._score(batch.trees))
            except BaseException as error:  # noqa: BLE001 - the caller's to handle, as from any executor
                batch.answer.set_exception(error)

    def _next(self) -> _Batch | None:
        try:
            return self._waiting.get_nowait()
        except Empty:
            return None

    def _overtake(self) -> None:
        """Score what overtakes; this runs before every layer. A batch that overtakes is not overtaken itself."""
        if not self._overtaking:
            self._overtaking = True
            try:
                self._work_off()
            finally:
                self._overtaking = False

    def _score(self, trees: list[TokenTree]) -> list[BranchScores]:
        return [scores for row in pack_rows(trees, self._max_row_tokens) for scores in self._score_row(row)]

    def _score_row(self, row: list[TokenTree], *, split: bool = True) -> list[BranchScores]:
        try:
            return [branch for tree in self._model.score(row) for branch in tree]
        except torch.AcceleratorError as error:
            raise EngineLost("the device failed; only a new process can use it again") from error
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        return self._score_singly(row) if split else [_OUT_OF_MEMORY for tree in row for _ in tree.branches]

    def _score_singly(self, row: list[TokenTree]) -> list[BranchScores]:
        """After running out of memory, score every branch again on its own."""
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        parts = [tree.part(index, index + 1) for tree in row for index in range(len(tree.branches))]
        return [scores for part in parts for scores in self._score_row([part], split=False)]


def _is_out_of_memory(error: BaseException) -> bool:
    """CPU allocations fail with a plain RuntimeError that says so."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
