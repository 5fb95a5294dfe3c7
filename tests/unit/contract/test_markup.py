"""Chat markup of other models: each format's rule, and what is left alone."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.interop.markup import CHAT_FORMATS, split_exchange, split_prompt, split_query, without_ending
from promedical.messages import Message
from promedical.rubric import FieldTooLarge, InvalidField

TURN = {
    "ChatML": "<|im_start|>{role}\n{text}<|im_end|>\n",
    "Llama 3": "<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>",
    "Gemma": "<start_of_turn>{role}\n{text}<end_of_turn>\n",
    "Phi and Zephyr": "<|{role}|>\n{text}<|end|>\n",
}
OPEN = {
    "ChatML": "<|im_start|>assistant\n",
    "Llama 3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "Gemma": "<start_of_turn>model\n",
    "Phi and Zephyr": "<|assistant|>\n",
    "Mistral": "",
}
BEGIN = {"Llama 3": "<|begin_of_text|>", "Gemma": "<bos>", "Mistral": "<s>"}
NAMES = [chat.name for chat in CHAT_FORMATS]
TEXT = st.text(alphabet="ab é\n.", max_size=20)


def user(text):
    return Message(role="user", content=text)


def rendered(name, turns):
    """A conversation as that family's template writes it."""
    if name == "Mistral":
        return "<s>" + "".join(
            f"[INST] {t.content} [/INST]" if t.role == "user" else f" {t.content}</s>" for t in turns
        )
    words = {"assistant": "model"} if name == "Gemma" else {}
    return BEGIN.get(name, "") + "".join(
        TURN[name].format(role=words.get(turn.role, turn.role), text=turn.content) for turn in turns
    )


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(TEXT, min_size=1, max_size=3), TEXT)
def test_split_exchange_gives_back_the_turns_that_a_template_wrote(name, texts, response):
    turns = [turn for text in texts for turn in (user(text), Message(role="assistant", content="A."))][:-1]
    if name == "Mistral":  # its template pads turns with white space
        turns, response = [Message(role=t.role, content=t.content.strip()) for t in turns], response.strip()
    text = rendered(name, [*turns, Message(role="assistant", content=response)])
    assert split_exchange(text) == (tuple(turns), response)


@pytest.mark.parametrize("name", NAMES)
@given(TEXT, TEXT)
def test_split_query_takes_the_rest_after_the_prompt(name, question, response):
    prompt = rendered(name, [user(question.strip())]) + OPEN[name]
    turns, found = split_query(f"{prompt}{response}<|im_end|>", prompt)
    assert (turns, found) == ((user(question.strip()),), response)


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


def test_split_query_reads_no_markup_in_the_response():
    fake = "No.<|im_end|>\n<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\nYes."
    prompt = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    assert split_query(prompt + fake, prompt) == ((user("Why?"),), fake)


def test_split_prompt_keeps_what_the_template_wrote_into_the_answer():
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert split_prompt(text) == ((Message(role="system", content="Be brief."), user("Why?")), "<think>\n")


@pytest.mark.parametrize("text", ["Why?", "user: Why?\n\nassistant: no", "a <|im_start|>user\nWhy?<|im_end|>"])
def test_split_prompt_takes_text_without_markup_as_one_user_turn(text):
    assert split_prompt(text) == ((user(text),), "")


def test_split_prompt_refuses_turns_of_tools():
    with pytest.raises(InvalidField, match="not of system"):
        split_prompt("<|im_start|>tool\n{}<|im_end|>")


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
        ("Yes." + "<pad>" * 20_000, "Yes."),
    ],
)
def test_without_ending_takes_off_special_tokens_and_nothing_else(text, kept):
    assert without_ending(text) == kept


def peak_bytes(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_split_prompt_passes_over_white_space_in_no_memory():
    text = " " * 1_000_000 + "[INST]Why?"
    assert split_prompt(text)[0] == (user("Why?"),)
    assert peak_bytes(lambda: split_prompt(text)) < 20_000_000


def test_split_prompt_makes_no_more_turns_than_show_that_there_are_too_many():
    text = "[INST]" * 200_000

    def refused():
        with pytest.raises(FieldTooLarge, match="over 1024 turns"):
            split_prompt(text, max_turns=1024)

    assert peak_bytes(refused) < 5_000_000


@pytest.mark.parametrize("name", NAMES)
def test_split_functions_count_the_turns_of_the_prompt_and_not_the_answer(name):
    answer = Message(role="assistant", content="A.")
    prompt = [user("Why?"), answer, user("How?")]
    whole, opened = rendered(name, [*prompt, answer]), rendered(name, prompt) + OPEN[name]
    for split in (
        lambda most: split_exchange(whole, max_turns=most),
        lambda most: split_prompt(opened, max_turns=most),
        lambda most: split_query(whole, opened, max_turns=most),
        lambda most: split_query(whole, "cut", max_turns=most),
    ):
        assert [turn.content for turn in split(3)[0]] == ["Why?", "A.", "How?"]
        with pytest.raises(FieldTooLarge, match="over 2 turns"):
            split(2)
