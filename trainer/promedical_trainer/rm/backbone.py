"""What is trained: the base as the service would load it, with a LoRA adapter or with all its weights open."""

from typing import Any

import torch
from peft import inject_adapter_in_model

from promedical_model.bundle.bundle import Bundle
from promedical_model.loading import load_tree_model
from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm.recipe import Adapter, RecipeError


def trainable_model(base: Bundle, adapter: Adapter | None, *, dtype: torch.dtype, checkpointing: bool) -> TreeModel:
    """Load the base; open its head and the adapter, or everything.

    Args:
        base: With its own score head, so that a causal model starts as a zero-shot judge.
        adapter: None opens all weights but the embeddings.
        dtype: The dtype of frozen weights; trained weights are fp32.
        checkpointing: Recompute activations in the backward pass.

    Raises:
        RecipeError: The base is itself an adapter, or the adapter's targets are not in it.
        BundleError: The base cannot be loaded.
    """
    if base.manifest.base is not None:
        raise RecipeError(f"base {base.folder}: is an adapter on {base.manifest.base}; name whole weights as base")
    model = load_tree_model(base, dtype=dtype if adapter else torch.float32, device=torch.device("cpu"))
    open_parameters(_decoder(model), adapter)
    model.head.requires_grad = True
    if checkpointing:
        _enable_checkpointing(_decoder(model))
    # By this name accelerate looks for the layers that FSDP wraps.
    model._no_split_modules = _decoder(model)._no_split_modules  # noqa: SLF001
    return model


def open_parameters(decoder: Any, adapter: Adapter | None) -> None:
    """Make trainable what a recipe trains of a decoder: an adapter, or all weights but the embeddings.

    Raises:
        RecipeError: The adapter's targets are not in it.
    """
    if adapter is None:
        decoder.requires_grad_(requires_grad=True)
        decoder.get_input_embeddings().requires_grad_(requires_grad=False)
    else:
        decoder.requires_grad_(requires_grad=False)
        _inject(decoder, adapter)


def _decoder(model: TreeModel) -> Any:
    """Untyped: transformers' own methods are not of every module."""
    return model.decoder


def _inject(decoder: Any, adapter: Adapter) -> None:
    count = decoder.config.num_hidden_layers
    if adapter.layers is not None and not set(adapter.layers) <= set(range(count)):
        raise RecipeError(f"adapter.layers {list(adapter.layers)}: the model has layers 0 to {count - 1}")
    try:
        inject_adapter_in_model(adapter.lora(), decoder)
    except ValueError as error:
        raise RecipeError(f"adapter.targets {list(adapter.targets)}: {error}") from error
    # peft gives the adapter the dtype of the weights beside it; in bf16 small updates would round to nothing.
    for parameter in decoder.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _enable_checkpointing(decoder: Any) -> None:
    newer = getattr(decoder, "activation_checkpointing_enable", None)
    (newer or decoder.gradient_checkpointing_enable)({"use_reentrant": False})
