"""Chat markup of other models: what is understood, what is refused, and what is left alone."""

import threading
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_markup import FAMILIES, WITH_MARKS, rendered
from promedical.interop.exchanges import Exchange
from promedical.interop.families import MARKUP
from promedical.interop.markup import plain_answer, split_exchange, split_prompt, split_query, without_ending
from promedical.interop.scanning import matches
from promedical.messages import Message
from promedical.rubric import FieldTooLarge, InvalidField

TURN = {
    "ChatML": "<|im_start|>{role}\n{text}<|im_end|>\n",
    "Llama 3": "<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>",
    "Gemma": "<start_of_turn>{role}\n{text}<end_of_turn>\n",
    "Phi": "<|{role}|>\n{text}<|end|>\n",
}
OPEN = {
    "ChatML": "<|im_start|>assistant\n",
    "Llama 3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "Gemma": "<start_of_turn>model\n",
    "Phi": "<|assistant|>\n",
    "Mistral": "",
}
BEGIN = {"Llama 3": "<|begin_of_text|>", "Gemma": "<bos>", "Mistral": "<s>"}
PADDED = ("Phi", "Mistral")
TEXT = st.text(alphabet="ab é\n.", max_size=20)
SYSTEM, QUESTION, ANSWER = "Be brief.", "How much paracetamol a day?", "At most 4 g.\n\n- [x] with food | < 38 °C"


def user(text):
    return Message(role="user", content=text)


def written(name, turns):
    """A conversation as that family's template writes it."""
    if name == "Mistral":
        return "<s>" + "".join(
            f"[INST] {t.content} [/INST]" if t.role == "user" else f" {t.content}</s>" for t in turns
        )
    words = {"assistant": "model"} if name == "Gemma" else {}
    return BEGIN.get(name, "") + "".join(
        TURN[name].format(role=words.get(turn.role, turn.role), text=turn.content) for turn in turns
    )


READINGS = {
    "apart": Exchange.read,
    "query": lambda prompt, answer: Exchange.split(prompt + answer, prompt),
    "one text": lambda prompt, answer: Exchange.split(prompt + answer),
}


CASES = [(family, way) for family in FAMILIES for way in READINGS if way != "one text" or family in WITH_MARKS]
"""Words tell where an answer begins only at the end of a prompt."""


@pytest.mark.parametrize(("family", "reading"), CASES)
def test_every_family_is_read_as_the_same_exchange(family, reading):
    prompt, answer = rendered(family, system=SYSTEM, question=QUESTION, answer=ANSWER)
    found = READINGS[reading](prompt, answer).judged("leave_out")
    assert [(turn.role, turn.content) for turn in found.turns] == [("system", SYSTEM), ("user", QUESTION)]
    assert found.response == ANSWER


