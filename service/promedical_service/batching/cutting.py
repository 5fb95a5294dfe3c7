"""Cutting: a response with many criteria goes to the engine as several branches, and is answered as one. Pure.

An engine cannot be interrupted inside a branch, so no branch may be too large.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from promedical_model.tree.token_tree import Branch, Tokens, TokenTree
from promedical_service.engines.base import BranchFailure, BranchScores

BRANCH_LEAF_TOKENS: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class CutTree:
    """A tree as the engine gets it.

    Attributes:
        tree: The tree with bounded branches; the branches of a response follow each other, with its criteria in order.
        pieces: How many branches each response has.
    """

    tree: TokenTree
    pieces: tuple[int, ...]

    def joined(self, scores: Iterable[BranchScores]) -> tuple[BranchScores, ...]:
        """One entry per response from one entry per branch."""
        rest = iter(scores)
        return tuple(_joined(list(islice(rest, count))) for count in self.pieces)


def cut(tree: TokenTree) -> CutTree:
    """Bound the branches of a tree that has one branch per response."""
    groups: dict[int, list[tuple[Tokens, ...]]] = {}  # the responses of an item share their criteria
    for branch in tree.branches:
        if id(branch.leaves) not in groups:
            groups[id(branch.leaves)] = list(_groups(branch.leaves))
    pieces = tuple(len(groups[id(branch.leaves)]) for branch in tree.branches)
    if sum(pieces) == len(tree.branches):
        return CutTree(tree=tree, pieces=pieces)
    branches = (
        Branch(response=branch.response, leaves=group)
        for branch in tree.branches
        for group in groups[id(branch.leaves)]
    )
    return CutTree(tree=replace(tree, branches=tuple(branches)), pieces=pieces)


def _groups(leaves: tuple[Tokens, ...]) -> Iterator[tuple[Tokens, ...]]:
    """The leaves in order, in groups of as many as fit into a branch's bound, but at least one."""
    start = used = 0
    for place, leaf in enumerate(leaves):
        if place > start and used + len(leaf) > BRANCH_LEAF_TOKENS:
            yield leaves[start:place]
            start, used = place, 0
        used += len(leaf)
    yield leaves[start:]


def _joined(pieces: Sequence[BranchScores]) -> BranchScores:
    """The logits of all pieces of a response; a piece that failed fails the response."""
    logits: list[float] = []
    for piece in pieces:
        if isinstance(piece, BranchFailure):
            return piece
        logits += piece
    return tuple(logits)
