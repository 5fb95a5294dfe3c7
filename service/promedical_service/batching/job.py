"""A tree on its way through the queue, and the future that answers it exactly once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from promedical.messages import Priority
from promedical_model.tree.token_tree import TokenTree
from promedical_service.batching.cutting import CutTree
from promedical_service.engines.base import BranchScores
from promedical_service.errors import ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The outcome of a tree: one entry per response, when its first batch began, and how many tokens it took."""

    branches: tuple[BranchScores, ...]
    started_at: float
    tokens_computed: int


@dataclass(eq=False, slots=True, kw_only=True)
class TreeJob:
    """One tree of a request; its branches may run in different batches."""

    cut: CutTree
    lane: Priority
    key: str
    future: asyncio.Future[JobResult]
    taken: int = 0
    started_at: float | None = None
    tokens_computed: int = 0
    scores: dict[int, BranchScores] = field(default_factory=dict)

    @property
    def tree(self) -> TokenTree:
        """What the engine gets."""
        return self.cut.tree

    def record(self, start: int, scores: Sequence[BranchScores], tokens_computed: int) -> None:
        """Keep the engine's results for the branches from `start` on; answer when all are there."""
        self.scores.update(enumerate(scores, start))
        self.tokens_computed += tokens_computed
        if len(self.scores) == len(self.tree.branches) and not self.future.done():
            self.future.set_result(self._result())

    def fail(self, error: ServiceError) -> None:
        """Answer the whole job with an error, unless it is already answered or abandoned."""
        if not self.future.done():
            self.future.set_exception(ServiceError(error.code, error.message))

    def _result(self) -> JobResult:
        return JobResult(
            branches=self.cut.joined(self.scores[index] for index in range(len(self.tree.branches))),
            started_at=self.started_at or 0.0,
            tokens_computed=self.tokens_computed,
        )
