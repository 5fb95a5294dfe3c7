"""Counts of a request."""

import pytest

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.limits import CountLimits

LIMITS = CountLimits(max_items=2, max_responses_per_item=3, max_criteria_per_item=4, max_messages_per_item=5)


def test_limits_allow_as_many_as_they_say():
    LIMITS.check_items(2)
    LIMITS.check_item("items[0]", responses=3, criteria=4, messages=5)
    LIMITS.check_item("", responses=0, criteria=0)


@pytest.mark.parametrize(
    ("path", "counts", "said"),
    [
        ("items[7]", {"responses": 4, "criteria": 0}, "items[7].responses holds 4; at most 3 are allowed"),
        ("items[7]", {"responses": 0, "criteria": 5}, "items[7].rubric.criteria holds 5; at most 4 are allowed"),
        ("", {"responses": 0, "criteria": 0, "messages": 6}, "prompt holds 6; at most 5 are allowed"),
    ],
)
def test_limits_name_what_holds_too_much(path, counts, said):
    with pytest.raises(ServiceError) as caught:
        LIMITS.check_item(path, **counts)
    assert (caught.value.code, caught.value.message) == (ErrorCode.TOO_LARGE, f"{said}; split the request")


def test_limits_bound_values_by_what_a_full_request_holds_and_never_below_what_costs_nothing():
    assert LIMITS.max_values == 100_000
    large = CountLimits(max_items=1000, max_responses_per_item=100, max_criteria_per_item=10, max_messages_per_item=5)
    assert large.max_values == 16 + 1000 * (16 + 100 + 6 * 10 + 3 * 5)


def test_limits_refuse_too_many_items():
    with pytest.raises(ServiceError, match=r"^items holds 3; at most 2 are allowed; split the request$"):
        LIMITS.check_items(3)
