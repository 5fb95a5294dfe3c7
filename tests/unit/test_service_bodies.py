"""Wrong bodies: what is said about them, and how long that takes."""

import json
import time

import pytest
from pydantic import TypeAdapter

from promedical import messages as m
from promedical_service.bodies import parse_body
from promedical_service.errors import ServiceError
from promedical_service.failures import Refusal
from promedical_service.limits import CountLimits

SCORE, RANK = TypeAdapter(m.ScoreRequest), TypeAdapter(m.RankRequest)
LIMITS = CountLimits(max_items=256, max_responses_per_item=128, max_criteria_per_item=128)
ENDLESS = CountLimits(max_items=10**9, max_responses_per_item=10**9, max_criteria_per_item=10**9)


def refusal(body, limits=LIMITS, adapter=SCORE):
    with pytest.raises(Refusal) as caught:
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
        ("", "The body has over 100000 faults; see /docs for its shape")
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
    assert found == [("", "An object of the body has over 32 fields; see /docs for those there are")]


def test_bodies_that_are_no_json_say_where():
    assert faults(b'{"items":\n  secret}') == [("", "The body is not JSON; look at line 2, column 3")]


@pytest.mark.parametrize("items", [5, "x" * 1000, {"a": 1}, [5, "x", [], None, {"responses": {}, "rubric": []}]])
def test_bodies_of_wrong_kinds_are_left_to_validation(items):
    assert refusal({"items": items}).code == "invalid_request"


def test_bodies_that_rank_are_counted_as_one_item():
    body = {"prompt": [5] * 2000, "responses": [], "rubric_id": "house"}
    with pytest.raises(ServiceError, match=r"^prompt holds 2000; at most 1024 are allowed"):
        parse_body(RANK, json.dumps(body).encode(), LIMITS)
