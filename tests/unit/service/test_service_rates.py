"""The rates of requests and tokens: per name, in a sliding window, with a time to come back that is true."""

import time

import pytest

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError
from promedical_service.tenancy.rates import Rates, read_rate
from promedical_service.tenancy.tenant import Tenant


def refusal(rates: Rates, key: str) -> ServiceError | None:
    try:
        rates.check(Tenant(name=key))
    except ServiceError as error:
        return error
    return None


def test_no_rate_refuses_nothing():
    rates = Rates(None)
    assert [refusal(rates, "a") for _ in range(1000)] == [None] * 1000


def test_keys_are_counted_apart():
    rates = Rates("3/hour")

    outcomes = [refusal(rates, key) is None for key in "aaabaab"]

    assert outcomes == [True, True, True, True, False, False, True]


def test_refusal_says_when_to_come_back_and_means_it():
    rates = Rates("2 per 1 second")
    rates.check(Tenant(name="a"))
    rates.check(Tenant(name="a"))
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
        Rates(rate)


def test_tenants_own_rate_counts_instead_of_the_services():
    rates = Rates("1/hour", "10/hour")
    eager = Tenant(name="eager", requests=read_rate("3/hour"), tokens=read_rate("30/hour"))
    for _ in range(3):
        rates.check(eager)
    with pytest.raises(ServiceError):
        rates.check(eager)
    rates.spend(eager, 30)
    with pytest.raises(ServiceError, match="10 per 1 hour"):
        rates.spend(Tenant(name="plain"), 11)


def test_tokens_over_the_rate_are_refused_until_they_fit():
    rates, tenant = Rates(None, "100 per 1 second"), Tenant(name="a")
    rates.spend(tenant, 60)
    with pytest.raises(ServiceError) as caught:
        rates.spend(tenant, 60)
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert 0.1 <= caught.value.retry_after_s <= 2
    rates.spend(Tenant(name="b"), 100)

    time.sleep(caught.value.retry_after_s + 0.05)
    rates.spend(tenant, 60)


def test_tokens_over_the_whole_rate_are_too_large_for_ever():
    with pytest.raises(ServiceError) as caught:
        Rates(None, "100/minute").spend(Tenant(name="a"), 101)
    assert (caught.value.code, caught.value.retry_after_s) == (ErrorCode.TOO_LARGE, None)


def test_token_rate_that_is_none_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="token_rate_limit: expected one rate"):
        Rates(None, "many")
