"""Wrong bodies: what is said about them, and how long that takes."""

import json
import time
import tracemalloc

import pytest
from pydantic import TypeAdapter

from promedical import messages as m
from promedical.rubric import InvalidField
from promedical_service.edges.json_body import parse_body
from promedical_service.errors import ServiceError
from promedical_service.limits import CountLimits

SCORE, RANK = TypeAdapter(m.ScoreRequest), TypeAdapter(m.RankRequest)
LIMITS = CountLimits(max_items=256, max_responses_per_item=128, max_criteria_per_item=128)
ENDLESS = CountLimits(max_items=10**9, max_responses_per_item=10**9, max_criteria_per_item=10**9)


def refusal(body, limits=LIMITS, adapter=SCORE):
    with pytest.raises(ServiceError) as caught:
        parse_body(adapter, body if isinstance(body, bytes) else json.dumps(body).encode(), limits)
    return caught.value


def faults(*args):
    return [(violation.field, violation.message) for violation in refusal(*args).violations]


def test_bodies_with_a_fault_in_each_of_many_items_are_read_in_linear_time():
    started = time.monotonic()
    found = faults({"items": [{"prompt": 5}] * 20_000}, ENDLESS)
    assert time.monotonic() - started < 20, "quadratic, it took over a minute"
    assert len(found) == 20
    assert found[:2] == [
        ("items[0].id", "Field required"),
        ("items[0].prompt", "Input should be a valid string or a list of messages"),
    ]


def test_bodies_with_endless_faults_are_not_read_to_the_end():
    assert faults({"items": [{}] * 40_000}, ENDLESS) == [
        ("", "The body has more than 100000 faults; see /docs for its shape")
    ]


def test_bodies_a_complaint_about_a_message_hides_the_one_about_its_prompt_only():
    good = {"id": "a", "responses": ["r"]}
    items = [good | {"prompt": [{"role": "robot", "content": "x"}]}, good | {"prompt": 5}, good | {"prompt": [7]}]
    assert [field for field, _ in faults({"items": items})] == [
        "items[0].prompt[0].role",
        "items[1].prompt",
        "items[2].prompt[0]",
    ]


def test_bodies_with_too_many_fields_in_an_object_are_refused():
    found = faults({"items": [{f"x{number}": 1 for number in range(33)}]})
    assert found == [("", "An object in the body has more than 32 fields; see /docs for the known ones")]


def test_bodies_that_are_no_json_say_where():
    assert faults(b'{"items":\n  secret}') == [("", "The body is not JSON; look at line 2, column 3")]


@pytest.mark.parametrize("items", [5, "x" * 1000, {"a": 1}, [5, "x", [], None, {"responses": {}, "rubric": []}]])
def test_bodies_of_wrong_kinds_are_left_to_validation(items):
    assert refusal({"items": items}).code == "invalid_request"


def test_bodies_that_rank_are_counted_as_one_item():
    body = {"prompt": [5] * 2000, "responses": [], "rubric_id": "house"}
    with pytest.raises(ServiceError, match=r"^prompt holds 2000; at most 1024 are allowed"):
        parse_body(RANK, json.dumps(body).encode(), LIMITS)


@pytest.mark.parametrize("piece", [b"[[[]]],", b'"",', b'{"a":{}},', b'"\\\\",', b"1,"])
def test_bodies_of_more_values_than_any_request_needs_are_refused_before_those_are_made(piece):
    body = b'{"items": [{"x": [' + piece * (4 * 2**20 // len(piece)) + b"0]}]}"
    tracemalloc.start()
    try:
        with pytest.raises(ServiceError, match=r"^The body holds more than 282640 values") as caught:
            parse_body(SCORE, body, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(body), "made into objects it takes over 30 times as much"
    finally:
        tracemalloc.stop()
    assert caught.value.code == "too_large"


def test_bodies_of_every_allowed_size_are_not_over_the_number_of_values():
    criterion = {"id": "c", "text": "t", "dimension": "safety", "polarity": "negative", "weight": None}
    turns = [{"role": "user", "content": "x"}] * 64
    full = {
        "id": "a", "prompt": turns, "responses": ["r"] * 128, "rubric": {"criteria": [criterion] * 128},
        "rubric_id": None, "base_rubric_id": None,
    }  # fmt: skip
    options = {"reward_weights": {}, "expected_fingerprint": None, "priority": "bulk", "truncation": "none"}
    asked = parse_body(SCORE, json.dumps({"items": [full] * 256, **options}).encode(), LIMITS)
    assert len(asked.items) == 256


def test_bodies_count_what_stands_in_text_as_text():
    text = 'a, b, [c], {d}, "e", \\' * 100_000
    body = {"items": [{"id": "a", "prompt": text, "responses": [text]}]}
    assert parse_body(SCORE, json.dumps(body).encode(), LIMITS).items[0].responses == (text,)


def test_bodies_that_end_inside_a_text_are_read_in_linear_time():
    started = time.monotonic()
    assert refusal(b'{"items": ["' + b'\\",' * 2_000_000).code == "invalid_request"
    assert time.monotonic() - started < 20, "quadratic, it would take days"


def test_bodies_with_what_is_no_unicode_name_the_field_and_no_name_of_the_callers():
    for body, field in (
        ({"items": [{"id": "a", "prompt": [{"role": "user", "content": "\ud800"}]}]}, "items[0].prompt[0].content"),
        ({"items": [{"secret": {"id": ["\udfff"]}}]}, "items[0]"),
        ({"\ud800": 1}, ""),
    ):
        with pytest.raises(InvalidField) as caught:
            parse_body(SCORE, json.dumps(body).encode(), LIMITS)
        assert caught.value.field == field
        assert "lone surrogate" in caught.value.reason


@pytest.mark.parametrize("body", [b'{"items": [{"secret": 1}]}', b"{", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_bodies_that_are_refused_do_not_live_on_in_the_error(body):
    caught = refusal(body)
    assert caught.__context__ is caught.__cause__ is None


def test_bodies_nested_too_deeply_are_told_so():
    assert faults(b"[" * 100_000) == [("", "The body is nested too deeply; see /docs for its shape")]


def test_bodies_in_another_encoding_are_told_so():
    assert faults('{"items": "é"}'.encode("latin-1")) == [("", "The body is not UTF-8; send JSON in UTF-8")]
