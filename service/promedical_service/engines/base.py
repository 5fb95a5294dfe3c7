"""The seam between batching and what computes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from promedical_model.tree.token_tree import Branch, TokenTree


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFailure:
    """A response that the engine could not score. The reason is for people and holds no user text."""

    reason: str


BranchScores = tuple[float, ...] | BranchFailure
"""One logit per leaf of a branch, or why there is none. Use an engine's result only after `checked`."""


def checked(branch: Branch, scores: BranchScores) -> BranchScores:
    """An engine's result for a branch, if it is one finite number per leaf; anything else becomes a failure."""
    if isinstance(scores, BranchFailure) or (len(scores) == len(branch.leaves) and all(map(math.isfinite, scores))):
        return scores
    return BranchFailure(reason="the engine did not give one finite number per criterion")


class EngineLost(Exception):  # noqa: N818 - a state, named as readiness reports it
    """The engine is gone and does not come back by itself; nothing more can be scored."""


class Engine(Protocol):
    """Scores batches of trees, one at a time, or two at a time if it `overtakes`."""

    @property
    def kind(self) -> str:
        """The name of the engine, such as torch; part of the fingerprint."""

    @property
    def dtype(self) -> str:
        """The precision of the computation, such as float32; part of the fingerprint."""

    @property
    def overtakes(self) -> bool:
        """Whether a batch that comes while another one runs is scored at once, before the other one resumes."""

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        """Score every branch, in the order of trees and their branches.

        Raises:
            EngineLost: The engine is gone. Any other exception fails this batch only.
        """

    async def close(self) -> None:
        """Stop after the running batch."""
