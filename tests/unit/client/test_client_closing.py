"""A client that is closed while it is asked: every caller hears of it, and nothing is lost in silence."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_client_loopback import Oracle, item, judge, on_both_transports, serving

from promedical.messages import ScoreRequest
from promedical_client import AsyncClient, Client, MockTransport, UnavailableError, judged_by
from promedical_client.transports.base import Call

CLOSED = "the client was closed during the call"
ITEMS = [item(f"i{n}") for n in range(100)]


def holding_the_second_chunk():
    """An oracle that answers the first chunk of `ITEMS` and never the second, and what is set once it has that."""
    arrived = threading.Event()

    async def score(request):
        if request.items[0].id != "i0":
            arrived.set()
            await asyncio.sleep(30)
        return judged_by(judge)(request)

    return Oracle(score=score), arrived


def one_request(client):
    """The second chunk's first item, asked in the task that is awaited, as every method but `score` asks."""
    return client._transport.score(ScoreRequest(items=(ITEMS[64],)), Call(timeout_s=20, request_id="r"))


def assert_told(error):
    assert (error.message, error.retryable) == (CLOSED, False)
    assert [outcome.id for outcome in error.partial] == [f"i{n}" for n in range(64)]


@on_both_transports
async def test_closing_ends_a_call_with_an_error_that_holds_what_was_answered(transport):
    oracle, arrived = holding_the_second_chunk()
    with serving(oracle, transport) as url:
        client, answered = AsyncClient(url), asyncio.Event()
        call = asyncio.create_task(client.score(ITEMS, on_progress=lambda *_: answered.set()))
        await asyncio.to_thread(arrived.wait, 10)
        await answered.wait()
        await client.aclose()
        with pytest.raises(UnavailableError) as caught:
            await call
    assert_told(caught.value)
    assert len(oracle.seen) == 2, "it was not sent again"


@on_both_transports
async def test_closing_ends_every_other_method_too(transport):
    oracle, arrived = holding_the_second_chunk()
    with serving(oracle, transport) as url:
        client = AsyncClient(url)
        call = asyncio.create_task(one_request(client))
        await asyncio.to_thread(arrived.wait, 10)
        await client.aclose()
        with pytest.raises(UnavailableError, match=CLOSED):
            await call
        assert await client.rubrics(), "a later call opens new connections"
        await client.aclose()


@on_both_transports
async def test_cancelling_the_callers_task_stays_a_cancellation(transport):
    oracle, arrived = holding_the_second_chunk()
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            for ask in (client.score(ITEMS), one_request(client)):
                arrived.clear()
                call = asyncio.create_task(ask)
                await asyncio.to_thread(arrived.wait, 10)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call


@on_both_transports
def test_closing_a_synchronous_client_ends_the_call_of_another_thread(transport):
    oracle, arrived = holding_the_second_chunk()
    with serving(oracle, transport) as url, ThreadPoolExecutor(1) as threads:
        client, answered = Client(url), threading.Event()
        call = threads.submit(client.score, ITEMS, on_progress=lambda *_: answered.set())
        assert arrived.wait(10)
        assert answered.wait(10)
        client.close()
        error = call.exception(10)
    assert type(error) is UnavailableError
    assert_told(error)


def test_closing_a_synchronous_client_ends_what_waits_for_no_connection(monkeypatch):
    monkeypatch.setattr("promedical_client.sync._CLOSING_S", 0.05)
    arrived = threading.Event()

    async def hang(_):
        arrived.set()
        await asyncio.sleep(30)

    with ThreadPoolExecutor(1) as threads:
        client = Client(transport=MockTransport(score=hang))
        call = threads.submit(client.score, [item("a")])
        assert arrived.wait(10)
        client.close()
        assert type(call.exception(10)) is UnavailableError


@pytest.mark.parametrize("count", [1, 100])
async def test_a_transport_that_cancels_itself_does_not_lose_items_in_silence(count):
    async def cancels_itself(request):
        if request.items[0].id == "i0" and count > 1:
            return judged_by(judge)(request)
        raise asyncio.CancelledError

    with pytest.raises(UnavailableError, match=CLOSED) as caught:
        await AsyncClient(transport=MockTransport(score=cancels_itself)).score(ITEMS[:count])
    assert len(caught.value.partial) == (64 if count > 1 else 0)
