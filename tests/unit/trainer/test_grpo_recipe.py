"""Recipes of policies: the paper's settings in TRL's words, and mistakes that are named before anything starts."""

import pytest

from promedical_trainer.grpo.recipe import GRPO_RECIPES
from promedical_trainer.runs.recipe_files import RecipeError


def test_built_in_recipes_are_those_of_the_documentation():
    assert GRPO_RECIPES.names == ["grpo-first", "grpo-qwen3-8b", "grpo-smollm2-cpu", "grpo-tiny"]


@pytest.mark.parametrize("name", GRPO_RECIPES.names)
def test_recipe_written_out_and_read_again_is_the_same(name, tmp_path):
    recipe = GRPO_RECIPES.load(name)
    (tmp_path / "mine.yaml").write_text(GRPO_RECIPES.dump(recipe))
    assert GRPO_RECIPES.load(str(tmp_path / "mine.yaml")) == recipe


def test_recipe_of_the_8b_model_means_the_paper_in_trls_words(tmp_path):
    from promedical_trainer.grpo.training import _arguments

    recipe = GRPO_RECIPES.load("grpo-qwen3-8b", ["optimisation.precision=fp32"])  # bf16 asks for a GPU
    told = _arguments(recipe, tmp_path)
    assert (told.loss_type, told.beta, told.use_bias_correction_kl) == ("grpo", 0.04, False)
    assert (told.num_generations, told.learning_rate, told.num_iterations) == (8, 1e-6, 1)
    assert told.steps_per_generation == told.gradient_accumulation_steps
    assert told.use_vllm
    assert not told.vllm_importance_sampling_correction
    assert not told.trust_remote_code
    assert told.num_completions_to_print == 0
    assert told.chat_template_kwargs == {"enable_thinking": False}


def test_sampling_of_vllm_is_corrected_where_the_recipe_says_so(tmp_path):
    from promedical_trainer.grpo.training import _arguments

    changes = ["optimisation.precision=fp32", "generation.vllm.correct_sampling=true"]
    told = _arguments(GRPO_RECIPES.load("grpo-qwen3-8b", changes), tmp_path)
    assert told.vllm_importance_sampling_correction
    assert told.vllm_importance_sampling_mode == "token_truncate"
    assert told.vllm_importance_sampling_clip_max == 3.0


THINKER = (
    "{{ messages[0].content }}{% if add_generation_prompt %}A:{% if enable_thinking is defined and "
    "enable_thinking is false %}<think></think>{% endif %}{% endif %}"
)


def test_thinking_is_said_to_the_template_that_knows_the_word(tmp_path):
    from promedical_trainer.grpo.policy import check_switch, make_tiny_policy, read_tokenizer

    make_tiny_policy(tmp_path / "tiny")
    tokenizer, off = read_tokenizer(str(tmp_path / "tiny")), GRPO_RECIPES.load("grpo-qwen3-8b").generation
    check_switch(tokenizer, GRPO_RECIPES.load("grpo-tiny").generation)
    with pytest.raises(
        RecipeError, match=r"generation.thinking is false, but the policy's chat template has no switch"
    ):
        check_switch(tokenizer, off)
    tokenizer.chat_template = THINKER
    check_switch(tokenizer, off)
    said = {"tokenize": False, "add_generation_prompt": True, **off.template_options}
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Why?"}], **said) == "Why?A:<think></think>"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["optimisation.speed=1"], "optimisation.speed"),
        (["optimisation.batch=3"], r"is 6, generation.group_size 4: expected a multiple of it"),
        (["generation.group_size=1"], "group_size is 1: expected at least 2"),
        (["oracle.timeout_s=1000"], "expected at most a third of it"),
        (["oracle.max_unscored=1"], "expected a share"),
        (["oracle.reward_weights.violation_penalty=0.5"], "violation_penalty"),
        (["optimisation.steps=0"], "steps is 0: expected at least 1"),
        (["evaluation.prompts=-1"], "prompts is -1: expected at least 0"),
        (["generation.temperature=0"], "temperature is 0.0: expected a finite number above 0"),
        (["generation.max_tokens=0"], "max_tokens is 0: expected at least 1"),
        (["optimisation.learning_rate=-1"], "learning_rate is -1.0: expected a finite number, 0 or more"),
        (["optimisation.kl=.nan"], "kl is nan: expected a finite number, 0 or more"),
        (["generation.vllm={mode: server}"], "mode server needs it"),
    ],
)
def test_recipe_that_cannot_work_is_refused_with_the_reason(overrides, said):
    with pytest.raises(RecipeError, match=said):
        GRPO_RECIPES.load("grpo-tiny", overrides)


def test_folder_of_another_recipe_is_refused(tmp_path):
    recipe = GRPO_RECIPES.load("grpo-tiny")
    for _ in range(2):
        with GRPO_RECIPES.claimed(tmp_path / "run", recipe):
            pass
    other = GRPO_RECIPES.load("grpo-tiny", ["optimisation.seed=1"])
    with pytest.raises(RecipeError, match="another recipe"), GRPO_RECIPES.claimed(tmp_path / "run", other):
        pass


def test_folder_that_another_process_trains_in_is_refused(tmp_path):
    recipe = GRPO_RECIPES.load("grpo-tiny")
    with GRPO_RECIPES.claimed(tmp_path / "run", recipe):
        refused = pytest.raises(RecipeError, match="another process trains in it; wait until it ends")
        with refused, GRPO_RECIPES.claimed(tmp_path / "run", recipe):
            pass
    with GRPO_RECIPES.claimed(tmp_path / "run", recipe):
        pass


def test_folder_whose_recipe_was_half_written_can_be_claimed_again(tmp_path):
    (tmp_path / ".recipe.yaml.1.draft").write_text("name: promed")  # as a killed process leaves it
    with GRPO_RECIPES.claimed(tmp_path, GRPO_RECIPES.load("grpo-tiny")):
        assert (tmp_path / "recipe.yaml").read_text() == GRPO_RECIPES.dump(GRPO_RECIPES.load("grpo-tiny"))
