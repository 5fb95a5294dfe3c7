"""The reward model in memory: a decoder and one score head. Trees in, one logit per leaf out."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from promedical_model.tree.packing import pack
from promedical_model.tree.token_tree import TokenTree

LeafLogits = tuple[tuple[tuple[float, ...], ...], ...]
"""Logits by tree, by branch and by leaf."""


class TreeModel(torch.nn.Module):
    """A transformers decoder that runs tree attention, and a linear head without bias.

    Args:
        decoder: The model without its output head, loaded with `attn_implementation="promedical_tree"`.
        head: The head, shape (hidden size,). The logit is its dot product with a leaf's last hidden state, in fp32.
    """

    def __init__(self, decoder: torch.nn.Module, head: torch.Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = torch.nn.Parameter(head.detach().clone().float())

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the decoder's weights."""
        return next(self.decoder.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the decoder."""
        return next(self.decoder.parameters()).device

    def forward(self, trees: Sequence[TokenTree]) -> torch.Tensor:
        """Logits of all leaves, depth first, shape (leaves,), fp32."""
        row = pack(trees, device=self.device, dtype=self.dtype)
        hidden = self.decoder(
            input_ids=row.input_ids, position_ids=row.position_ids, use_cache=False, tree=row.layout
        ).last_hidden_state
        with torch.autocast(hidden.device.type, enabled=False):  # training may run the decoder in bf16
            logits: torch.Tensor = hidden[0, row.leaf_ends].float() @ self.head.float()  # shards gather in bf16
        return logits

    def before_each_layer(self, call: Callable[[], None]) -> list[RemovableHandle]:
        """Call `call` before every layer of every pass, in the thread of the pass, until `remove` is called."""
        decoder: Any = self.decoder
        return [layer.register_forward_pre_hook(lambda *_: call()) for layer in decoder.layers]

    @torch.inference_mode()
    def score(self, trees: Sequence[TokenTree]) -> LeafLogits:
        """Logits by tree, branch and leaf."""
        return _unflatten(self.forward(trees).tolist(), trees)


def _unflatten(logits: Sequence[float], trees: Sequence[TokenTree]) -> LeafLogits:
    rest = iter(logits)
    return tuple(tuple(tuple(next(rest) for _ in branch.leaves) for branch in tree.branches) for tree in trees)
