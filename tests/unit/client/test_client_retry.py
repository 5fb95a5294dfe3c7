"""What is sent again, when, and until when."""

import asyncio
import math
import time

import pytest
from tenacity import Future, RetryCallState
from test_client_loopback import Failure, Oracle, item, judge, on_both_transports, serving

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical_client import AsyncClient, DeadlineError, MockTransport, OverloadedError, UnavailableError, judged_by
from promedical_client.errors import error_class
from promedical_client.retry import MAX_ATTEMPTS, _wait_s

RETRYABLE = [code for code, row in ERROR_TABLE.items() if row.retryable]
FINAL = [code for code, row in ERROR_TABLE.items() if not row.retryable]


def flaky(*failures):
    """A mock that fails with these, one a call, before it scores."""
    left = list(failures)

    def score(request):
        if left:
            raise left.pop(0)
        return judged_by(judge)(request)

    return MockTransport(score=score)


@on_both_transports
@pytest.mark.parametrize("code", RETRYABLE)
async def test_retryable_errors_are_sent_again_under_one_request_id(code, transport):
    oracle = Oracle()
    oracle.script.extend([Failure(code, retry_after_s=0.01)] * 2)
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            answer = await client.score([item("a")])
    assert answer.items[0].result
    assert len(oracle.seen) == 3
    assert len({seen.metadata["x-request-id"] for seen in oracle.seen}) == 1


@pytest.mark.parametrize("code", FINAL)
async def test_other_errors_are_not_sent_again(code):
    transport = flaky(error_class(code)("no"), error_class(code)("no"))
    with pytest.raises(error_class(code)):
        await AsyncClient(transport=transport).score([item("a")])
    assert len(transport.calls) == 1


async def test_attempts_end_and_the_last_error_is_raised():
    transport = flaky(*[UnavailableError(f"{n}", retry_after_s=0.001) for n in range(1, 9)])
    with pytest.raises(UnavailableError, match="3"):
        await AsyncClient(transport=transport, max_attempts=3).score([item("a")])
    assert len(transport.calls) == 3


@on_both_transports
async def test_the_delay_that_the_server_asks_for_is_kept(transport):
    oracle = Oracle()
    oracle.script.append(Failure(ErrorCode.OVERLOADED, retry_after_s=0.15))
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            await client.score([item("a")])
    first, second = oracle.seen
    assert second.at_s - first.at_s >= 0.15


async def test_pushback_wins_over_retry_info():
    oracle = Oracle()
    oracle.script.append(Failure(ErrorCode.OVERLOADED, retry_after_s=60.0, pushback_ms="120"))
    with serving(oracle, "grpc") as url:
        async with AsyncClient(url) as client:
            await client.score([item("a")])
    first, second = oracle.seen
    assert 0.12 <= second.at_s - first.at_s < 10


async def test_a_wait_that_would_pass_the_deadline_is_not_begun():
    transport = flaky(OverloadedError("full", retry_after_s=60.0))
    began = time.monotonic()
    with pytest.raises(DeadlineError, match=r"timeout_s, which is 1 s \(overloaded: full\)"):
        await AsyncClient(transport=transport).score([item("a")], timeout_s=1.0)
    assert time.monotonic() - began < 30, "it did not wait for the minute that the server asked for"
    assert len(transport.calls) == 1


async def test_attempts_share_one_deadline():
    oracle = Oracle()
    oracle.script.extend([Failure(ErrorCode.UNAVAILABLE, retry_after_s=0.1)] * 2)
    with serving(oracle, "http") as url:
        async with AsyncClient(url) as client:
            await client.score([item("a")], timeout_s=5.0)
    left = [seen.timeout_s for seen in oracle.seen]
    assert left[0] - left[2] >= 0.2


@on_both_transports
async def test_a_service_that_does_not_answer_ends_with_the_deadline(transport):
    async def hang(_request):
        await asyncio.sleep(30)

    with serving(Oracle(score=hang), transport) as url:
        async with AsyncClient(url) as client:
            began = time.monotonic()
            with pytest.raises(DeadlineError):
                await client.score([item("a")], timeout_s=0.2)
            assert time.monotonic() - began < 20


@on_both_transports
@pytest.mark.parametrize("timeout_s", [86_400.5, 1e6, 1e12, math.inf])
async def test_more_than_a_day_is_told_as_a_day(timeout_s, transport):
    oracle = Oracle()
    with serving(oracle, transport) as url:
        async with AsyncClient(url, max_attempts=1) as client:
            assert (await client.score([item("a")], timeout_s=timeout_s)).items[0].result
    tolerance = 0 if transport == "http" else 100  # gRPC writes three digits
    assert 86_300 < oracle.seen[0].timeout_s <= 86_400 + tolerance


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, math.nan])
async def test_no_time_left_sends_nothing(timeout_s):
    transport = flaky()
    with pytest.raises(DeadlineError):
        await AsyncClient(transport=transport).score([item("a")], timeout_s=timeout_s)
    assert transport.calls == []


def wait_before(attempt, error):
    """What is waited after this attempt failed with this error."""
    state = RetryCallState(None, None, (), {})
    state.attempt_number = attempt
    state.outcome = Future.construct(attempt, error, has_exception=True)
    return _wait_s(state)


@pytest.mark.parametrize(("attempt", "backoff"), [(1, 0.2), (2, 0.4), (5, 3.2), (8, 20.0), (2000, 20.0)])
@pytest.mark.parametrize("told", [None, 0.05, 1.0, 30.0])
def test_the_wait_is_the_longer_of_backoff_and_hint_and_spread(attempt, backoff, told):
    least = max(backoff, told or 0.0)
    waits = [wait_before(attempt, OverloadedError("full", retry_after_s=told)) for _ in range(20)]
    assert all(least <= wait <= 1.25 * least for wait in waits)
    assert len(set(waits)) > 1


def test_by_default_a_minute_of_restarts_is_ridden_out_within_the_deadline():
    hinted = UnavailableError("starting", retry_after_s=0.05)
    assert 60 < sum(wait_before(attempt, hinted) for attempt in range(1, MAX_ATTEMPTS)) < 100
    assert AsyncClient()._retries.max_attempts == MAX_ATTEMPTS == 10


async def test_waits_end_with_the_deadline_before_attempts_do():
    transport = flaky(*[UnavailableError("starting", retry_after_s=0.001)] * 10)
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await AsyncClient(transport=transport).score([item("a")], timeout_s=1.0)
    assert time.monotonic() - began < 20
    assert len(transport.calls) == 3


async def test_a_cancelled_call_is_cancelled_and_not_sent_again():
    started = asyncio.Event()

    async def hang(_request):
        started.set()
        await asyncio.sleep(30)

    transport = MockTransport(score=hang)
    task = asyncio.create_task(AsyncClient(transport=transport).score([item("a")]))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(transport.calls) == 1