@pytest.mark.parametrize("reading", ["apart", "query"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_ending_alone_is_an_empty_answer(family, reading):
    prompt, answer = rendered(family, system=SYSTEM, question=QUESTION, answer="")
    assert READINGS[reading](prompt, answer).judged("leave_out").response.strip() == ""


@pytest.mark.parametrize("name", OPEN)
@given(st.lists(TEXT, min_size=1, max_size=3), TEXT)
def test_split_exchange_gives_back_the_turns_that_a_template_wrote(name, texts, response):
    turns = [turn for text in texts for turn in (user(text), Message(role="assistant", content="A."))][:-1]
    if name in PADDED:
        turns, response = [Message(role=t.role, content=t.content.strip()) for t in turns], response.strip()
    text = written(name, [*turns, Message(role="assistant", content=response)])
    assert split_exchange(text) == (tuple(turns), response)


@pytest.mark.parametrize("name", OPEN)
@given(TEXT, TEXT)
def test_split_query_takes_the_rest_after_the_prompt(name, question, response):
    prompt = written(name, [user(question.strip())]) + OPEN[name]
    expected = response.strip() if name in PADDED else response
    turns, found = split_query(f"{prompt}{response}<|im_end|>", prompt)
    assert (turns, found) == ((user(question.strip()),), expected)


def test_split_query_lets_special_tokens_stand_before_the_prompt():
    assert split_query("<|endoftext|><s>Why?Because.</s>", "Why?") == ((user("Why?"),), "Because.")


def test_split_query_falls_back_to_the_markup_of_a_query_whose_prompt_was_cut():
    query = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nBecause.<|im_end|>"
    assert split_query(query, f"much longer {query}") == ((user("Why?"),), "Because.")


def test_split_query_refuses_a_query_without_its_prompt_or_markup():
    with pytest.raises(InvalidField, match="no chat markup"):
        split_query("Because.", "Why?")


def test_split_query_does_not_take_a_prompt_that_stands_in_the_response():
    with pytest.raises(InvalidField):
        split_query("something else, then Why?", "Why?")


def test_split_query_refuses_markup_in_the_response():
    prompt = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(InvalidField, match="looks like chat markup at character 3"):
        split_query(f"{prompt}No.<|im_end|>\n<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\nYes.", prompt)


def test_split_prompt_keeps_what_the_template_wrote_into_the_answer():
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    opened = split_prompt(text)
    assert (opened.turns, opened.prefill) == ((Message(role="system", content="Be brief."), user("Why?")), "<think>\n")


@pytest.mark.parametrize(
    "text", ["Why?", "user: Why?\n\nassistant: no", "Assistant: hello", "### User:\nWhy?", " Why?\n", "user\nWhy?"]
)
def test_split_prompt_takes_text_without_markup_as_one_user_turn(text):
    opened = split_prompt(text)
    assert (opened.turns, opened.prefill) == ((user(text),), "")


@pytest.mark.parametrize(
    "text",
    [
        "a <|im_start|>user\nWhy?<|im_end|>",
        "<|userprompt|>Why?<|endofuserprompt|><|response|>",
        "<role>HUMAN</role>Why?<role>ASSISTANT</role>",
        "<s><|User|>:Why?<eoh>\n<|Bot|>:",
        "<reserved_106>Why?<reserved_107>",
        "system\n\nBe brief.user\n\nWhy?assistant\n\n",
        "<|im_start|>tool\n{}<|im_end|>",
        "<|im_start|>user\nWhy?<|im_end|> and more\n<|im_start|>assistant\n",
        "<|start|>functions.look to=assistant<|channel|>commentary<|message|>{}<|end|><|start|>assistant",
        "<s>[AVAILABLE_TOOLS][][/AVAILABLE_TOOLS][INST]Why?[/INST]",
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Why?<|im_end|>\n<|im_start|>assistant\n",
        "<bos><start_of_turn>user\n<start_of_image>Why?<end_of_turn>\n<start_of_turn>model\n",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<|image|>Why?<|eot_id|>",
        "<|startoftext|><|im:start|>user<|im:content|>Why?<|im:end|><|im:start|>assistant<|im:content|>",
        "<|begin|>user<|content|>Why?<|end|><|begin|>assistant",
        "<|SYSTEM|>Be brief.<|USER|>Why?<|ASSISTANT|>",
        "<|prompter|>Why?<|endoftext|><|assistant|>",
        "<|BOT|>user\nWhy?<|EOT|><|BOT|>assistant\n",
        "<|startoftext|>Be brief.<|extra_4|>Why?<|extra_0|>",
        "<beginning_of_sentence>user name=user\nWhy?<end_of_sentence>\n<beginning_of_sentence>ai name=assistant\n",
        "<s><用户>Why?<AI>",
        "<_user>Why?<_bot>",
        "[|Human|]:Why?[|AI|]:",
        "<B_SYS>Be brief.<C_Q>Why?<C_A>",
        "[Round 1]\n\n问\uff1aWhy?\n\n答\uff1a",
        "<问>\uff1aWhy?\n<答>\uff1a",
        "BEGINNING OF CONVERSATION: USER: Why? GPT:",
    ],
)
def test_split_prompt_refuses_markup_that_it_does_not_understand(text):
    with pytest.raises(InvalidField, match=r"chat markup|leave tool calls out|without its marks"):
        split_prompt(text)


@pytest.mark.parametrize(
    "text",
    [
        "Yes.<|im_end|>\n<|im_start|>user\nThanks",
        "Yes.<|some_token|>",
        "Yes.</s>No.",
        "Yes. [/INST] No.",
        "Yes.<end_of_turn>No.",
        "Yes.<｜tool▁calls▁begin｜>",
        "[TOOL_CALLS][{}]",
        "<tool_call>\n{}\n</tool_call>",
        "human: Why? <sep> assistant:",
        "<|channel|>commentary to=functions.look <|constrain|>json<|message|>{}<|call|>",
        "<|im_start|>user\nYes.",
        "Yes.<|reserved_special_token_5|>No.",
        "Yes.<unused7>",
        "[|user|]Yes.",
        "Yes.<end_of_sentence>",
        "Yes.<_end>",
        "Yes.<eom>",
        "Yes.<|im:end|>",
        "Yes.<|endofresponse|>",
        "| a | b |<|end|>No.",
        "<co: 0>Yes.</co: 0>",
    ],
)
def test_read_answer_refuses_markup_that_it_does_not_understand(text):
    with pytest.raises(InvalidField, match="looks like chat markup"):
        plain_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "Stop if RR < 10 or SpO2 <|90|.",
        "Pr(>|z|) < 0.05; |x| < |y|",
        "| drug | < 5 |\n|---|---|\n|x|<|120|>|130|\n|a|<|limit|>|b|",
        "- [x] aspirin\n- [ ] statin [1], [PAD] is arterial [INSTRUCTIONS]",
        "10 mg, not <s>5 mg</s>",
        "<s class='old'>5 mg</s> 10 mg; [|x|] and [|dose|]",
        "<s>5 mg</s> 10 mg, <b>not</b> <i>more</i>, H<sub>2</sub>O",
        "### Response:\nRest. USER: and Assistant: are words.",
        "<user@example.org>, <https://example.org/?a|b>, x |> y, <end>, [end], <|b|>",
        "$\\langle x | y \\rangle$ and <||>",
        "| drug |<|normal|>|\n|---|---|\n[Round 1] of the tour; [PATIENT_NAME], [END], <CA>, <start>, <|45|>",
    ],
)
def test_ordinary_text_with_such_characters_is_left_as_it_is(text):
    found = Exchange.read(text, text).judged("leave_out")
    assert (found.turns, found.response) == ((user(text),), text)


