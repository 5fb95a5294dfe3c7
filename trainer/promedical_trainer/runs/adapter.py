"""The adapter that a recipe may train instead of all weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from peft import LoraConfig

_STRICT: Final = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """LoRA (arXiv 2106.09685), by peft. Dropout is 0, since a tree shares tokens between paths.

    Attributes:
        rank: The rank of the update.
        alpha: The update is scaled by alpha over rank.
        targets: The linear layers that get an adapter, by name.
        layers: Numbers of the layers that get an adapter; None: all. The backward pass ends at the lowest of them.
    """

    __pydantic_config__ = _STRICT

    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    layers: tuple[int, ...] | None = None

    def lora(self, **others: Any) -> "LoraConfig":
        """The adapter as peft's configuration."""
        from peft import LoraConfig  # noqa: PLC0415 - recipes are read before torch is loaded

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            target_modules=list(self.targets),
            lora_dropout=0.0,
            layers_to_transform=None if self.layers is None else list(self.layers),
            layers_pattern=None if self.layers is None else "layers",
            **others,
        )
