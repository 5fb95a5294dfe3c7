"""Tiny random models on disk, and what scoring means without this project's code: one stock forward per path.

Weights mean nothing but are large enough that attention, positions and every token matter to a score.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

from promedical_model.bundle.manifest import ClassifierHead, Manifest, YesNoHead, write_manifest
from promedical_model.rendering.template import CHATML, LLAMA3
from promedical_model.tree.token_tree import Branch, TokenTree

Family = Literal["llama", "qwen3"]
Kind = Literal["causal", "classifier"]
Markup = Literal["chatml", "llama3"]
Rope = Literal["default", "linear", "llama3", "yarn"]

FAMILIES: tuple[Family, ...] = ("llama", "qwen3")
ROPES: tuple[Rope, ...] = ("default", "linear", "llama3", "yarn")
VOCABULARY = 640
LIMIT = 4096
"""Positions of the tiny models."""

SPECIAL: dict[Markup, tuple[str, ...]] = {
    "chatml": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "llama3": ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
}
TEMPLATES = {"chatml": CHATML, "llama3": LLAMA3}
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ROPES: dict[Rope, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 2.0},
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 64},
}
_MODELS: dict[tuple[Family, Kind], type[PreTrainedModel]] = {
    ("llama", "causal"): LlamaForCausalLM,
    ("llama", "classifier"): LlamaForSequenceClassification,
    ("qwen3", "causal"): Qwen3ForCausalLM,
    ("qwen3", "classifier"): Qwen3ForSequenceClassification,
}


@cache
def tiny_tokenizer(markup: Markup = "chatml") -> Tokenizer:
    """A byte-level BPE tokenizer with the control tokens of a markup; "Yes" and "No" are single tokens."""
    tokenizer = Tokenizer(models.BPE())
    if markup == "chatml":  # as SmolLM2: digits one by one
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    else:  # as Llama 3, with its trimmed offsets
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_LLAMA3_SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL[markup]],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    assert all(len(tokenizer.encode(word).ids) == 1 for word in ("Yes", "No"))
    return tokenizer


def _corpus() -> Iterator[str]:
    for _ in range(8):
        yield "Yes\n\nNo\n\nYes\n\nNo user\n assistant\n system\n\n"
        yield "Does the answer meet this criterion as it is worded? Reply with Yes or No. Criterion: States the dose."
        yield "Take 500 mg of paracetamol every 6 hours; see a doctor if the fever does not go down within 3 days."
        yield "I have had a headache since yesterday. What should I do? You should rest, drink water and wait."


def tiny_config(family: Family, rope: Rope = "default", **changes: Any) -> LlamaConfig | Qwen3Config:
    """A decoder with two layers of width 32, grouped-query attention, and the given rotary embedding."""
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": LIMIT,
        "rope_parameters": {"rope_type": rope, "rope_theta": 10000.0, **_ROPES[rope]},
        "initializer_range": 0.15,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": family == "qwen3",
        "attention_bias": family == "llama",
    }
    config = LlamaConfig if family == "llama" else Qwen3Config
    return config(**(values | changes))


def tiny_model(
    family: Family, kind: Kind = "causal", rope: Rope = "default", *, seed: int = 0, **changes: Any
) -> PreTrainedModel:
    """A random model, the same for the same arguments."""
    labels = {"num_labels": 1} if kind == "classifier" else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _MODELS[family, kind](tiny_config(family, rope, **(labels | changes)))
        for parameter in model.parameters():
            if parameter.dim() == 1:  # norms and biases start as constants; a trained model's are not
                torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    return model.eval()


def tiny_manifest(
    family: Family = "llama", kind: Kind = "causal", markup: Markup = "chatml", **changes: Any
) -> Manifest:
    """A manifest that fits a tiny bundle."""
    values: dict[str, Any] = {
        "name": f"tiny-{family}",
        "family": family,
        "status": "untrained",
        "licence": "none",
        "description": "Random weights",
        "template": TEMPLATES[markup],
        "head": YesNoHead() if kind == "causal" else ClassifierHead(),
        "max_path_tokens": LIMIT,
    }
    return Manifest(**(values | changes))


def tiny_bundle(
    folder: Path,
    family: Family = "llama",
    kind: Kind = "causal",
    *,
    rope: Rope = "default",
    markup: Markup = "chatml",
    manifest: bool = True,
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Save a tiny random model as a bundle; `changes` go to its config. Returns `folder`."""
    tiny_model(family, kind, rope, seed=seed, **changes).save_pretrained(folder)
    tiny_tokenizer(markup).save(str(folder / "tokenizer.json"))
    if manifest:
        write_manifest(folder, tiny_manifest(family, kind, markup))
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON object on disk; None removes a key."""
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in values.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def stock_model(folder: Path, family: Family, kind: Kind = "causal", **options: Any) -> PreTrainedModel:
    """The bundle's model through transformers alone, with its own attention."""
    options = {"dtype": torch.float32, "attn_implementation": "sdpa"} | options
    return _MODELS[family, kind].from_pretrained(folder, **options).eval()


@torch.inference_mode()
def stock_logits(model: PreTrainedModel, trees: Sequence[TokenTree], yes: int, no: int) -> list[float]:
    """One forward per path: the logit of Yes minus that of No after the last token, or the classifier's."""
    found = []
    for tree in trees:
        for path in tree.paths():
            logits = model(torch.tensor([path]), use_cache=False).logits
            found.append(float(logits[0, -1, yes] - logits[0, -1, no] if logits.dim() == 3 else logits[0, 0]))
    return found


def flat(scores: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    """Scores by tree, branch and leaf as one list, depth first."""
    return [score for tree in scores for branch in tree for score in branch]


def random_tree(prompt: int, branches: Sequence[tuple[int, Sequence[int]]], seed: int = 0) -> TokenTree:
    """A tree with nodes of the given lengths: of the prompt, of each response and of its leaves."""
    source = torch.Generator().manual_seed(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, VOCABULARY, (count,), generator=source).tolist())

    return TokenTree(
        prompt=ids(prompt),
        branches=tuple(
            Branch(response=ids(response), leaves=tuple(ids(leaf) for leaf in leaves)) for response, leaves in branches
        ),
    )
