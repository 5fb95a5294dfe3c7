"""A tiny base of a given architecture: random weights, a byte tokenizer with the family's control tokens.

It shows that a recipe runs from data to a served bundle where its real base is not available. It knows no language.
"""

import re
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PretrainedConfig

from promedical_model.bundle.bundle import TOKENIZER_FILE
from promedical_model.bundle.generation_files import write_generation_files
from promedical_model.rendering.template import CHATML, LLAMA3, Template

_WORDS: Final = ("Yes", "No")
_TEMPLATES: Final[dict[str, Template]] = {"qwen3": CHATML, "llama": LLAMA3}
_SPECIAL: Final = re.compile(r"<\|\w+\|>")
_HEADS, _HEAD_SIZE, _LAYERS, _WIDTH = 4, 16, 2, 64
_SPREAD: Final = 0.15
"""The spread of the weights: large enough that every token matters to a score."""


def make_tiny_base(folder: Path, config: PretrainedConfig, *, seed: int = 0) -> None:
    """Write the tiny model, whole or not at all; a folder that exists stays.

    Args:
        folder: The folder to write.
        config: The real model's configuration; what makes it large is replaced, the rest stays.
        seed: The seed of the weights.
    """
    if folder.is_dir():
        return
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    template = _TEMPLATES[config.model_type]
    tokenizer = _byte_tokenizer(template)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        small = _tiny_config(config, tokenizer.get_vocab_size(), end=tokenizer.token_to_id(_end_of(template)))
        model: Any = AutoModelForCausalLM.from_config(small)  # type: ignore[no-untyped-call]
    model.save_pretrained(scratch)
    tokenizer.save(str(scratch / TOKENIZER_FILE))
    write_generation_files(scratch, template)
    scratch.rename(folder)


def _end_of(template: Template) -> str:
    """The token that ends a turn, and so an answer."""
    *_, end = _SPECIAL.finditer(template.turn)
    return end.group()


def _tiny_config(config: PretrainedConfig, vocabulary: int, *, end: int | None) -> PretrainedConfig:
    """The architecture with small sizes; the number of query heads for each key head stays as far as it can."""
    groups = min(config.num_attention_heads // config.num_key_value_heads, _HEADS)
    small: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS // groups,
        "head_dim": _HEAD_SIZE,
        "initializer_range": _SPREAD,
        "layer_types": None,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    return type(config)(**(config.to_dict() | small))


def _byte_tokenizer(template: Template) -> Tokenizer:
    """One token a byte, but for the template's control tokens and the two words of the head."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(word[:end], word[end]) for word in _WORDS for end in range(1, len(word))]
    pieces = [*alphabet, *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = template.begin + template.turn + template.response + template.criterion
    control = dict.fromkeys(_SPECIAL.findall(text))
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in control])
    return tokenizer
