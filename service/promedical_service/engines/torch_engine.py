"""The torch engine: tree attention on CPU or one GPU, in a thread of its own, so that the event loop stays free."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import torch

from promedical_model.tree import TokenTree, pack_rows
from promedical_model.tree_model import TreeModel
from promedical_service.engines.base import BranchFailure, BranchScores, EngineLost

CPU_ROW_TOKENS: Final = 3072
"""Long enough to share prompts, short enough that activations stay in the allocator's reuse."""
_OUT_OF_MEMORY = BranchFailure(reason="out of memory, also after splitting; send fewer or shorter criteria at once")


class TorchEngine:
    """Runs a TreeModel.

    Args:
        model: On its device, in eval mode.
        max_row_tokens: Tokens of one forward pass. On CPU a few thousand keep activations in reach of the
            allocator's reuse and are faster than long rows.
    """

    kind = "torch"

    def __init__(self, model: TreeModel, *, max_row_tokens: int) -> None:
        self._model = model
        self._max_row_tokens = max_row_tokens
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch-engine")

    @property
    def dtype(self) -> str:
        """Of the weights."""
        return str(self._model.dtype).removeprefix("torch.")

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        """Score every branch, in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, list(trees))

    async def close(self) -> None:
        """Wait for the batch that runs, then stop the thread."""
        await asyncio.to_thread(self._thread.shutdown)

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
        """After running out of memory: every branch once more, alone."""
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        parts = [tree.part(index, index + 1) for tree in row for index in range(len(tree.branches))]
        return [scores for part in parts for scores in self._score_row([part], split=False)]


def _is_out_of_memory(error: BaseException) -> bool:
    """CPU allocations fail with a plain RuntimeError that says so."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
