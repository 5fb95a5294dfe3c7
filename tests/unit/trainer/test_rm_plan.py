"""The memory plan counts the real architectures on the meta device; a tiny copy keeps what is not size."""

import pytest
from rich.console import Console
from transformers import AutoConfig

from promedical_model.bundle.bundle import open_bundle
from promedical_model.bundle.manifest import BundleError
from promedical_model.rendering.template import CHATML, CHATML_SHORT, LLAMA3
from promedical_trainer.rm.decoder_config import decoder_config
from promedical_trainer.rm.plan import describe, memory_plan
from promedical_trainer.rm.recipe import RecipeError, load_rm_recipe
from promedical_trainer.rm.tiny_base import make_tiny_base

GIB = 2**30
PUBLISHED = {"rm-qwen3-8b": 8_190_735_360, "rm-llama3-8b": 8_030_261_248}
"""Parameters as the publishers' weights hold them, with the output layer, which a score head replaces."""


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_plan_counts_the_published_parameters(name):
    recipe = load_rm_recipe(name)
    config = decoder_config(recipe)
    plan = memory_plan(recipe)

    assert plan.parameters == PUBLISHED[name] - config.vocab_size * config.hidden_size + config.hidden_size
    assert plan.parameters - plan.trained == config.vocab_size * config.hidden_size  # the embeddings


def test_plan_of_all_weights_holds_sixteen_bytes_for_each_trained_value():
    plan = memory_plan(load_rm_recipe("rm-qwen3-8b"))
    embeddings = 4 * (plan.parameters - plan.trained)
    assert plan.total == 16 * plan.trained + embeddings + plan.activations
    assert plan.sharded(8) == (plan.total - plan.activations) // 8 + plan.activations


def test_plan_of_an_adapter_is_a_fraction_of_that_of_all_weights():
    whole = memory_plan(load_rm_recipe("rm-qwen3-8b"))
    adapter = memory_plan(load_rm_recipe("rm-qwen3-8b", ["adapter={rank: 16, alpha: 32}"]))
    assert adapter.trained == 36 * 16 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 12288)) + 4096
    assert adapter.weights < whole.weights / 1.8
    assert adapter.optimizer < 1 * GIB < whole.optimizer


def test_plan_with_checkpointing_needs_less_for_activations():
    keeping = memory_plan(load_rm_recipe("rm-qwen3-8b", ["optimisation.checkpointing=false"]))
    assert memory_plan(load_rm_recipe("rm-qwen3-8b")).activations < keeping.activations / 10


def test_plan_is_described_with_its_total():
    plan = memory_plan(load_rm_recipe("rm-tiny"))
    console = Console(width=80)
    with console.capture() as captured:
        console.print(describe(plan))
    assert f"{plan.total / GIB:,.2f}" in captured.get()


def test_plan_counts_what_comes_after_the_training():
    plan = memory_plan(load_rm_recipe("rm-smollm2-135m"))  # of which training holds bf16
    assert plan.evaluation > 1.9 * plan.weights
    assert plan.host == plan.weights
    whole = memory_plan(load_rm_recipe("rm-qwen3-8b"))
    assert whole.host == 6 * whole.parameters  # what was trained in fp32, and what is written in bf16
    console = Console(width=80)
    with console.capture() as captured:
        console.print(describe(plan))
    rows = {name.strip(): value.strip() for _, name, value, _ in (row.split("│") for row in rows_of(captured.get()))}
    assert rows["evaluation at the end, on one of them, in fp32"] == f"{plan.evaluation / GIB:,.2f}"
    assert rows["host memory of the process that writes the bundle"] == f"{plan.host / GIB:,.2f}"


def rows_of(table):
    return [line for line in table.splitlines() if line.startswith("│")]


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("architecture={model_type: llamas}", BundleError, "model_type is 'llamas'"),
        ("architecture={model_type: llama, hidden_size: many}", RecipeError, "architecture"),
        ("architecture={model_type: qwen3, use_sliding_window: true}", BundleError, "sliding"),
        ("architecture=", RecipeError, "needs an architecture in the recipe"),
        ("adapter={targets: [nowhere]}", RecipeError, "nowhere"),
    ],
)
def test_plan_of_a_wrong_architecture_is_refused(override, error, said):
    with pytest.raises(error, match=said):
        memory_plan(load_rm_recipe("rm-tiny", [override]))


@pytest.mark.parametrize(("name", "template"), [("rm-qwen3-8b", CHATML), ("rm-llama3-8b", LLAMA3)])
def test_tiny_base_is_a_bundle_of_the_same_architecture(tmp_path, name, template):
    config = decoder_config(load_rm_recipe(name))
    make_tiny_base(tmp_path / "base", config)
    bundle = open_bundle(str(tmp_path / "base"))
    small = AutoConfig.for_model(**bundle.config)

    assert bundle.manifest.template == template
    assert bundle.manifest.head.kind == "yes_no"
    assert small.hidden_size < 100 < config.hidden_size
    for kept in ("model_type", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "max_position_embeddings"):
        assert getattr(small, kept) == getattr(config, kept), kept
    assert small.num_attention_heads // small.num_key_value_heads == 4 == config.num_attention_heads // 8


def test_base_can_be_asked_by_another_template(tmp_path):
    make_tiny_base(tmp_path / "base", decoder_config(load_rm_recipe("rm-tiny")))
    base = open_bundle(str(tmp_path / "base"))
    short = base.asked_by("chatml-criterion@2")
    assert short.manifest.template is CHATML_SHORT
    assert (short.folder, short.revision) == (base.folder, base.revision)
    with pytest.raises(BundleError, match=r"template chatml: no such template; expected one of chatml-criterion@1, "):
        base.asked_by("chatml")


def test_tiny_base_is_the_same_each_time_and_kept_if_it_is_there(tmp_path):
    config = decoder_config(load_rm_recipe("rm-tiny"))
    for name in ("first", "second"):
        make_tiny_base(tmp_path / name, config)
    first, second = (open_bundle(str(tmp_path / name)).revision for name in ("first", "second"))
    assert first == second
    make_tiny_base(tmp_path / "first", config, seed=1)
    assert open_bundle(str(tmp_path / "first")).revision == first
