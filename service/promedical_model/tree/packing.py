"""From trees to one packed row of tensors: ids, path positions, leaf ends, and who may attend to whom.

Trees follow each other, depth first. Positions count along the path, so siblings restart where their parent ends.
The attention work is listed as segments, each small enough that its mask stays small, or as spans.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from promedical_model.tree.spans import Range, RowSpans, TreeNodes, row_nodes, row_spans
from promedical_model.tree.token_tree import TokenTree

_QUERY_BLOCK = 512
_LEAF_BLOCK = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Queries `[start, stop)` that attend to the tokens of `keys`, ranges of the row in path order.

    `mask` is additive, shape (queries, keys); None if the keys are the queries themselves, with causal attention.
    """

    start: int
    stop: int
    keys: tuple[Range, ...]
    mask: torch.Tensor | None


@dataclass(frozen=True, kw_only=True)
class TreeLayout:
    """What the attention function is told about the row; it is passed through the model call as `tree=layout`.

    Each kind of attention reads its own form, which is made when it is first asked for.
    """

    nodes: tuple[TreeNodes, ...]
    device: torch.device
    dtype: torch.dtype

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """For attention with masks: segments that cover every query exactly once."""
        return tuple(_to(segment, self.device, self.dtype) for tree in self.nodes for segment in _segments(tree))

    @cached_property
    def spans(self) -> RowSpans:
        """For kernels of sequences of different lengths, without masks."""
        return row_spans(self.nodes, self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """The input of one forward pass over whole trees.

    Attributes:
        input_ids: Shape (1, T), int64.
        position_ids: Shape (1, T), int64: depth along the path.
        leaf_ends: Shape (leaves,), int64: row index of each leaf's last token, depth first.
        layout: Who attends to whom.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    leaf_ends: torch.Tensor
    layout: TreeLayout


def pack(trees: Sequence[TokenTree], *, device: torch.device, dtype: torch.dtype) -> PackedRow:
    """Pack trees into one row; `dtype` is the model's, in which masks are made."""
    nodes = row_nodes(trees)
    ends = [stop - 1 for tree in nodes for branch in tree.branches for _, stop in branch.leaves]
    return PackedRow(
        input_ids=torch.tensor([[token for tree in trees for token in _tokens(tree)]], device=device),
        position_ids=torch.tensor([[position for tree in nodes for position in _positions(tree)]], device=device),
        leaf_ends=torch.tensor(ends, device=device),
        layout=TreeLayout(nodes=tuple(nodes), device=device, dtype=dtype),
    )


def _tokens(tree: TokenTree) -> Iterator[int]:
    yield from tree.prompt
    for branch in tree.branches:
        yield from branch.response
        for leaf in branch.leaves:
            yield from leaf


def _positions(tree: TreeNodes) -> Iterator[int]:
    depth = tree.prompt[1] - tree.prompt[0]
    yield from range(depth)
    for branch in tree.branches:
        leaf_depth = depth + branch.response[1] - branch.response[0]
        yield from range(depth, leaf_depth)
        for start, stop in branch.leaves:
            yield from range(leaf_depth, leaf_depth + stop - start)


def _segments(tree: TreeNodes) -> Iterator[Segment]:
    yield Segment(start=tree.prompt[0], stop=tree.prompt[1], keys=(tree.prompt,), mask=None)
    for branch in tree.branches:
        yield from _causal_segments((tree.prompt,), branch.response)
        yield from _leaf_segments(tree.prompt, branch.response, [stop - start for start, stop in branch.leaves])


def _causal_segments(before: tuple[Range, ...], node: Range) -> Iterator[Segment]:
    """Segments of a node, which reads its path and, causally, itself; blocks avoid the keys after each block."""
    depth = sum(stop - start for start, stop in before)
    for start in range(*node, _QUERY_BLOCK):
        stop = min(start + _QUERY_BLOCK, node[1])
        own = torch.ones(stop - start, stop - start, dtype=torch.bool).tril()
        mask = _beside_open(depth + start - node[0], own)
        yield Segment(start=start, stop=stop, keys=(*before, (node[0], stop)), mask=mask)


def _leaf_segments(prompt: Range, response: Range, lengths: Sequence[int]) -> Iterator[Segment]:
    """Segments of leaves, which read prompt, response and themselves; neighbours share one, masked from each other."""
    start = response[1]
    before = prompt[1] - prompt[0] + response[1] - response[0]
    for group in _leaf_groups(lengths):
        stop = start + sum(group)
        if len(group) == 1:
            yield from _causal_segments((prompt, response), (start, stop))
        else:
            owner = torch.repeat_interleave(torch.arange(len(group)), torch.tensor(group))
            mask = _beside_open(before, (owner[:, None] == owner[None, :]).tril())
            yield Segment(start=start, stop=stop, keys=(prompt, response, (start, stop)), mask=mask)
        start = stop


def _leaf_groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for length in lengths:
        if group and sum(group) + length > _LEAF_BLOCK:
            yield group
            group = []
        group.append(length)
    if group:
        yield group


def _beside_open(before: int, own: torch.Tensor) -> torch.Tensor:
    """An additive mask (queries, before + own): everything before is visible; `own` says what is visible of itself."""
    mask = torch.zeros(own.shape[0], before + own.shape[1])
    mask[:, before:].masked_fill_(~own, float("-inf"))
    return mask


def _to(segment: Segment, device: torch.device, dtype: torch.dtype) -> Segment:
    if segment.mask is None:
        return segment
    mask = segment.mask.to(device=device, dtype=dtype)
    return Segment(start=segment.start, stop=segment.stop, keys=segment.keys, mask=mask)