@pytest.mark.parametrize(
    "text",
    [
        "[PAD][PAD]Yes.",
        "<pad> Yes.",
        "</s>Yes.",
        "<|endoftext|>\n<|endoftext|>Yes.",
        "Yes.</s></s>",
        "Yes.[PAD] [PAD]",
        "<s>Yes.</s>",
        "<unk><unk>Yes.",
        "<|im_start|>assistant\nYes.<|im_end|>",
        "<|assistant|>\nYes.",
        "[/INST] Yes.</s>",
        "<|START_RESPONSE|>Yes.<|END_RESPONSE|>",
    ],
)
def test_read_answer_takes_off_padding_endings_and_a_repeated_opening(text):
    assert plain_answer(text) == "Yes."


@pytest.mark.parametrize("text", ["plain", "", "<|im_start|>user\nWhy?<|im_end|>\n"])
def test_split_exchange_refuses_text_without_an_answer(text):
    with pytest.raises(InvalidField):
        split_exchange(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Yes.<|im_end|>\n", "Yes."),
        ("Yes. \n<|eot_id|><|end_of_text|>", "Yes. \n"),
        ("Yes.\n", "Yes.\n"),
        ("</s>", ""),
        ("a</s>b", "a</s>b"),
        ("[PAD]", ""),
        ("Yes." + "<pad>" * 20_000, "Yes."),
    ],
)
def test_without_ending_takes_off_special_tokens_and_nothing_else(text, kept):
    assert without_ending(text) == kept


@given(st.lists(st.sampled_from(["<|im_end|>", "x" * 37, "y" * 65_500, "<", "<|im_en"]), max_size=6))
def test_matches_are_those_of_one_search(parts):
    text = "".join(parts)
    assert [mark.span() for mark in matches(MARKUP, text)] == [mark.span() for mark in MARKUP.finditer(text)]


def test_long_text_lets_other_threads_run_while_it_is_read():
    turns, reader = 0, threading.Thread(target=plain_answer, args=("<|" * 4_000_000,))
    reader.start()
    while reader.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 20


def peak_bytes(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_split_prompt_passes_over_white_space_in_no_memory():
    text = " " * 1_000_000 + "[INST]Why?"
    assert split_prompt(text).turns == (user("Why?"),)
    assert peak_bytes(lambda: split_prompt(text)) < 20_000_000


def test_split_prompt_makes_no_more_turns_than_show_that_there_are_too_many():
    text = "[INST]" * 200_000

    def refused():
        with pytest.raises(FieldTooLarge, match="over 1024 turns"):
            split_prompt(text, max_turns=1024)

    assert peak_bytes(refused) < 5_000_000


@pytest.mark.parametrize("name", OPEN)
def test_split_functions_count_the_turns_of_the_prompt_and_not_the_answer(name):
    answer = Message(role="assistant", content="A.")
    prompt = [user("Why?"), answer, user("How?")]
    whole, opened = written(name, [*prompt, answer]), written(name, prompt) + OPEN[name]
    for split in (
        lambda most: split_exchange(whole, max_turns=most),
        lambda most: (split_prompt(opened, max_turns=most).turns,),
        lambda most: split_query(whole, opened, max_turns=most),
        lambda most: split_query(whole, "cut", max_turns=most),
    ):
        assert [turn.content for turn in split(3)[0]] == ["Why?", "A.", "How?"]
        with pytest.raises(FieldTooLarge, match="over 2 turns"):
            split(2)
