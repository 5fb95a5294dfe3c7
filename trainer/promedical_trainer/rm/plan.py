"""What memory a recipe needs, from its architecture alone: the model is built on the meta device, without weights.

An estimate for choosing hardware. Weights, gradients and the optimizer are counted; activations are estimated as
multiples of a layer's widths (Korthikanti et al. 2022, arXiv 2205.05198, section 4, for gated MLPs).
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from rich.table import Table
from transformers import AutoModel, PretrainedConfig

from promedical_trainer.rm.backbone import open_parameters
from promedical_trainer.rm.decoder_config import decoder_config
from promedical_trainer.rm.recipe import Adapter, RmRecipe

GIB: Final = 2**30
_FP32, _BF16 = 4, 2
_MOMENTS: Final = 2
"""AdamW keeps this many fp32 moments for each trained value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Bytes on one device that holds everything; the launch configurations shard weights, gradients and moments.

    Attributes:
        name: The recipe's name.
        parameters: Parameters of the decoder and its head.
        trained: Parameters that are trained.
        weights: Bytes of the weights.
        gradients: Bytes of the gradients.
        optimizer: Bytes of the optimizer's state.
        activations: Bytes of one pass of `tokens_per_pass`, estimated.
        tokens_per_pass: The recipe's bound of a pass.
        host: Bytes in the memory of the process that writes the bundle; others need the weights alone, to load them.
    """

    name: str
    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    tokens_per_pass: int
    host: int

    @property
    def evaluation(self) -> int:
        """Bytes of the weights on one device alone at the end: it loads the bundle as the service does, in fp32."""
        return self.parameters * _FP32

    @property
    def total(self) -> int:
        """Bytes on one device, nothing sharded."""
        return self.sharded(1)

    def sharded(self, devices: int) -> int:
        """Bytes on each of so many devices, with weights, gradients and optimizer in equal parts."""
        return (self.weights + self.gradients + self.optimizer) // devices + self.activations


def memory_plan(recipe: RmRecipe) -> MemoryPlan:
    """Plan a recipe on a GPU.

    Raises:
        RecipeError: The recipe's architecture or its adapter's targets are wrong.
        BundleError: The architecture is not scored exactly, or the base that states it cannot be opened.
    """
    config = decoder_config(recipe)
    frozen, trained = _counts(config, recipe.adapter)
    bf16 = recipe.optimisation.precision == "bf16"
    weights = frozen * (_BF16 if bf16 and recipe.adapter else _FP32) + trained * _FP32
    written = 0 if recipe.adapter else (frozen + trained) * (_BF16 if bf16 else _FP32)
    return MemoryPlan(
        name=recipe.name,
        parameters=frozen + trained,
        trained=trained,
        weights=weights,
        gradients=trained * _FP32,
        optimizer=trained * _MOMENTS * _FP32,
        activations=_activations(config, recipe),
        tokens_per_pass=recipe.optimisation.tokens_per_pass,
        host=weights + written,
    )


def describe(plan: MemoryPlan) -> Table:
    """The plan as a table."""
    table = Table("", "GiB", title=f"{plan.name}: memory on a GPU, planned, not measured")
    table.columns[1].justify = "right"
    table.add_row(f"weights ({plan.parameters / 1e6:,.1f} M, {plan.trained / 1e6:,.1f} M trained)", _gib(plan.weights))
    table.add_row("gradients", _gib(plan.gradients))
    table.add_row("optimizer (AdamW)", _gib(plan.optimizer))
    table.add_row(f"activations of a pass of {plan.tokens_per_pass:,} tokens", _gib(plan.activations), end_section=True)
    table.add_row("on one GPU", _gib(plan.total))
    for devices in (2, 4, 8):
        table.add_row(f"on each of {devices}, sharded", _gib(plan.sharded(devices)))
    table.add_section()
    table.add_row("evaluation at the end, on one of them, in fp32", _gib(plan.evaluation))
    table.add_row("host memory of the process that writes the bundle", _gib(plan.host))
    return table


def _counts(config: PretrainedConfig, adapter: Adapter | None) -> tuple[int, int]:
    """Frozen and trained values."""
    with torch.device("meta"):
        decoder: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
        open_parameters(decoder, adapter)
    sizes = {True: config.hidden_size, False: 0}  # the score head is trained
    for parameter in decoder.parameters():
        sizes[parameter.requires_grad] += parameter.numel()
    return sizes[False], sizes[True]


def _activations(config: PretrainedConfig, recipe: RmRecipe) -> int:
    """Bytes that the backward pass needs; with checkpointing, each layer's input and one layer whole."""
    size = _BF16 if recipe.optimisation.precision == "bf16" else _FP32
    heads = config.num_attention_heads + 2 * config.num_key_value_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layer = 4 * config.hidden_size + 2 * heads * head_dim + 4 * config.intermediate_size
    layers = config.num_hidden_layers
    values = layers * config.hidden_size + layer if recipe.optimisation.checkpointing else layers * layer
    return int(recipe.optimisation.tokens_per_pass * values * size)


def _gib(size: int) -> str:
    return f"{size / GIB:,.2f}"
