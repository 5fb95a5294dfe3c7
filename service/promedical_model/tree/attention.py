"""Tree attention: exact attention over a packed row, segment by segment, through transformers' own interface.

The model's code is not forked: linear layers, norms and rotary embeddings run over the packed row as they
are; only the attention function is ours. The layout reaches it as a keyword of the model call, so nothing
is global. It is differentiable, so that the trainer can use it too.

On CUDA, inference in half precision uses three calls of the flash kernel for sequences of different lengths, whatever
the number of trees. They are merged by their log-sum-exps, without masks and without copies of prompts per branch.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from promedical_model.tree.packing import TreeLayout
from promedical_model.tree.spans import Range, RowSpans, Spans

TREE_ATTENTION: Final = "promedical_tree"

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Spans, float], tuple[torch.Tensor, torch.Tensor]]
"""From queries, keys, values, spans and scaling to attended values and log-sum-exps; `flash` says the shapes."""


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
        module: The attention layer; its `training` flag has no effect here, since dropout must be 0.
        query: Shape (1, heads, T, head size).
        key: Shape (1, key-value heads, T, head size).
        value: Like `key`.
        attention_mask: Not used; the layout says who attends to whom.
        tree: Which of the T tokens attend to which.
        scaling: The factor on the scores; None for one over the root of the head size.
        dropout: Must be 0, since the tree shares tokens between paths.

    Returns:
        The attended values, shape (1, T, heads, head size), and None for the weights.

    Raises:
        ValueError: Dropout is on.
    """
    if dropout and module.training:
        raise ValueError(f"attention dropout is {dropout}; a tree shares tokens between paths, set it to 0")
    scaling = scaling or query.shape[-1] ** -0.5
    if runs_on_flash(query, key, value):
        return attend_by_spans(query, key, value, tree.spans, scaling, flash), None
    attend = _by_products if _trains_in_bf16_on_cpu(query) else _fused
    attended = [
        attend(
            query[:, :, segment.start : segment.stop],
            _gather(key, segment.keys),
            _gather(value, segment.keys),
            segment.mask,
            scaling,
        )
        for segment in tree.segments
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def attend_by_spans(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    spans: RowSpans,
    scaling: float,
    kernel: Kernel,
) -> torch.Tensor:
    """Attention over the union of spans, with one call of the kernel for each.

    The softmax over a union of keys is the mean of those over its parts, weighted by their shares of the sum of
    exponentials: exp(lse of the part - lse of the union).

    Returns:
        Shape (1, T, heads, head size), in the queries' dtype.
    """
    queries, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    attended, total = kernel(queries, keys, values, spans.itself, scaling)
    attended = attended.float()
    for each in (spans.prompts, spans.responses):
        part, part_lse = kernel(queries[each.queries], keys[each.keys], values[each.keys], each, scaling)
        before = total[each.queries]
        after = torch.logaddexp(before, part_lse)
        kept, added = ((lse - after).exp()[..., None] for lse in (before, part_lse))
        attended[each.queries] = attended[each.queries] * kept + part * added
        total[each.queries] = after
    return attended.to(query.dtype)[None]


def flash(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: Spans, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """FlashAttention by the operator under `torch.nn.attention.varlen`, which takes grouped heads in every version.

    Args:
        queries: Shape (queries, heads, head size), half precision, on CUDA.
        keys: Shape (keys, key-value heads, head size).
        values: Like `keys`.
        spans: The sequences of the row.
        scaling: Factor on the scores.

    Returns:
        Attended values like `queries`, and log-sum-exps, shape (queries, heads), fp32.
    """
    attended, lse, *_ = torch.ops.aten._flash_attention_forward(  # noqa: SLF001 - see above
        queries,
        keys,
        values,
        spans.query_ends,
        spans.key_ends,
        spans.longest_query,
        spans.longest_key,
        0.0,
        spans.causal,
        return_debug_mask=False,
        scale=scaling,
    )
    return attended, lse.transpose(0, 1)


def runs_on_flash(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether `flash` can be used: only for inference, as its log-sum-exps have no gradient, and if the kernel can."""
    if not (query.is_cuda and torch.is_inference_mode_enabled()) or query.shape[-1] % 8:
        return False
    call = torch.backends.cuda.SDPAParams(query, key, value, None, 0.0, True, True)  # noqa: FBT003 - causal, grouped
    return torch.backends.cuda.can_use_flash_attention(call)


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
    """Attention as two batched products: in bf16 on a CPU, their backward pass is up to three times as fast."""
    heads, length, size = query.shape[1:]
    groups = key.shape[1]
    scores = torch.bmm((query * scaling).reshape(groups, -1, size), key[0].transpose(1, 2))
    weights = (scores.view(heads, length, -1) + (_causal(query) if mask is None else mask)).softmax(-1)
    return torch.bmm(weights.view(groups, -1, key.shape[2]), value[0]).view(1, heads, length, size)


def _causal(query: torch.Tensor) -> torch.Tensor:
    length = query.shape[2]
    return query.new_full((length, length), float("-inf")).triu(1)


def _gather(tokens: torch.Tensor, ranges: tuple[Range, ...]) -> torch.Tensor:
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
    """Make `attn_implementation="promedical_tree"` known to transformers. It may be called repeatedly."""
    AttentionInterface.register(TREE_ATTENTION, tree_attention)
    AttentionMaskInterface.register(TREE_ATTENTION, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    return None
