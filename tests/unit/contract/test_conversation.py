"""Prompts as conversations: transcripts are parsed once and the same way everywhere, wrong endings are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.conversation import count_turns, parse_prompt
from promedical.messages import Message
from promedical.rubric import InvalidField

_CONTENT = st.text(st.sampled_from("ab :\n?"), max_size=8).map(lambda text: f"x{text}x".replace("\n\n", "\n"))
_TURNS = st.lists(
    st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=_CONTENT), max_size=4
)


@given(_TURNS, _CONTENT)
def test_parse_prompt_inverts_a_transcript(turns: list[Message], last: str) -> None:
    whole = [*turns, Message(role="user", content=last)]
    transcript = "\n\n".join(f"{turn.role}: {turn.content}" for turn in whole)

    assert parse_prompt(transcript) == tuple(whole)
    assert parse_prompt(whole) == tuple(whole)
    assert count_turns(transcript, 9) == count_turns(whole, 9) == len(whole)


@pytest.mark.parametrize(
    "text",
    [
        "What helps?",
        "users: what helps?",
        "User: what helps?",
        " user: hello",
        "Dear user: hello",
        "a\n\nuser: b",
        "user:x",
    ],
)
def test_parse_prompt_takes_other_text_as_one_user_turn(text: str) -> None:
    assert parse_prompt(text) == (Message(role="user", content=text),)
    assert count_turns(text, 9) == 1


@pytest.mark.parametrize("before", ["\n", "\n\n", "\r\n", "\ufeff\n \t\n", "\n" * 5], ids=ascii)
def test_parse_prompt_lets_empty_lines_stand_before_a_transcript(before: str) -> None:
    assert [turn.content for turn in parse_prompt(f"{before}user: a\n\nuser: b")] == ["a", "b"]


@pytest.mark.parametrize("end", ["\r\n", "\r"], ids=ascii)
def test_parse_prompt_reads_a_transcript_with_any_line_ends(end: str) -> None:
    transcript = "system: a\n\nuser: b\nc\n\nassistant: d\n\nuser: e"
    assert parse_prompt(transcript.replace("\n", end)) == parse_prompt(transcript)
    assert count_turns(transcript.replace("\n", end), 9) == 4


@pytest.mark.parametrize(
    "gap", ["\r\n\n", "\n\r\n", "\n \t\n", "\r\n  \r\n", "\n\u00a0\n", "\n\u3000\u200b\n", "\r\x0b\r"], ids=ascii
)
def test_parse_prompt_takes_a_line_that_looks_empty_as_empty(gap: str) -> None:
    assert [turn.content for turn in parse_prompt(f"user: a{gap}assistant: b{gap}user: c")] == ["a", "b", "c"]


def test_parse_prompt_lets_a_byte_order_mark_stand_before_a_transcript() -> None:
    assert [turn.content for turn in parse_prompt("\ufeffuser: a\n\nassistant: b\n\nuser: c")] == ["a", "b", "c"]


def test_parse_prompt_leaves_line_ends_of_other_text_as_they_are() -> None:
    assert parse_prompt("a\r\n\r\nb")[0].content == "a\r\n\r\nb"


def test_count_turns_stops_at_the_most() -> None:
    assert count_turns("user: a" + "\n\nuser: " * 50 + "b", 7) == 7


def test_parse_prompt_never_parses_the_content_of_messages() -> None:
    message = Message(role="user", content="user: a\n\nassistant: b\n\nuser: c")

    assert parse_prompt([message]) == (message,)


def test_parse_prompt_keeps_empty_lines_and_marks_inside_a_turn() -> None:
    turns = parse_prompt("user: one\n\ntwo user: three\nassistant: four\n\nassistant: five\n\nuser: six")

    assert [turn.content for turn in turns] == ["one\n\ntwo user: three\nassistant: four", "five", "six"]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ([], "no messages"),
        ("user: a\n\nassistant: b", "ends with a turn of assistant"),
        ("system: a", "ends with a turn of system"),
        ([Message(role="assistant", content="a")], "ends with a turn of assistant"),
        ("", "empty user turn"),
        (" \n ", "empty user turn"),
        ("user: ", "empty user turn"),
        ("user: a\n\nassistant: b\n\nuser: \n", "empty user turn"),
        ([Message(role="user", content="\t")], "empty user turn"),
    ],
)
def test_parse_prompt_refuses_a_wrong_ending(prompt: str | list[Message], reason: str) -> None:
    with pytest.raises(InvalidField, match=reason) as caught:
        parse_prompt(prompt)

    assert caught.value.field == "prompt"
