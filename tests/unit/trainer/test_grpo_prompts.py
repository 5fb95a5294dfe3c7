"""Prompts for the policy: conversation and rubric as they were read, without what is held out or too long."""

import copy
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


NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
ALTERNATING = (
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
)
BROKEN = "{% if messages|length > 1 %}{{ 1 / 0 }}{% endif %}"
NO_NAME = "{{ messages[0]['name'] + 'x' }}"
TEMPLATES = {"no system": NO_SYSTEM, "alternating": ALTERNATING, "broken": BROKEN, "for other data": NO_NAME}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_rows_whose_turns_the_chat_template_refuses_are_counted_before_training(tmp_path, tokenizer, template):
    write_prompts(tmp_path, 4)
    rows = [json.loads(line) for line in (tmp_path / "prompts.jsonl").read_text().splitlines()]
    for row in rows[1:3]:
        row["prompt"] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": row["id"]}]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = template + tokenizer.chat_template
    choice = Prompts(train=("prompts.jsonl",))
    if template == NO_NAME:
        with pytest.raises(DataError, match=r"chat template refuses the turns of 4 \(first: prompt p0\)"):
            read_prompts(tmp_path, choice, strict)
        return
    found = read_prompts(tmp_path, choice, strict)
    assert [row["prompt_id"] for row in found.rows] == ["p0", "p3"]
    assert (found.refused, found.too_long) == (("p1", "p2"), 0)
    assert found.refused_in_words == "2 with turns that the policy's chat template refuses (first: prompt p1)"


def test_rows_name_criteria_with_a_wrong_sign_and_leave_them_out_if_told_to(tmp_path, tokenizer):
    wrong = {"criterion": "Advises the use of any herbal teas for a 2-month-old baby.", "points": 10}
    row = {"prompt_id": "h", "prompt": "How much?", "rubrics": [{"criterion": "Names it.", "points": 5}, wrong]}
    (tmp_path / "hb.jsonl").write_text(json.dumps(row) + "\n")
    whole = read_prompts(tmp_path, Prompts(train=("hb.jsonl",)), tokenizer)
    assert "prompts.exclude_criteria=[errata] leaves them out" in whole.warning
    without = read_prompts(tmp_path, Prompts(train=("hb.jsonl",), exclude_criteria=("errata",)), tokenizer)
    assert [len(json.loads(each.rows[0]["rubric"])) for each in (whole, without)] == [2, 1]
    assert without.warning is None


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
