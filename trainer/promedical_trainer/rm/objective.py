"""The loss of Explicit Criteria Injection over the leaves of packed trees. Pure torch; knows no model and no text.

`logit` always means "met as worded". The pairwise term is criterion-conditioned Bradley-Terry,
-log sigmoid(r(y_w | x, c) - r(y_l | x, c)) (arXiv 2604.08326); what a criterion's wording alone says cancels in
it. The pointwise term, binary cross-entropy on met or not, anchors the zero. Polarity appears in neither.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the logits of one pass should say; positions count the pass's leaves, depth first.

    Weights are already divided by the totals of the whole step, so that losses of passes add up to it.

    Attributes:
        winners: Shape (pairs,), int64.
        losers: Shape (pairs,), int64.
        pair_weights: Shape (pairs,).
        pair_shares: Shape (pairs,); the same without the weight of the pairwise term, for the log.
        center_weights: Shape (pairs,); 0 where labels anchor the pair.
        labelled: Shape (labels,), int64.
        met: Shape (labels,), 0 or 1.
        label_weights: Shape (labels,).
    """

    winners: torch.Tensor
    losers: torch.Tensor
    pair_weights: torch.Tensor
    pair_shares: torch.Tensor
    center_weights: torch.Tensor
    labelled: torch.Tensor
    met: torch.Tensor
    label_weights: torch.Tensor

    def to(self, device: torch.device) -> "Targets":
        """The same on another device."""
        return Targets(**{name: getattr(self, name).to(device) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Scalars. `total` carries the graph; the others are for the log."""

    total: torch.Tensor
    pairwise: torch.Tensor
    pointwise: torch.Tensor
    accuracy: torch.Tensor
    """Share of the step's pair weight whose winner has the higher logit."""


def eci_loss(logits: torch.Tensor, targets: Targets) -> Loss:
    """Both terms and the centring of pairs without labels, (r_w + r_l)^2 as in InstructGPT's successors (TRL).

    Args:
        logits: Shape (leaves,), fp32.
        targets: The targets of the same pass.
    """
    winners, losers = logits[targets.winners], logits[targets.losers]
    margins = winners - losers
    pairwise = (targets.pair_weights * softplus(-margins)).sum()
    center = (targets.center_weights * (winners + losers).square()).sum()
    pointwise = binary_cross_entropy_with_logits(
        logits[targets.labelled], targets.met, weight=targets.label_weights, reduction="sum"
    )
    return Loss(
        total=pairwise + pointwise + center,
        pairwise=pairwise.detach(),
        pointwise=pointwise.detach(),
        accuracy=(targets.pair_shares * (margins > 0)).sum().detach(),
    )
