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
"""One logit per leaf of a branch, or why there is none. Nothing else counts until it was `checked`."""


def checked(branch: Branch, scores: BranchScores) -> BranchScores:
    """What an engine says of a branch, if it is one finite number per leaf; anything else is a failure."""
    if isinstance(scores, BranchFailure) or (len(scores) == len(branch.leaves) and all(map(math.isfinite, scores))):
        return scores
    return BranchFailure(reason="the engine did not give one finite number per criterion")


class EngineLost(Exception):  # noqa: N818 - a state, named as readiness reports it
    """The engine is gone and will not come back by itself; nothing more can be scored."""


class Engine(Protocol):
    """Scores batches of trees, one at a time, or two where one `overtakes` the other."""

    @property
    def kind(self) -> str:
        """Torch or fake; part of the fingerprint."""

    @property
    def dtype(self) -> str:
        """Precision of the computation, such as float32; part of the fingerprint."""

    @property
    def overtakes(self) -> bool:
        """Whether a batch that comes while another one runs is scored at once, and the other one resumes after it."""

    async def score(self, trees: Sequence[TokenTree]) -> list[BranchScores]:
        """Score every branch, in the order of trees and their branches.

        Raises:
            EngineLost: The engine is gone. Any other exception fails this batch only.
        """

    async def close(self) -> None:
        """Stop, after the batch that runs."""
