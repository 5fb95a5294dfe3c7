"""How many calls a server gets, how long it is left alone, and when it is given up."""

import asyncio

import pytest

from promedical_curation.asking.pace import Health, Limit, Pace, retry_after_s


def test_limit_ramps_until_the_first_overload_and_then_grows_by_one_a_round():
    limit = Limit(100)
    for _ in range(18):
        limit.succeeded()
    assert limit.now == 20
    limit.overloaded(sent_at=1.0, at=2.0)
    assert limit.now == 10
    for _ in range(10):
        limit.succeeded()
    assert 10.9 < limit.now < 11.1


def test_limit_is_halved_once_for_calls_that_were_sent_together():
    limit = Limit(100, now=32.0)
    for _ in range(32):
        limit.overloaded(sent_at=1.0, at=2.0)
    assert limit.now == 16
    limit.overloaded(sent_at=3.0, at=4.0)
    assert limit.now == 8


def test_limit_stays_between_one_and_the_most():
    limit = Limit(3)
    for _ in range(9):
        limit.succeeded()
    assert limit.now == 3
    for time in range(9):
        limit.overloaded(sent_at=time, at=time + 0.5)
    assert limit.now == 1


def test_health_complains_when_half_of_the_last_calls_failed():
    health = Health()
    for _ in range(10):
        health.note(None)
        health.note("timeout")
    assert health.complaint == "10 of its last 20 calls failed (timeout 10)"
    health.note(None)
    assert health.complaint is None


def test_health_says_nothing_about_few_calls():
    health = Health()
    for _ in range(19):
        health.note("server_error")
    assert health.complaint is None


async def test_nothing_is_sent_while_the_server_asked_to_wait():
    now = [0.0]
    pace = Pace(4, clock=lambda: now[0])
    pace.slow_down(sent_at=0.0, retry_after_s=0.2)
    slot = pace.slot()
    entered = asyncio.create_task(slot.__aenter__())
    await asyncio.sleep(0.05)
    assert not entered.done()
    now[0] = 0.2
    assert await asyncio.wait_for(entered, 5) == 0.2
    assert (pace.turned_away, pace.in_flight) == (1, 1)


async def test_waiting_for_a_slot_can_be_cancelled_without_losing_it():
    pace = Pace(1)
    async with pace.slot():
        waiting = asyncio.create_task(pace.slot().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), pace.slot():
        assert pace.in_flight == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:01:40 -0000", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(header, seconds):
    assert retry_after_s(header, now=lambda: 60.0) == seconds
