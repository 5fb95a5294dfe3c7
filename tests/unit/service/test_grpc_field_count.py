"""Counting the fields of a message before it is parsed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.v1 import reward_pb2 as pb
from promedical_service.edges.grpc.field_count import holds_more_fields
from promedical_service.limits import CountLimits

SCORE = pb.ScoreBatchRequest


def fields_of(message):
    """What a parsed message says."""
    total = 0
    for field, value in message.ListFields():
        for one in value if field.is_repeated else [value]:
            total += 1 + (fields_of(one) if field.message_type else 0)
    return total


TEXT = st.text(max_size=300)
CRITERIA = st.builds(
    pb.Criterion, id=TEXT, text=TEXT, dimension=st.sampled_from([1, 2, 3]), weight=st.none() | st.floats()
)
ITEMS = st.one_of(
    st.builds(pb.ScoreItem, id=TEXT, prompt_text=TEXT, responses=st.lists(TEXT, max_size=3), rubric_id=TEXT),
    st.builds(
        pb.ScoreItem,
        messages=st.builds(pb.Messages, messages=st.lists(st.builds(pb.Message, content=TEXT), max_size=3)),
        rubric=st.builds(pb.Rubric, criteria=st.lists(CRITERIA, max_size=3)),
    ),
)
REQUESTS = st.builds(
    pb.ScoreBatchRequest,
    items=st.lists(ITEMS, max_size=4),
    reward_weights=st.none() | st.builds(pb.RewardWeights, excellence_cap=st.floats()),
    priority=st.sampled_from([0, 1, 2]),
)


@given(REQUESTS)
def test_wire_fields_are_counted_as_the_parser_sees_them(request):
    wire, count = request.SerializeToString(), fields_of(request)
    assert not holds_more_fields(wire, SCORE, count)
    assert count == 0 or holds_more_fields(wire, SCORE, count - 1)


def sized(tag, payload):
    """A field of 128 to 16383 bytes."""
    return tag + bytes([len(payload) & 127 | 128, len(payload) >> 7]) + payload


@pytest.mark.parametrize("unknown", [b"", b"\x0b\x0c", b"\xf8\x07\x01", b"\xf9\x07" + b"x" * 8, b"\xfd\x07" + b"x" * 4])
def test_wire_fields_of_another_version_hide_nothing(unknown):
    assert holds_more_fields(unknown + b"\x0a\x00" * 100 + unknown, SCORE, 100 if unknown else 99)
    rubric = unknown + b"\x0a\x00" * 100
    wire = sized(b"\x0a", sized(b"\x2a", rubric))
    assert holds_more_fields(wire, SCORE, 101)


def test_wire_fields_of_what_is_no_message_are_left_to_the_parser():
    choice = random.Random(3)
    good = pb.ScoreBatchRequest(items=[pb.ScoreItem(id="a", prompt_text="p", responses=["r"])]).SerializeToString()
    for _ in range(2000):
        wire = bytearray(good if choice.random() < 0.5 else choice.randbytes(choice.randrange(60)))
        for _ in range(choice.randrange(1, 4) if wire else 0):
            wire[choice.randrange(len(wire))] = choice.randrange(256)
        assert not holds_more_fields(bytes(wire), SCORE, 10_000)
    assert not holds_more_fields(b"\xff" * 100_000, SCORE, 10)


def test_wire_fields_of_every_allowed_size_are_not_too_many():
    limits = CountLimits(max_items=256, max_responses_per_item=128, max_criteria_per_item=128)
    criterion = pb.Criterion(id="c", text="t", dimension=1, weight=1.0, polarity=1)
    turns = pb.Messages(messages=[pb.Message(role=2, content="x")] * 64)
    full = pb.ScoreItem(
        id="a", messages=turns, responses=["r"] * 128, rubric=pb.Rubric(criteria=[criterion] * 128), base_rubric_id="x"
    )
    request = pb.ScoreBatchRequest(items=[full] * 256, expected_fingerprint="f", priority=2, truncation=1)
    assert not holds_more_fields(request.SerializeToString(), SCORE, limits.max_values)
