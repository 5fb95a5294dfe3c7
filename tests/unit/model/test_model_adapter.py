"""LoRA adapters on a base bundle, and score heads kept as a tensor of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from models import (
    edit_json,
    flat,
    random_tree,
    stock_logits,
    stock_model,
    tiny_bundle,
    tiny_manifest,
    tiny_tokenizer,
)
from promedical_model.bundle.bundle import open_bundle
from promedical_model.bundle.manifest import BundleError, TensorHead, write_manifest
from promedical_model.loading import load_tree_model
from promedical_model.tree.tree_model import TreeModel

# peft 0.21 asks transformers 5.23 by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

CPU = torch.device("cpu")
TREE = random_tree(5, [(8, [3, 4]), (2, [6])])
YES, NO = (tiny_tokenizer().token_to_id(word) for word in ("Yes", "No"))
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    return make_adapter(tmp_path / "adapter", base, task_type="CAUSAL_LM")


def make_adapter(folder: Path, base: Path, *, bare: bool = False, **options: Any) -> Path:
    """An adapter bundle with random A and B on all linear layers; `bare` saves it for the decoder alone."""
    model = stock_model(base, "llama")
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False, **options)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        get_peft_model(model.model if bare else model, config).save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    write_manifest(folder, tiny_manifest(base=f"../{base.name}", base_revision=open_bundle(str(base)).revision))
    return folder


def load(folder: Path, dtype: torch.dtype = torch.float32) -> TreeModel:
    return load_tree_model(open_bundle(str(folder)), dtype=dtype, device=CPU)


def merged_by_hand(base: Path, adapter: Path) -> list[float]:
    """The stock model with W + alpha / r * B A in place of every adapted W."""
    model, lora = stock_model(base, "llama"), load_file(adapter / WEIGHTS)
    for name, weight in model.named_parameters():
        key = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        if f"{key}A.weight" in lora:
            weight.data += 8 / 4 * lora[f"{key}B.weight"] @ lora[f"{key}A.weight"]
    return stock_logits(model, [TREE], YES, NO)


def test_adapter_equals_the_base_merged_by_hand(base: Path, adapter: Path) -> None:
    scores = flat(load(adapter).score([TREE]))

    assert scores == pytest.approx(merged_by_hand(base, adapter), abs=1e-5)
    assert scores != pytest.approx(flat(load(base).score([TREE])), abs=1e-2)


def test_adapter_of_a_classification_task_scores_through_a_tensor_head(tmp_path: Path, base: Path) -> None:
    folder = make_adapter(tmp_path / "adapter", base, task_type="FEATURE_EXTRACTION")
    rows = stock_model(base, "llama").lm_head.weight.detach()
    save_file({"head": rows[YES] - rows[NO]}, folder / "head.safetensors")
    head = TensorHead(file="head.safetensors")
    write_manifest(folder, tiny_manifest(head=head, base="../base", base_revision=open_bundle(str(base)).revision))

    assert flat(load(folder).score([TREE])) == pytest.approx(merged_by_hand(base, folder), abs=1e-5)


def test_adapter_scores_in_bfloat16_are_those_of_the_fp32_merge_rounded_once(base: Path, adapter: Path) -> None:
    exact, rounded = load(adapter), load(adapter, torch.bfloat16)

    for (name, weight), merged in zip(rounded.decoder.named_parameters(), exact.decoder.parameters(), strict=True):
        assert torch.equal(weight, merged.to(torch.bfloat16)), name
    assert rounded.decoder.rotary_emb.inv_freq.dtype == torch.float32


def test_adapter_of_another_base_revision_is_refused(base: Path, adapter: Path) -> None:
    edit_json(base / "config.json", note="changed")

    with pytest.raises(BundleError, match="its adapter was made for base"):
        load(adapter)


def test_adapter_revision_changes_with_its_weights(adapter: Path) -> None:
    before = open_bundle(str(adapter)).revision
    weights = load_file(adapter / WEIGHTS)
    next(iter(weights.values()))[0, 0] += 1
    save_file(weights, adapter / WEIGHTS, metadata={"format": "pt"})

    assert open_bundle(str(adapter)).revision != before


def test_adapter_whose_base_is_absent_is_refused(adapter: Path) -> None:
    edit_json(adapter / "promedical.json", base="../nowhere")

    with pytest.raises(BundleError, match="no such directory"):
        load(adapter)


def test_adapter_on_an_adapter_is_refused(tmp_path: Path, adapter: Path) -> None:
    second = make_adapter(tmp_path / "second", tmp_path / "base", task_type="CAUSAL_LM")
    edit_json(second / "promedical.json", base="../adapter", base_revision=open_bundle(str(adapter)).revision)

    with pytest.raises(BundleError, match=r"adapter.config.json: cannot be read"):
        load(second)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
@pytest.mark.filterwarnings("ignore:.*unexpected keys")
def test_adapter_with_a_missing_weight_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    del weights["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"]
    save_file(weights, adapter / WEIGHTS, metadata={"format": "pt"})

    with pytest.raises(BundleError, match=r"does not fit its base in 1 weights.*layers.1.mlp.up_proj.lora_B"):
        load(adapter)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_adapter_saved_for_another_wrapper_is_refused_instead_of_ignored(tmp_path: Path, base: Path) -> None:
    """peft only warns when no key fits, and then scores with the base alone."""
    folder = make_adapter(tmp_path / "adapter", base, bare=True)

    with pytest.raises(BundleError, match="does not fit its base"):
        load(folder)


def test_adapter_with_pickled_weights_is_refused(adapter: Path) -> None:
    torch.save(load_file(adapter / WEIGHTS), adapter / "adapter_model.bin")
    (adapter / WEIGHTS).rename(adapter / "head.safetensors")

    with pytest.raises(BundleError, match=r"holds no adapter_model.safetensors"):
        load(adapter)


@pytest.mark.parametrize("damage", ["truncated", "no config", "other method"])
def test_adapter_that_is_damaged_is_refused(adapter: Path, damage: str) -> None:
    if damage == "truncated":
        (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-10])
    elif damage == "no config":
        (adapter / "adapter_config.json").unlink()
    else:
        edit_json(adapter / "adapter_config.json", peft_type="TELEPATHY")

    with pytest.raises(BundleError, match="adapter cannot be loaded"):
        load(adapter)


@pytest.mark.parametrize("named", ["head", "brow"])
def test_tensor_head_is_the_vector_of_its_file(tmp_path: Path, named: str) -> None:
    folder = tiny_bundle(tmp_path)
    vector = torch.linspace(-1, 1, 32)
    save_file({named: vector}, folder / "head.safetensors")
    write_manifest(folder, tiny_manifest(head=TensorHead(file="head.safetensors")))
    if named != "head":
        with pytest.raises(BundleError, match='holds no tensor called "head"'):
            load(folder)
        return
    decoder = stock_model(folder, "llama").model
    with torch.inference_mode():
        expected = [decoder(torch.tensor([path])).last_hidden_state[0, -1] @ vector for path in TREE.paths()]

    assert flat(load(folder).score([TREE])) == pytest.approx([x.item() for x in expected], abs=1e-5)


@pytest.mark.parametrize(
    ("size", "reason"), [(31, r"shape \(31,\), expected \(32,\)"), (0, "cannot be read")], ids=["short", "absent"]
)
def test_tensor_head_that_does_not_fit_is_refused(tmp_path: Path, size: int, reason: str) -> None:
    folder = tiny_bundle(tmp_path)
    write_manifest(folder, tiny_manifest(head=TensorHead(file="head.safetensors")))
    if size:
        save_file({"head": torch.ones(size)}, folder / "head.safetensors")

    with pytest.raises(BundleError, match=reason):
        load(folder)


def test_tensor_head_is_part_of_the_revision(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    write_manifest(folder, tiny_manifest(head=TensorHead(file="head.safetensors")))
    revisions = []
    for value in (1.0, 2.0):
        save_file({"head": torch.full((32,), value)}, folder / "head.safetensors")
        revisions.append(open_bundle(str(folder)).revision)

    assert revisions[0] != revisions[1]
    assert json.loads((folder / "promedical.json").read_text())["head"]["file"] == "head.safetensors"
