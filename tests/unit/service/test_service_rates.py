"""The rate limit: per key, in a sliding window, with a time to come back that is true."""

import time

import pytest

from promedical.errors import ErrorCode
from promedical_service.edges.rates import RateLimit
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError


def refusal(rates: RateLimit, key: str) -> ServiceError | None:
    try:
        rates.check(key)
    except ServiceError as error:
        return error
    return None


def test_no_rate_refuses_nothing():
    rates = RateLimit(None)
    assert [refusal(rates, "a") for _ in range(1000)] == [None] * 1000


def test_keys_are_counted_apart():
    rates = RateLimit("3/hour")

    outcomes = [refusal(rates, key) is None for key in "aaabaab"]

    assert outcomes == [True, True, True, True, False, False, True]


def test_refusal_says_when_to_come_back_and_means_it():
    rates = RateLimit("2 per 1 second")
    rates.check("a")
    rates.check("a")
    refused = refusal(rates, "a")
    assert refused is not None
    assert refused.code is ErrorCode.RATE_LIMITED
    assert refused.retry_after_s is not None
    assert 0.1 <= refused.retry_after_s <= 2
    assert "2 per 1 second" in refused.message

    time.sleep(refused.retry_after_s + 0.05)
    assert refusal(rates, "a") is None


@pytest.mark.parametrize("rate", ["", "many", "5/eon", "0/minute", "-1/minute", "5", "600/minute;10/second"])
def test_rate_that_is_none_is_refused_by_name(rate):
    with pytest.raises(ConfigurationError, match="rate_limit: expected"):
        RateLimit(rate)
