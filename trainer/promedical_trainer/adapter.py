"""The adapter that a recipe may train instead of all weights."""

from dataclasses import dataclass
from typing import Final

_STRICT: Final = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """LoRA (arXiv 2106.09685), by peft. Dropout is 0, since a tree shares tokens between paths."""

    __pydantic_config__ = _STRICT

    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
