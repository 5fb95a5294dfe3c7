"""Calls that have arrived and that nobody has taken up when a server begins to leave: gRPC drops them, unread."""

import asyncio
import signal

import gated
from promedical_client import AsyncClient
from promedical_client.errors import UnavailableError
from serving import running_server

CALLS = 60


async def test_calls_dropped_by_a_leaving_server_may_be_sent_again() -> None:
    with running_server("--engine=fake", program=(gated.__file__,), FAKE_TOKENS_PER_S="20000") as server:
        async with AsyncClient(server.grpc_url, max_attempts=1) as client:
            await client.model()  # the connection is there
            server.process.send_signal(signal.SIGUSR1)
            calls = [asyncio.create_task(client.score([gated.item(f"i{n}", ["a", "b"])])) for n in range(CALLS)]
            await asyncio.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert server.ended() == 0, server.log

    failures = [each for each in results if isinstance(each, BaseException)]
    assert failures
    assert all(isinstance(each, UnavailableError) and each.retryable for each in failures), failures
