"""Exchanges to items and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange, group, read_turns
from promedical.rubric import InvalidField


def exchange(prompt, response, rubric="r"):
    return Exchange(turns=(m.Message(role="user", content=prompt),), response=response, rubric=rubric)


def answered(item):
    """Every response gets an error that says which one it is."""
    responses = tuple(
        m.ResponseOutcome(error=m.ErrorInfo(code=ErrorCode.TOO_LONG, message=f"{item.prompt[0].content}/{response}"))
        for response in item.responses
    )
    result = m.ItemResult(
        rubric=m.RubricRef(id=None, version=None, sha256=""), safety_checked=False, ranking=(), responses=responses
    )
    return m.ItemOutcome(id=item.id, result=result)


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xyz"), st.sampled_from(["r", "s"]))), st.integers(1, 4)
)
def test_group_gives_every_exchange_its_own_outcome_back(rows, most):
    exchanges = [exchange(*row) for row in rows]
    grouping = group(exchanges, max_responses=most)
    outcomes = grouping.outcomes([answered(item) for item in grouping.items])
    assert [outcome.error.message for outcome in outcomes] == [f"{prompt}/{response}" for prompt, response, _ in rows]
    assert all(len(item.responses) <= most for item in grouping.items)
    assert len({item.id for item in grouping.items}) == len(grouping.items)


def test_group_puts_one_prompt_and_rubric_into_one_item_wherever_they_stand():
    rows = [exchange("A", "1"), exchange("B", "1"), exchange("A", "2"), exchange("A", "3", "other")]
    items = group(rows, base_rubric_id="base").items
    assert [item.responses for item in items] == [("1", "2"), ("1",), ("3",)]
    assert [(item.rubric_id, item.base_rubric_id) for item in items] == [("r", "base")] * 2 + [("other", "base")]


def test_group_gives_an_items_error_to_all_its_responses():
    grouping = group([exchange("A", "1"), exchange("A", "2")])
    error = m.ErrorInfo(code=ErrorCode.INVALID_ITEM, message="no")
    assert [o.error for o in grouping.outcomes([m.ItemOutcome(id="0", error=error)])] == [error, error]


def test_read_turns_joins_parts_of_text():
    parts = [{"type": "text", "text": "Why"}, {"type": "text", "text": "?"}]
    turns = read_turns([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}])
    assert turns == (m.Message(role="system", content="Be brief."), m.Message(role="user", content="Why?"))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("text", "prompt"),
        (5, "prompt"),
        ([5], "prompt[0]"),
        ([{"role": "tool", "content": "x"}], "prompt[0].role"),
        ([{"role": "user", "content": [{"type": "image"}]}], "prompt[0].content"),
        ([{"role": "user", "content": None}], "prompt[0].content"),
    ],
)
def test_read_turns_refuses_what_is_not_text(value, field):
    with pytest.raises(InvalidField) as caught:
        read_turns(value)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "thinking", "thinking": "Hm."},
        {"type": "reasoning", "text": "Hm."},
    ],
    ids=str,
)
def test_a_part_of_content_that_is_a_thought_is_read_as_one(thought):
    turns = read_turns([{"role": "assistant", "content": [thought, {"type": "text", "text": "Rest."}]}])
    assert turns == (m.Message(role="assistant", content="<think>Hm.</think>Rest."),)


NO_TEXT = (5, 1.5, True, {"a": 1}, b"x", pytest.param(object(), id="object"), [5], [{"text": 5}], [[]], None, [])


@pytest.mark.parametrize("content", NO_TEXT, ids=repr)
def test_read_turns_names_content_that_is_no_text(content):
    with pytest.raises(InvalidField, match=r"^messages\[0\]\.content: expected text"):
        read_turns([{"role": "user", "content": content}], "messages")


@pytest.mark.parametrize("role", [5, None, [], {}, ["user"]], ids=repr)
def test_read_turns_names_a_role_that_is_none(role):
    with pytest.raises(InvalidField, match=r"^messages\[0\]\.role: expected one of"):
        read_turns([{"role": role, "content": "x"}], "messages")


@pytest.mark.parametrize("asked", [(5, None), (None, "p"), (["x"], "p"), ("x", ["p"]), ("x", 5)], ids=repr)
def test_exchange_split_names_what_is_no_text(asked):
    with pytest.raises(InvalidField, match=r"^query\[0\]: expected text"):
        Exchange.split(*asked, place="query[0]")
