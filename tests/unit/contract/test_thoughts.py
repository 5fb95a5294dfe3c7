"""What is judged of a response with a thought."""

import pytest

from promedical.interop.exchanges import Exchange
from promedical.interop.thoughts import check_thoughts
from promedical.rubric import InvalidField

WHY = [{"role": "user", "content": "Why?"}]
THINKING = {
    "think": ("<think>\nHm.\n", "</think>\n\n"),
    "thinking": ("<thinking>Hm.", "</thinking>\n"),
    "capitals": ("<Think>Hm.", "</THINK>\n"),
    "thought": ("<thought>Hm.", "</thought>"),
    "reasoning": ("<reasoning>\nHm.", "</reasoning>"),
    "kimi": ("◁think▷Hm.", "◁/think▷"),
    "magistral": ("[THINK]Hm.", "[/THINK]"),
    "seed": ("<seed:think>Hm.", "</seed:think>"),
    "longcat": ("<longcat_think>Hm.", "</longcat_think>"),
    "command": ("<|START_THINKING|>Hm.", "<|END_THINKING|><|START_RESPONSE|>"),
    "sky": ("<|begin_of_thought|>Hm.", "<|end_of_thought|>\n\n<|begin_of_solution|>"),
    "medgemma": ("<unused94>thought\nHm.", "<unused95>"),
    "gemma": ("<|channel>thought\nHm.", "<channel|>"),
    "apertus": ("<|inner_prefix|>Hm.", "<|inner_suffix|>"),
    "gpt-oss": ("<|channel|>analysis<|message|>Hm.", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "gpt-oss without its tokens": ("analysisHm.", "assistantfinal"),
    "apriel": ("Here are my reasoning steps:\nHm.\n", "[BEGIN FINAL RESPONSE]\n"),
    "huatuo": ("## Thinking\n\nHm.\n\n", "## Final Response\n\n"),
}


def judged(response, thoughts="leave_out", prompt=WHY):
    return Exchange.read(prompt, response).judged(thoughts).response


@pytest.mark.parametrize("name", THINKING)
def test_the_answer_is_what_is_left_without_the_thought(name):
    thought, end = THINKING[name]
    assert judged(f"{thought}{end}Rest.") == "Rest."
    assert judged(f"{thought}{end}Rest.<|im_end|>", "require") == "Rest."


@pytest.mark.parametrize("name", THINKING)
def test_a_thought_without_an_answer_is_none(name):
    thought, end = THINKING[name]
    for cut_off in (thought, thought + end, f"{thought}{end} \n", f"{thought}<|endoftext|>"):
        assert judged(cut_off) == judged(cut_off, "require") == ""


@pytest.mark.parametrize("name", sorted({*THINKING} - {"gpt-oss"}))
def test_judge_keeps_the_thought(name):
    thought, end = THINKING[name]
    if "solution" in end or "RESPONSE" in end:
        end = end.partition("<|begin_of_s")[0].partition("<|START_R")[0]
    assert judged(f"{thought}{end}Rest.", "judge") == f"{thought}{end}Rest."


def test_judge_keeps_the_analysis_of_gpt_oss_as_a_thought():
    thought, end = THINKING["gpt-oss"]
    assert judged(f"{thought}{end}Rest.", "judge") == "<think>Hm.</think>Rest."


@pytest.mark.parametrize(
    ("response", "left"),
    [
        ("Hm.\n</think>\n\nRest.", "Rest."),
        ("</think>Rest.", "Rest."),
        ("Hm.</think>\n</think>\nRest.", "Rest."),
        ("Well. <think>Hm.</think>Rest.", "Well. Rest."),
        ("<think>a</think>Rest. <think>b</think>Drink.", "Rest. Drink."),
        ("<think>a <think> b</think>Rest.", "Rest."),
        ("<think>a</think> <answer>Rest.</answer>", "Rest."),
        ("<think>a</think>\n<answer>\nRest, and dri", "Rest, and dri"),
        ("<thinking>a</thinking>\n<output>\nRest.\n</output>", "Rest."),
        ('<think budget="9">a</think>Rest.', "Rest."),
        ('<think budget="9">a', ""),
        ("[THINKING]a[/THINKING]Rest.", "Rest."),
        ("Rest. <think>Hm", ""),
        ("No thought, <b>rest</b>.", "No thought, <b>rest</b>."),
        ("<answer>Rest.</answer>", "<answer>Rest.</answer>"),
        ("## Thinking about it\nRest.", "## Thinking about it\nRest."),
        ("Here are my reasoning steps: rest.", "Here are my reasoning steps: rest."),
        ("Hm.\n[BEGIN FINAL RESPONSE]\nRest.\n[END FINAL RESPONSE]\n", "Rest."),
        ("analysis of blood: fine", "analysis of blood: fine"),
    ],
)
def test_leave_out_leaves_what_a_reader_sees(response, left):
    assert judged(response) == left


def test_leave_out_knows_the_thought_that_a_template_begins():
    prompt = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert judged("Hm.", prompt=prompt) == ""
    assert judged("Hm.</think>Rest.", prompt=prompt) == "Rest."


def test_require_takes_no_response_without_a_thought():
    assert judged("The patient asks for", "require") == ""


def test_an_end_of_a_thought_that_was_not_begun_is_refused():
    with pytest.raises(InvalidField, match=r"^response: .*not begun"):
        judged("<think>a</think>Bad.</think>Good.")


def test_check_thoughts_names_what_it_expects():
    assert check_thoughts("require") == "require"
    with pytest.raises(ValueError, match="thoughts is 'off': expected one of leave_out, require, judge"):
        check_thoughts("off")
