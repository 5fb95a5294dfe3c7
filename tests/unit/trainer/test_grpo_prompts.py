"""Prompts for the policy: conversation and rubric as they were read, without what is held out or too long."""

import json
import shutil

import pytest

from policies import CRITERIA, write_prompts
from promedical.interop.labels import read_label
from promedical.reward import Judgement, RewardWeights, aggregate
from promedical.rubric import Rubric
from promedical_data.errors import DataError
from promedical_trainer.grpo.policy import make_tiny_policy, read_tokenizer
from promedical_trainer.grpo.prompts import read_prompts
from promedical_trainer.grpo.recipe import Prompts
from promedical_trainer.runs.recipe_files import RecipeError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy") / "tiny"
    make_tiny_policy(folder)
    return read_tokenizer(str(folder))


def test_rows_hold_the_conversation_and_criteria_that_the_oracle_understands(tmp_path, tokenizer):
    found = read_prompts(write_prompts(tmp_path), Prompts(train=("prompts.jsonl",)), tokenizer)
    assert [row["prompt_id"] for row in found.rows] == [f"p{number}" for number in range(6)]
    assert found.rows[0]["prompt"] == [{"role": "user", "content": "Is zebrafinch 0 safe?"}]
    rubric = Rubric(criteria=tuple(each.validated() for each in read_label(found.rows[0]["rubric"]).criteria))
    assert [each.id for each in rubric.criteria] == [each["id"] for each in CRITERIA]
    good = {"plain": True, "omits": False, "kind": True, "harm": False}
    judged = {name: Judgement(probability=0.5, met=met) for name, met in good.items()}
    assert aggregate(rubric, judged, RewardWeights()).reward == pytest.approx(1.1)


def test_rows_of_healthbench_format_are_read_too(tmp_path, tokenizer):
    rubrics = [{"criterion": "Names a limit.", "points": 5, "tags": []}, {"criterion": "Advises harm.", "points": -9}]
    row = {"prompt_id": "h", "prompt": [{"role": "user", "content": "How much?"}], "rubrics": rubrics}
    (tmp_path / "hb.jsonl").write_text(json.dumps(row) + "\n")
    (only,) = read_prompts(tmp_path, Prompts(train=("hb.jsonl",)), tokenizer).rows
    assert [each["dimension"] for each in json.loads(only["rubric"])] == ["proficiency", "safety"]


def test_rows_that_are_held_out_or_too_long_are_left_out_and_counted(tmp_path, tokenizer):
    write_prompts(tmp_path)
    write_prompts(tmp_path / "held", 2)
    choice = Prompts(train=("prompts.jsonl", "prompts.jsonl"), held_out=("held/prompts.jsonl",))
    found = read_prompts(tmp_path, choice, tokenizer)
    assert (len(found.rows), found.held_out, found.repeated, len(found.unseen)) == (4, 2, 6, 2)
    with pytest.raises(DataError, match=r"raise prompts\.max_tokens"):
        read_prompts(tmp_path, Prompts(train=("prompts.jsonl",), max_tokens=10), tokenizer)


def test_tokenizer_without_a_template_gets_chatml_if_it_knows_its_tokens(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "bare")
    (tmp_path / "bare" / "chat_template.jinja").unlink()
    bare = read_tokenizer(str(tmp_path / "bare"))
    turns = [{"role": "user", "content": "Hello?"}]
    told = bare.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert told == "<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\n"
    assert bare.eos_token == "<|im_end|>"


def test_policy_that_is_not_there_is_named(tmp_path):
    shutil.rmtree(tmp_path)
    with pytest.raises(RecipeError, match="--set policy=FOLDER"):
        read_tokenizer(str(tmp_path))
