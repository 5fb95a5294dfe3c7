"""From groups to forward passes: one optimizer step is a list of passes, cut by tokens, weighted as one batch.

However a step is cut, over passes or over ranks, the sum of its losses and of their gradients is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from promedical_model.tree.token_tree import TokenTree
from promedical_trainer.rm.encoding import EncodedPrompts
from promedical_trainer.rm.expansion import Group
from promedical_trainer.rm.loss_weights import LossWeights
from promedical_trainer.rm.objective import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Input of one forward pass and what its logits should say."""

    trees: tuple[TokenTree, ...]
    targets: Targets

    @property
    def tokens(self) -> int:
        """Tokens that the pass computes."""
        return sum(tree.unique_tokens for tree in self.trees)

    @property
    def leaves(self) -> int:
        """Criteria that the pass scores."""
        return sum(tree.leaf_count for tree in self.trees)


def step_passes(
    groups: Sequence[Group], encoded: EncodedPrompts, weights: LossWeights, *, tokens_per_pass: int, world_size: int = 1
) -> list[list[Pass]]:
    """The passes of one optimizer step by rank. Every rank gets the same number, as sharded training needs.

    Args:
        groups: The groups of the step.
        encoded: The prompts that the groups are of.
        weights: The weights of the loss.
        tokens_per_pass: The most tokens in a pass; a larger group has a pass of its own.
        world_size: The number of processes that share the step.
    """
    trees = [encoded.tree(group) for group in groups]
    bins = _spread(_bins([tree.unique_tokens for tree in trees], tokens_per_pass), world_size)
    totals = _totals(groups, weights)
    passes = [
        Pass(
            trees=tuple(trees[index] for index in bin_),
            targets=_targets([groups[index] for index in bin_], weights, totals),
        )
        for bin_ in bins
    ]
    smallest = min(trees, key=lambda tree: tree.unique_tokens)
    idle = Pass(trees=(smallest,), targets=_targets([], weights, totals))
    passes += [idle] * (-len(passes) % world_size)  # teaches nothing, keeps the ranks in step
    return [passes[rank::world_size] for rank in range(world_size)]


def _bins(sizes: Sequence[int], limit: int) -> list[list[int]]:
    """First fit, largest first."""
    bins: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda each: -sizes[each]):
        with_room = (bin_ for bin_ in bins if sum(sizes[each] for each in bin_) + sizes[index] <= limit)
        chosen = next(with_room, None)
        if chosen is None:
            bins.append([index])
        else:
            chosen.append(index)
    return bins


def _spread(bins: list[list[int]], world_size: int) -> list[list[int]]:
    """Cut the longest bins until the ranks get equally many, or every group stands alone."""
    while len(bins) % world_size:
        bins.sort(key=len, reverse=True)
        longest = bins[0]
        if len(longest) == 1:
            break
        half = len(longest) // 2
        bins = [*bins[1:], longest[:half], longest[half:]]
    return bins


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    pairs: float
    labels: int


def _totals(groups: Sequence[Group], weights: LossWeights) -> _Totals:
    pairs = sum(weights.of(group.criteria[pair.criterion].dimension) for group in groups for pair in group.pairs)
    return _Totals(pairs=pairs or 1.0, labels=sum(1 for group in groups for _ in group.labels()) or 1)


def _targets(groups: Sequence[Group], weights: LossWeights, totals: _Totals) -> Targets:
    pairs: list[tuple[int, int, float, float]] = []
    labels: list[tuple[int, bool]] = []
    start = 0
    for group in groups:
        width = len(group.criteria)
        for pair in group.pairs:
            share = weights.of(group.criteria[pair.criterion].dimension) / totals.pairs
            winner, loser = (start + row * width + pair.criterion for row in (pair.winner, pair.loser))
            pairs.append((winner, loser, share, 0.0 if pair.labelled else share * weights.center))
        labels += [(start + row * width + column, met) for row, column, met in group.labels()]
        start += len(group.responses) * width
    winners, losers, shares, center_weights = zip(*pairs, strict=True) if pairs else ((), (), (), ())
    return Targets(
        winners=torch.tensor(winners, dtype=torch.int64),
        losers=torch.tensor(losers, dtype=torch.int64),
        pair_weights=torch.tensor(shares) * weights.pairwise,
        pair_shares=torch.tensor(shares),
        center_weights=torch.tensor(center_weights),
        labelled=torch.tensor([place for place, _ in labels], dtype=torch.int64),
        met=torch.tensor([float(met) for _, met in labels]),
        label_weights=torch.full((len(labels),), weights.pointwise / totals.labels),
    )
