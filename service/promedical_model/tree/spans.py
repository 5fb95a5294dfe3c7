"""Who attends to whom in a row, as spans: for kernels that take sequences of different lengths and no masks.

A path is a prompt, a response and a leaf. So three calls of such a kernel cover a row, whatever the number of trees
in it: every node attends to itself, everything under a prompt to the prompt, and leaves to their response.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from promedical_model.tree.token_tree import TokenTree

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchNodes:
    """The ranges of a response and its leaves in the row."""

    response: Range
    leaves: tuple[Range, ...]

    @property
    def stop(self) -> int:
        """Where the branch ends."""
        return self.leaves[-1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNodes:
    """The ranges of a tree in the row."""

    prompt: Range
    branches: tuple[BranchNodes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """N sequences of queries, and the keys that each reads: itself causally, or all of others.

    Attributes:
        queries: Row indices of the queries, one sequence after the other, shape (queries,), int64.
        keys: Row indices of the keys, in the same form, shape (keys,).
        query_ends: Where sequences of queries end, starting with 0, shape (N + 1,), int32.
        key_ends: Where sequences of keys end, in the same form.
        longest_query: Tokens of the longest sequence of queries.
        longest_key: Tokens of the longest sequence of keys.
        causal: Whether the keys are the queries themselves, and each query reads only keys up to itself.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    query_ends: torch.Tensor
    key_ends: torch.Tensor
    longest_query: int
    longest_key: int
    causal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSpans:
    """The three lists that cover a row.

    Attributes:
        itself: Every node attends to itself: the whole row, in order.
        prompts: Everything under a prompt attends to that prompt.
        responses: Leaves attend to their response.
    """

    itself: Spans
    prompts: Spans
    responses: Spans


def row_nodes(trees: Sequence[TokenTree]) -> list[TreeNodes]:
    """The ranges of all nodes in a row of trees, depth first."""
    nodes, at = [], 0
    for tree in trees:
        prompt = (at, at + len(tree.prompt))
        at = prompt[1]
        branches = []
        for branch in tree.branches:
            ends = list(accumulate(map(len, (branch.response, *branch.leaves)), initial=at))
            response, *leaves = pairwise(ends)
            branches.append(BranchNodes(response=response, leaves=tuple(leaves)))
            at = ends[-1]
        nodes.append(TreeNodes(prompt=prompt, branches=tuple(branches)))
    return nodes


def row_spans(trees: Sequence[TreeNodes], device: torch.device) -> RowSpans:
    """Who attends to whom in a row."""
    nodes = [(node, node) for tree in trees for node in _nodes(tree)]
    prompts = [((tree.prompt[1], tree.branches[-1].stop), tree.prompt) for tree in trees]
    responses = [((branch.response[1], branch.stop), branch.response) for tree in trees for branch in tree.branches]
    return RowSpans(
        itself=_spans(nodes, device, causal=True),
        prompts=_spans(prompts, device, causal=False),
        responses=_spans(responses, device, causal=False),
    )


def _nodes(tree: TreeNodes) -> Iterator[Range]:
    yield tree.prompt
    for branch in tree.branches:
        yield from (branch.response, *branch.leaves)


def _spans(pairs: Sequence[tuple[Range, Range]], device: torch.device, *, causal: bool) -> Spans:
    queries, keys = zip(*pairs, strict=True)
    return Spans(
        queries=_indices(queries).to(device),
        keys=_indices(keys).to(device),
        query_ends=_ends(queries).to(device),
        key_ends=_ends(keys).to(device),
        longest_query=max(map(_length, queries)),
        longest_key=max(map(_length, keys)),
        causal=causal,
    )


def _length(span: Range) -> int:
    return span[1] - span[0]


def _indices(spans: Sequence[Range]) -> torch.Tensor:
    return torch.cat([torch.arange(*span) for span in spans])


def _ends(spans: Sequence[Range]) -> torch.Tensor:
    return torch.tensor(list(accumulate(map(_length, spans), initial=0)), dtype=torch.int32)
