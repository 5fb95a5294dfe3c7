"""The policy at the start: its tokenizer with a chat template, and the tiny policy that tests train."""

import shutil
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from promedical_trainer.grpo.recipe import SWITCH, Generation
from promedical_trainer.runs.recipe_files import RecipeError

_BEGIN, _END = "<|im_start|>", "<|im_end|>"
_CHATML: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def read_tokenizer(policy: str) -> PreTrainedTokenizerBase:
    """The policy's tokenizer; one with ChatML tokens and without a template of its own gets ChatML's.

    Args:
        policy: A folder, or a hub id.

    Raises:
        RecipeError: The policy has no tokenizer, or its tokenizer has no chat template.
    """
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(policy, padding_side="left", trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"policy {policy}: has no tokenizer that can be read; give the folder of a causal language model, or its "
            "id where the hub can be reached (--set policy=FOLDER)"
        ) from error
    if tokenizer.chat_template is None:
        if not {_BEGIN, _END} <= tokenizer.get_vocab().keys():
            raise RecipeError(f"policy {policy}: has no chat template; give a model that was tuned to answer")
        tokenizer.chat_template = _CHATML
        tokenizer.eos_token = _END
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    read: PreTrainedTokenizerBase = tokenizer
    return read


def check_switch(tokenizer: PreTrainedTokenizerBase, generation: Generation) -> None:
    """Check that the chat template knows what it is told.

    Raises:
        RecipeError: It has no switch for thinking, but the recipe sets it.
    """
    if generation.thinking is not None and SWITCH not in str(tokenizer.chat_template):
        raise RecipeError(
            f"generation.thinking is {str(generation.thinking).lower()}, but the policy's chat template has no switch "
            f"{SWITCH}; leave it out (--set generation.thinking=null)"
        )


def make_tiny_policy(folder: Path, *, seed: int = 0) -> None:
    """Write a causal language model of random weights with one token a byte; a folder that exists stays."""
    if folder.is_dir():
        return
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(_tiny(tokenizer))  # type: ignore[no-untyped-call]
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    scratch.rename(folder)


def _tiny(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the tiny policy, which its folder will hold."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = {piece: index for index, piece in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=pieces, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in (_BEGIN, _END)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token=_END, pad_token=_END, chat_template=_CHATML, padding_side="left"
    )
