"""Bundles on disk: what loads, what is refused and with which reason, and what a revision stands for."""

import json
import math
import os
import random
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import (
    FAMILIES,
    Family,
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
from promedical_model.bundle.manifest import BundleError, ClassifierHead, YesNoHead, read_manifest, write_manifest
from promedical_model.calibration import PlattCell
from promedical_model.loading import load_tree_model
from promedical_model.rendering.template import CHATML, LLAMA3
from promedical_model.tree.tree_model import TreeModel

CPU = torch.device("cpu")
TREE = random_tree(5, [(8, [3, 4]), (2, [6])])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundle")


def load(folder: Path) -> TreeModel:
    return load_tree_model(open_bundle(str(folder)), dtype=torch.float32, device=CPU)


def drop_weight(folder: Path, name: str) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights[name]
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("family", FAMILIES)
def test_yes_no_head_equals_causal_logits_yes_minus_no(tmp_path: Path, family: Family) -> None:
    folder = tiny_bundle(tmp_path, family)
    yes, no = (tiny_tokenizer().token_to_id(word) for word in ("Yes", "No"))

    expected = stock_logits(stock_model(folder, family), [TREE], yes, no)

    assert flat(load(folder).score([TREE])) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_classifier_head_equals_the_stock_classifier(tmp_path: Path, family: Family) -> None:
    folder = tiny_bundle(tmp_path, family, "classifier")

    expected = stock_logits(stock_model(folder, family, "classifier"), [TREE], 0, 0)

    assert flat(load(folder).score([TREE])) == pytest.approx(expected, abs=1e-5)


def test_yes_no_head_takes_the_words_of_the_manifest(bundle: Path) -> None:
    usual = flat(load(bundle).score([TREE]))
    edit_json(bundle / "promedical.json", head={"kind": "yes_no", "yes": "No", "no": "Yes"})

    assert flat(load(bundle).score([TREE])) == pytest.approx([-score for score in usual], abs=1e-5)


def test_loaded_models_are_frozen_and_in_eval_mode(bundle: Path) -> None:
    model = load(bundle)

    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_sharded_weights_load_like_one_file(tmp_path: Path) -> None:
    whole = tiny_bundle(tmp_path / "whole")
    shards = tiny_bundle(tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    stock_model(whole, "llama").save_pretrained(shards, max_shard_size="60KB")
    assert len(list(shards.glob("*.safetensors"))) > 1

    assert load(shards).score([TREE]) == load(whole).score([TREE])


def test_sharded_weights_with_a_missing_shard_are_refused(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    model = stock_model(folder, "llama")
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    max(folder.glob("*.safetensors")).unlink()

    with pytest.raises(BundleError, match="weights cannot be loaded"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "type 'dynamic'"),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "type 'longrope'"),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "type 'dynamic'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "type 'dynamic'"),
        ({"rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 2.0}}}, "rotary embedding"),
        ({"rope_parameters": {"rope_type": "something new"}}, "type 'something new'"),
        ({"use_sliding_window": True, "sliding_window": 4}, "sliding"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding"),
        ({"attention_dropout": 0.1}, "attention_dropout is 0.1"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised"),
        ({"model_type": "mistral"}, "model_type is 'mistral'"),
        ({"model_type": "qwen2"}, "model_type is 'qwen2'"),
        ({"model_type": None}, "model_type is None"),
        ({"model_type": "qwen3"}, "family"),
        ({"hidden_size": 64}, "shape"),
        ({"hidden_size": "wide"}, "cannot be loaded"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "cannot be loaded"),
        ({"num_hidden_layers": 3}, "weights are missing, the first is model.layers.2"),
        ({"num_hidden_layers": 1}, "no place for .* model.layers.1"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*rope_parameters.*")
def test_load_refuses_configs_that_would_not_score_exactly(bundle: Path, changes: dict[str, Any], reason: str) -> None:
    edit_json(bundle / "config.json", **changes)

    with pytest.raises(BundleError, match=reason):
        load(bundle)


def test_load_refuses_missing_weights(bundle: Path) -> None:
    drop_weight(bundle, "model.layers.1.mlp.up_proj.weight")

    with pytest.raises(BundleError, match=r"1 weights are missing, the first is model.layers.1.mlp.up_proj.weight"):
        load(bundle)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_load_refuses_truncated_weights(bundle: Path, kept: int) -> None:
    path = bundle / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(BundleError, match="weights cannot be loaded"):
        load(bundle)


def test_load_refuses_a_classifier_with_two_labels(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, kind="classifier", num_labels=2)

    with pytest.raises(BundleError, match=r"score.weight has shape \(2, 32\)"):
        load(folder)


def test_load_refuses_a_classifier_head_on_a_causal_model(bundle: Path) -> None:
    edit_json(bundle / "promedical.json", head={"kind": "classifier"})

    with pytest.raises(BundleError, match=r"the first is score\.weight"):
        load(bundle)


def test_load_refuses_head_words_that_are_not_single_tokens(bundle: Path) -> None:
    edit_json(bundle / "promedical.json", head={"kind": "yes_no", "yes": "Certainly so", "no": "No"})

    with pytest.raises(BundleError, match=r"'Certainly so' is \d tokens"):
        load(bundle)


def test_load_refuses_an_adapter_beside_whole_weights(bundle: Path) -> None:
    (bundle / "adapter_config.json").write_text('{"peft_type": "LORA"}')

    with pytest.raises(BundleError, match="adapter and whole weights"):
        load(bundle)


def test_load_never_runs_code_of_a_bundle(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = tmp_path / "witness"
    code = f"open({str(witness)!r}, 'w').close()\nfrom transformers import LlamaConfig, LlamaForCausalLM\n"
    (bundle / "evil.py").write_text(f"{code}class C(LlamaConfig): ...\nclass M(LlamaForCausalLM): ...\n")
    auto_map = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.M", "evil.M"]}
    edit_json(bundle / "config.json", auto_map=auto_map)
    (bundle / "tokenizer_config.json").write_text(json.dumps({"auto_map": auto_map}))
    monkeypatch.chdir(bundle)

    opened = open_bundle(str(bundle))
    opened.renderer()
    scores = load(bundle).score([TREE])

    assert len(flat(scores)) == 3
    assert not witness.exists()


def test_open_bundle_refuses_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such directory"):
        open_bundle(str(tmp_path / "absent"))


def test_open_bundle_refuses_pickled_weights(bundle: Path) -> None:
    torch.save(load_file(bundle / "model.safetensors"), bundle / "pytorch_model.bin")
    (bundle / "model.safetensors").unlink()

    with pytest.raises(BundleError, match="only safetensors weights are read"):
        open_bundle(str(bundle))


def test_load_refuses_pickled_weights_beside_an_unrelated_safetensors_file(bundle: Path) -> None:
    torch.save(load_file(bundle / "model.safetensors"), bundle / "pytorch_model.bin")
    (bundle / "model.safetensors").rename(bundle / "other.safetensors")

    with pytest.raises(BundleError, match="weights cannot be loaded"):
        load(bundle)


def test_open_bundle_refuses_a_bundle_without_tokenizer(bundle: Path) -> None:
    (bundle / "tokenizer.json").unlink()

    with pytest.raises(BundleError, match=r"holds no tokenizer.json"):
        open_bundle(str(bundle))


@pytest.mark.parametrize("manifest", [True, False])
def test_bundle_refuses_a_file_that_is_not_a_tokenizer(tmp_path: Path, manifest: bool) -> None:  # noqa: FBT001
    folder = tiny_bundle(tmp_path, manifest=manifest)
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(BundleError, match="is not a tokenizer file"):
        open_bundle(str(folder)).renderer()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format_version": 2}, "format_version"),
        ({"surprise": 1}, "surprise"),
        ({"family": "mistral"}, "family"),
        ({"status": "splendid"}, "status"),
        ({"name": None}, "name"),
        ({"max_path_tokens": 0}, "max_path_tokens"),
        ({"head": {"kind": "bilinear"}}, "head"),
        ({"head": {"kind": "yes_no", "yess": "Yes"}}, "head"),
        ({"head": {"kind": "tensor"}}, "head"),
        ({"head": {"kind": "tensor", "file": "../head.safetensors"}}, r"\.\./head.safetensors"),
        ({"head": {"kind": "tensor", "file": "deep/head.safetensors"}}, "deep/head.safetensors"),
        ({"head": {"kind": "tensor", "file": "head.bin"}}, r"head.bin"),
        ({"base": "default"}, "base_revision"),
        ({"calibration": {"saftey": {}}}, "saftey"),
        ({"calibration": {"global": {"scale": -1.0}}}, "scale"),
        ({"calibration": {"global": {"slope": 2.0}}}, "slope"),
        ({"template": {"name": "x", "begin": "", "turn": "", "between": "", "response": "", "criterion": ""}}, "role"),
    ],
)
def test_read_manifest_refuses_what_it_does_not_know(bundle: Path, changes: dict[str, Any], reason: str) -> None:
    edit_json(bundle / "promedical.json", **changes)

    with pytest.raises(BundleError, match=rf"promedical.json: .*{reason}"):
        open_bundle(str(bundle))


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"name": '])
def test_read_manifest_refuses_what_is_not_an_object(bundle: Path, content: bytes) -> None:
    (bundle / "promedical.json").write_bytes(content)

    with pytest.raises(BundleError, match=r"promedical.json"):
        read_manifest(bundle)


def test_manifest_survives_writing_and_reading(tmp_path: Path) -> None:
    manifest = tiny_manifest(
        base="default",
        base_revision="0" * 64,
        calibration={"global": PlattCell(scale=2.0), "safety/negative": PlattCell(offset=-1.5, threshold=0.25)},
    )
    write_manifest(tmp_path, manifest)

    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize(
    ("template", "node"),
    [("turn", "<|im_start|>{role}\n{content}<|im_end|>\n"), ("response", "<|im_start|>assistant\n{response}")],
)
def test_renderer_refuses_nodes_that_do_not_end_with_a_special_token(bundle: Path, template: str, node: str) -> None:
    manifest = json.loads((bundle / "promedical.json").read_text())
    edit_json(bundle / "promedical.json", template=manifest["template"] | {template: node})

    with pytest.raises(BundleError, match="must end with a special token"):
        open_bundle(str(bundle)).renderer()


def test_renderer_refuses_a_template_of_other_special_tokens(bundle: Path) -> None:
    tiny_tokenizer("llama3").save(str(bundle / "tokenizer.json"))

    with pytest.raises(BundleError, match=r"special tokens that this tokenizer lacks, in .*<\|im_start\|>"):
        open_bundle(str(bundle)).renderer()


def test_plain_directory_is_a_zero_shot_judge(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "plain", "qwen3", manifest=False)
    with_manifest = tiny_bundle(tmp_path / "manifest", "qwen3")

    manifest = open_bundle(str(folder)).manifest

    assert (manifest.name, manifest.family, manifest.status) == ("plain", "qwen3", "untrained")
    assert (manifest.head, manifest.template, manifest.max_path_tokens) == (YesNoHead(), CHATML, 4096)
    assert load(folder).score([TREE]) == load(with_manifest).score([TREE])


def test_plain_directory_of_a_classifier_takes_its_head_and_the_markup_of_its_tokenizer(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, "llama", "classifier", markup="llama3", manifest=False)

    manifest = open_bundle(str(folder)).manifest

    assert (manifest.head, manifest.template) == (ClassifierHead(), LLAMA3)


def test_plain_directory_without_known_markup_is_refused(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, manifest=False)
    text = (folder / "tokenizer.json").read_text().replace("<|im_start|>", "<|something|>")
    (folder / "tokenizer.json").write_text(text)

    with pytest.raises(BundleError, match="special tokens of none of"):
        open_bundle(str(folder))


def test_plain_directory_of_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, manifest=False)
    edit_json(folder / "config.json", architectures=["LlamaForTokenClassification"])

    with pytest.raises(BundleError, match="LlamaForTokenClassification"):
        open_bundle(str(folder))


@pytest.fixture
def offline_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache and no network; huggingface_hub reads the environment only when it is imported."""
    cache = tmp_path / "hub"
    for name, value in (("HF_HUB_OFFLINE", "1"), ("HF_HUB_CACHE", str(cache))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_open_bundle_refuses_an_unknown_hub_id_offline(offline_hub: Path) -> None:
    with pytest.raises(BundleError, match=r"model org/absent: .*hub did not give it"):
        open_bundle("org/absent")


def test_open_bundle_asks_no_hub_where_that_is_forbidden(offline_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("PROMEDICAL_OFFLINE", "1")
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(0)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        with pytest.raises(BundleError, match="PROMEDICAL_OFFLINE"):
            open_bundle("org/absent")
        with pytest.raises(BlockingIOError):
            hub.accept()


@pytest.mark.parametrize("bad", ["org/name/more", "../..//x", "org/na me", ""])
def test_open_bundle_refuses_what_is_neither_directory_nor_hub_id(offline_hub: Path, bad: str) -> None:
    with pytest.raises(BundleError, match="no such directory"):
        open_bundle(bad or "no-slash")


def test_open_bundle_finds_a_hub_id_in_the_hub_cache(offline_hub: Path, tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source")
    commits = {"main": "a" * 40, "v2": "b" * 40}
    repo = offline_hub / "models--org--tiny"
    for ref, commit in commits.items():
        (repo / "refs").mkdir(parents=True, exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
        shutil.copytree(source, repo / "snapshots" / commit)
    edit_json(repo / "snapshots" / commits["v2"] / "promedical.json", name="second")

    first, second = open_bundle("org/tiny"), open_bundle("org/tiny", revision="v2")

    assert (first.manifest.name, second.manifest.name) == ("tiny-llama", "second")
    assert first.revision == open_bundle(str(source)).revision != second.revision
    assert open_bundle("org/tiny", revision=commits["v2"]).revision == second.revision


def test_revision_is_that_of_the_content_anywhere(bundle: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(bundle, tmp_path / "elsewhere" / "renamed")
    (elsewhere / "notes.md").write_text("not part of the model")

    assert open_bundle(str(elsewhere)).revision == open_bundle(str(bundle)).revision


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "promedical.json", "config.json"])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_revision_changes_with_any_byte(bundle: Path, name: str, where: float) -> None:
    opened = open_bundle(str(bundle))
    before = opened.revision
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    path.write_bytes(content)

    assert type(opened)(bundle, opened.manifest).revision != before


def test_revision_changes_with_a_swap_of_two_files(bundle: Path) -> None:
    opened = open_bundle(str(bundle))
    before = opened.revision
    config, manifest = bundle / "config.json", bundle / "promedical.json"
    swapped = config.read_bytes(), manifest.read_bytes()
    manifest.write_bytes(swapped[0])
    config.write_bytes(swapped[1])

    assert type(opened)(bundle, opened.manifest).revision != before


# Damage of any kind


_NONSENSE = [None, True, -1, 0, 1e308, "", "x", [], {}, [[]], {"a": 1}, 2**70, math.nan, ["x"]]


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if key not in {"vocab", "merges"}:  # long, and all alike
            yield from _nodes(child, (*path, key))


def _damage(path: Path, choice: random.Random) -> None:
    """Flip bytes of a file, or put nonsense in the place of one of its values."""
    content = bytearray(path.read_bytes())
    if path.suffix == ".safetensors" or choice.random() < 0.15:
        for _ in range(choice.randint(1, 4)):
            content[choice.randrange(min(len(content), 4000))] = choice.randrange(256)
        path.write_bytes(content)
        return
    whole = json.loads(content)
    *parents, last = choice.choice([node for node in _nodes(whole) if node])
    parent = whole
    for key in parents:
        parent = parent[key]
    parent[last] = choice.choice(_NONSENSE)
    path.write_text(json.dumps(whole))


def test_a_damaged_bundle_loads_or_is_refused_as_such_whatever_the_damage(bundle: Path, tmp_path: Path) -> None:
    """Nothing but a BundleError may leave: everything else would read as a bug of the service."""
    choice, refused = random.Random(20261124), []
    files = ["config.json", "config.json", "promedical.json", "tokenizer.json", "model.safetensors"]
    for number in range(150):
        damaged = shutil.copytree(bundle, tmp_path / f"damaged-{number}")
        _damage(damaged / choice.choice(files), choice)
        if number % 4 == 0:
            (damaged / "promedical.json").unlink()
        try:
            load(damaged)
            open_bundle(str(damaged)).renderer()
        except BundleError as error:
            refused.append(str(damaged) in f"{error}")
    assert 75 < len(refused) < 150
    assert all(refused), "every refusal says where"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_attention_heads": 0}, "weights cannot be loaded: ZeroDivisionError"),
        ({"dtype": "x"}, "weights cannot be loaded: AttributeError"),
        ({"max_position_embeddings": "x"}, "max_position_embeddings is 'x'; expected a whole number above 0"),
        ({"max_position_embeddings": 0}, "max_position_embeddings is 0; expected"),
        ({"architectures": [[]]}, "expected ...ForCausalLM"),
        ({"architectures": "LlamaModel"}, "architectures is 'LlamaModel'; expected ...ForCausalLM"),
    ],
)
def test_plain_directory_whose_config_makes_no_sense_is_refused(
    bundle: Path, changes: dict[str, Any], reason: str
) -> None:
    (bundle / "promedical.json").unlink()
    edit_json(bundle / "config.json", **changes)

    with pytest.raises(BundleError, match=reason):
        load(bundle)


def test_manifest_that_cannot_be_written_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    before = read_manifest(folder)
    (folder / f".promedical.json.{os.getpid()}.draft").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_manifest(folder, replace(before, name="another"))

    assert read_manifest(folder) == before
