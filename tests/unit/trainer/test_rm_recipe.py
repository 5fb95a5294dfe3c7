"""Recipes: the built-in ones say what they should, settings can be changed by name, and mistakes are named."""

import re
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

import promedical_trainer
from promedical_trainer.rm.recipe import RM_RECIPES, RecipeError, built_in_recipes, dump_rm_recipe, load_rm_recipe

LAUNCH = Path(promedical_trainer.__file__).parent / "launch"


def test_built_in_recipes_are_those_of_the_documentation():
    assert built_in_recipes() == ["rm-llama3-8b", "rm-qwen3-8b", "rm-smollm2-135m", "rm-smollm2-135m-v2", "rm-tiny"]


@pytest.mark.parametrize("name", built_in_recipes())
def test_recipe_written_out_and_read_again_is_the_same(name, tmp_path):
    recipe = load_rm_recipe(name)
    path = tmp_path / "mine.yaml"
    path.write_text(dump_rm_recipe(recipe))
    assert load_rm_recipe(str(path)) == recipe


@pytest.mark.parametrize("name", ["rm-llama3-8b", "rm-qwen3-8b"])
def test_recipe_of_an_8b_model_has_the_settings_of_the_paper(name):
    recipe = load_rm_recipe(name)
    optimisation = recipe.optimisation
    assert (optimisation.epochs, optimisation.batch_pairs, optimisation.max_path_tokens) == (2, 64, 8192)
    assert optimisation.learning_rate == optimisation.head_learning_rate == 5e-6
    assert recipe.adapter is None
    assert recipe.loss.pairwise == 1.0


@pytest.mark.parametrize("name", ["rm-smollm2-135m", "rm-smollm2-135m-v2"])
def test_recipe_of_the_default_leaves_out_the_source_without_a_licence(name):
    assert load_rm_recipe(name).data.exclude_sources == ("healthbench_srh",)


def test_recipe_of_the_next_default_mixes_drills_in_and_is_watched():
    recipe = load_rm_recipe("rm-smollm2-135m-v2")
    assert recipe.template == "chatml-criterion@2"
    assert recipe.data.mix["drills"].test == ("drills/test.jsonl.gz",)
    assert "safety" not in recipe.loss.dimensions
    assert recipe.curve is not None


@pytest.mark.parametrize("setting", ["curve={every: 0}", "curve={prompts: 0}", "curve={responses: 1}"])
def test_curve_that_measures_nothing_is_refused(setting):
    with pytest.raises(RecipeError, match="expected at least"):
        load_rm_recipe("rm-tiny", [setting])


def test_overrides_reach_nested_settings_with_their_types():
    recipe = load_rm_recipe("rm-tiny", ["optimisation.epochs=7", "loss.dimensions={safety: 3.0}", "criteria=false"])
    assert recipe.optimisation.epochs == 7
    assert recipe.loss.dimensions == {"safety": 3.0}
    assert recipe.criteria is False


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("rm-nowhere", [], "one of rm-llama3-8b, rm-qwen3-8b, rm-smollm2-135m, rm-smollm2-135m-v2, rm-tiny"),
        ("rm-tiny", ["optimisation.speed=1"], "optimisation.speed"),
        ("rm-tiny", ["optimisation.epochs=many"], "optimisation.epochs"),
        ("rm-tiny", ["epochs"], "expected name=value"),
        ("rm-tiny", ["name.epochs=1"], "name is not a section"),
        ("rm-tiny", ["loss.pairwise=-1"], "loss weight -1"),
        ("rm-tiny", ["expansion.responses_per_tree=1"], "expected at least 2"),
        ("rm-tiny", ["data.dev_responses=0"], "dev_responses is 0: expected at least 1"),
        ("rm-tiny", ["optimisation.max_steps=0"], "max_steps is 0: expected at least 1"),
        ("rm-tiny", ["optimisation.learning_rate=-1"], "learning_rate is -1.0: expected a finite number, 0 or more"),
        ("rm-tiny", ["optimisation.warmup_share=1"], "warmup_share is 1.0: expected at least 0 and below 1"),
        ("rm-tiny", ["optimisation.seed=[1"], "'[1' is not YAML; give a number"),
        ("rm-tiny", ["data.train=*x"], "'*x' is not YAML"),
    ],
)
def test_wrong_recipe_is_refused_by_name(name, overrides, said):
    with pytest.raises(RecipeError, match=re.escape(said)):
        load_rm_recipe(name, overrides)


def test_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    refused = pytest.raises(RecipeError, match="run: cannot be made a folder")
    with refused, RM_RECIPES.claimed(tmp_path / "run", load_rm_recipe("rm-tiny")):
        pass
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"- a list", "mapping of settings"), (b"a: [", "is not YAML"), (b"name: \xff", "file in UTF-8")],
)
def test_file_that_is_no_recipe_is_refused(tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        load_rm_recipe(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: a\nlicence: x\nname: b\n", "name stands twice, the second time in line 3"),
        ("name: a\noptimisation:\n  seed: 1\n  seed: 2\n", "seed stands twice, the second time in line 4"),
        ("name: a\noptimisation: {seed: 1, seed: 2}\n", "seed stands twice, the second time in line 2"),
        ("name: a\n'name': b\n", "name stands twice, the second time in line 2"),
        ("name: a\ngoals: {overall: 0.1}\ngoals: {safety: 0.2}\n", "goals stands twice, the second time in line 3"),
        ("name: a\ndata:\n  - {train: x, train: y}\n", "train stands twice, the second time in line 3"),
    ],
    ids=range(6),
)
def test_file_with_a_key_twice_is_refused_with_line_and_key(tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=said):
        load_rm_recipe(str(path))


def test_override_with_a_key_twice_is_refused():
    with pytest.raises(RecipeError, match="seed stands twice"):
        load_rm_recipe("rm-tiny", ["optimisation={seed: 1, seed: 2}"])


def test_file_may_merge_a_mapping_and_replace_its_keys(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {name: x, licence: y}\n<<: *a\nname: z\n")
    with pytest.raises(RecipeError, match="description: is missing"):
        load_rm_recipe(str(path))


@pytest.mark.parametrize("path", sorted(LAUNCH.glob("*.yaml")), ids=lambda path: path.stem)
def test_launch_configuration_is_one_that_accelerate_reads(path):
    config = load_config_from_file(str(path))
    assert config.num_processes == 8
    assert str(config.distributed_type).removeprefix("DistributedType.") in {"MULTI_GPU", "FSDP", "DEEPSPEED"}
