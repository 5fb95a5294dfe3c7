"""Tree attention: exact attention over a packed row, segment by segment, through transformers' own interface.

The model's code is not forked: linear layers, norms and rotary embeddings run over the packed row as they
are, only the attention function is ours. The layout reaches it as a keyword of the model call, so nothing
is global. Differentiable, so that the trainer can use it too. Another device's kernel is a second function.
"""

from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from promedical_model.packing import TreeLayout

TREE_ATTENTION: Final = "promedical_tree"


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - transformers hands it to every attention function
    *,
    tree: TreeLayout,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend along the paths of a tree.

    Args:
        module: The attention layer; its `training` flag decides nothing here, dropout must be 0.
        query: Shape (1, heads, T, head size).
        key: Shape (1, key-value heads, T, head size).
        value: Like `key`.
        attention_mask: Not used; the layout says who attends to whom.
        tree: Segments that cover all T queries.
        scaling: Factor on the scores; None: one over the root of the head size.
        dropout: Must be 0, since the tree shares tokens between paths.

    Returns:
        The attended values, shape (1, T, heads, head size), and None for the weights.

    Raises:
        ValueError: Dropout is on.
    """
    if dropout and module.training:
        raise ValueError(f"attention dropout is {dropout}; a tree shares tokens between paths, set it to 0")
    attend = _by_products if _trains_in_bf16_on_cpu(query) else _fused
    attended = [
        attend(
            query[:, :, segment.start : segment.stop],
            _gather(key, segment.keys),
            _gather(value, segment.keys),
            segment.mask,
            scaling or query.shape[-1] ** -0.5,
        )
        for segment in tree.segments
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=True
    )


def _trains_in_bf16_on_cpu(query: torch.Tensor) -> bool:
    return query.requires_grad and query.device.type == "cpu" and query.dtype == torch.bfloat16


def _by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """The same in two batched products: their backward is oneDNN's, up to three times the CPU's fused one in bf16."""
    heads, length, size = query.shape[1:]
    groups = key.shape[1]
    scores = torch.bmm((query * scaling).reshape(groups, -1, size), key[0].transpose(1, 2))
    weights = (scores.view(heads, length, -1) + (_causal(query) if mask is None else mask)).softmax(-1)
    return torch.bmm(weights.view(groups, -1, key.shape[2]), value[0]).view(1, heads, length, size)


def _causal(query: torch.Tensor) -> torch.Tensor:
    length = query.shape[2]
    return query.new_full((length, length), float("-inf")).triu(1)


def _gather(tokens: torch.Tensor, ranges: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """The tokens of some ranges, in order; ranges that touch are one view, without a copy."""
    merged = [ranges[0]]
    for start, stop in ranges[1:]:
        if start == merged[-1][1]:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    views = [tokens[:, :, start:stop] for start, stop in merged]
    return views[0] if len(views) == 1 else torch.cat(views, dim=2)


def register() -> None:
    """Make `attn_implementation="promedical_tree"` known to transformers. Harmless when repeated."""
    AttentionInterface.register(TREE_ATTENTION, tree_attention)
    AttentionMaskInterface.register(TREE_ATTENTION, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    return None
