"""The token tree: one prompt, its responses, and under each response its criteria. Integers only, no device.

A path prompt -> response -> criterion is what an independent forward pass would read; the tree holds every
shared token once. It is the unit of admission and of compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """One response and the criteria it is judged by, as token ids. Every list is non-empty."""

    response: Tokens
    leaves: tuple[Tokens, ...]

    @cached_property
    def tokens(self) -> int:
        """Tokens of the response and all its leaves."""
        return len(self.response) + sum(map(len, self.leaves))


@dataclass(frozen=True)
class TokenTree:
    """A prompt and its branches, as token ids."""

    prompt: Tokens
    branches: tuple[Branch, ...]

    @cached_property
    def unique_tokens(self) -> int:
        """Tokens that the engine computes: X + sum over branches of (Y + sum of C)."""
        return len(self.prompt) + sum(branch.tokens for branch in self.branches)

    @cached_property
    def flat_tokens(self) -> int:
        """Tokens that one forward pass per leaf would compute."""
        return sum(
            len(branch.leaves) * (len(self.prompt) + len(branch.response)) + sum(map(len, branch.leaves))
            for branch in self.branches
        )

    @property
    def leaf_count(self) -> int:
        """Number of scores the tree asks for."""
        return sum(len(branch.leaves) for branch in self.branches)

    def part(self, start: int, stop: int) -> "TokenTree":
        """The tree with only the branches from `start` to before `stop`."""
        return replace(self, branches=self.branches[start:stop])

    def paths(self) -> list[Tokens]:
        """Every root-to-leaf sequence, depth first: what the flat way would forward."""
        return [self.prompt + branch.response + leaf for branch in self.branches for leaf in branch.leaves]


def pack_rows(trees: Sequence[TokenTree], max_tokens: int) -> list[list[TokenTree]]:
    """Cut trees by branch and gather the parts into rows of at most `max_tokens`; a longer branch gets its own row.

    Flattening the rows gives every branch in the order of `trees`.
    """
    rows: list[list[TokenTree]] = []
    room = 0
    for tree in trees:
        start = 0
        while start < len(tree.branches):
            stop, used = _branches_within(tree, start, room)
            if stop == start:
                rows.append([])
                room = max(max_tokens, len(tree.prompt) + tree.branches[start].tokens)
                stop, used = _branches_within(tree, start, room)
            rows[-1].append(tree.part(start, stop))
            room -= used
            start = stop
    return rows


def _branches_within(tree: TokenTree, start: int, room: int) -> tuple[int, int]:
    """Up to which branch, from `start`, branches fit into `room` tokens with their prompt, and how many they use."""
    used = len(tree.prompt)
    for index in range(start, len(tree.branches)):
        needed = used + tree.branches[index].tokens
        if needed > room:
            return index, used
        used = needed
    return len(tree.branches), used
