"""The policy answers held-out prompts as it answers in training: the same ends, and the same distribution."""

import json

import pytest
from transformers import AutoModelForCausalLM, GenerationConfig

from promedical_trainer.grpo.held_out import write_answers
from promedical_trainer.grpo.policy import make_tiny_policy, read_tokenizer
from promedical_trainer.grpo.recipe import GRPO_RECIPES
from promedical_trainer.grpo.sampling import sampling
from promedical_trainer.grpo.training import train_steps
from promedical_trainer.runs.progress import Deadline

ROWS = [
    {"prompt": [{"role": "user", "content": f"{n}?"}], "prompt_id": str(n), "rubric": "[]", "references": []}
    for n in range(8)
]


@pytest.fixture
def policy(tmp_path):
    """A policy that ends an answer at any of half of its bytes, by its generation config, as end-of-turn tokens do."""
    folder = tmp_path / "policy"
    make_tiny_policy(folder)
    tokenizer = read_tokenizer(str(folder))
    ends = list(range(0, len(tokenizer), 2))
    GenerationConfig(eos_token_id=ends, do_sample=True, top_k=1, top_p=0.1, repetition_penalty=3.0).save_pretrained(
        folder
    )
    return folder, tokenizer, ends


def recipe_of(*changes):
    return GRPO_RECIPES.load("grpo-tiny", ["generation.max_tokens=64", *changes])


def test_held_out_answers_end_where_answers_in_training_do(policy, tmp_path):
    folder, tokenizer, _ = policy
    recipe = recipe_of("optimisation.steps=1", "optimisation.save_every=1")

    lengths = []

    async def reward(completion_ids, **_):
        lengths.extend(map(len, completion_ids))
        return [0.0] * len(completion_ids)

    train_steps(str(folder), tokenizer, ROWS, reward, recipe, tmp_path / "training")
    path = tmp_path / "answers.jsonl"
    write_answers(str(folder), tokenizer, ROWS, recipe, path, Deadline())
    answers = [json.loads(line)["response"] for line in path.read_text().splitlines()]
    assert len(answers) == len(lengths) == 8
    assert max(lengths) < 30, "in training, one token in two ends an answer"
    assert max(map(len, answers)) < 30


def test_sampling_is_that_of_the_trainer_whatever_the_policy_cuts_away(policy):
    folder, tokenizer, ends = policy
    model = AutoModelForCausalLM.from_pretrained(folder)
    drawn = sampling(recipe_of("generation.temperature=0.7").generation, model, tokenizer)
    assert set(drawn.eos_token_id) == {*ends, tokenizer.eos_token_id}
    said = (drawn.do_sample, drawn.temperature, drawn.top_p, drawn.top_k, drawn.repetition_penalty)
    assert said == (True, 0.7, 1.0, 0, 1.0)


@pytest.mark.parametrize(("of_model", "expected"), [(None, 1), (3, 2), ([3, 5], 3)])
def test_sampling_ends_at_the_tokenizers_token_too(policy, of_model, expected):
    folder, tokenizer, _ = policy
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = of_model
    assert len(sampling(recipe_of().generation, model, tokenizer).eos_token_id) == expected
