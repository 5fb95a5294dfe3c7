"""Which models tree attention scores exactly. A model that is not known to be exact is refused when it is loaded."""

from typing import Any, Final

from promedical_model.bundle.manifest import BundleError

FAMILIES: Final = ("llama", "qwen3")
_EXACT_ROPE: Final = frozenset({"default", "linear", "llama3", "yarn"})


def check_exact(config: dict[str, Any], source: str) -> None:
    """Refuse a model whose paths would not score as independent forward passes do.

    Args:
        config: The model's `config.json`.
        source: The name of the model in messages.

    Raises:
        BundleError: Trees would not score the model exactly; the message says why and what to do.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise BundleError(f"{source}: model_type is {family!r}; the tree engine scores {' and '.join(FAMILIES)}")
    inexact = _rope_types(config) - _EXACT_ROPE
    if inexact:
        raise BundleError(
            f"{source}: rotary embedding of type {min(inexact)!r}: its frequencies depend on the longest position of a "
            f"forward pass, so a tree would change scores; expected one of {', '.join(sorted(_EXACT_ROPE))}"
        )
    if _slides(config):
        raise BundleError(f"{source}: uses a sliding attention window, which a packed tree does not honour")
    if config.get("attention_dropout"):
        raise BundleError(f"{source}: attention_dropout is {config['attention_dropout']}; set it to 0 in config.json")
    if config.get("quantization_config"):
        raise BundleError(f"{source}: quantised weights are not supported; give plain ones, such as bfloat16")


def _rope_types(config: dict[str, Any]) -> set[str]:
    """The types of rotary embedding, from both places; if both are given, transformers prefers `rope_scaling`."""
    return {_rope_type(config[key]) for key in ("rope_parameters", "rope_scaling") if config.get(key)}


def _rope_type(rope: object) -> str:
    if not isinstance(rope, dict) or any(isinstance(value, dict) for value in rope.values()):
        return "unknown"
    return str(rope.get("rope_type") or rope.get("type") or "default")


def _slides(config: dict[str, Any]) -> bool:
    kinds = set(config.get("layer_types") or ())
    return bool(config.get("use_sliding_window")) or bool(kinds - {"full_attention"})
