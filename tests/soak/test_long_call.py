"""One call that takes minutes: a client's pings on the way must not count as too many."""

import asyncio
import os

import pytest
from edges_kit import running, score_request

from promedical_client import AsyncClient

LASTS_S = 270.0
"""gRPC's own server closes a connection after four minutes of pings every 30 s, unless told that they are fine."""

pytestmark = [
    pytest.mark.skipif(
        not float(os.environ.get("SOAK_SECONDS", "0")), reason="the call takes minutes; make soak makes it"
    ),
    pytest.mark.timeout(LASTS_S + 60),
]


async def test_call_of_minutes_is_answered_at_its_first_attempt() -> None:
    async with running() as server, AsyncClient(f"grpc://{server.grpc_target}", timeout_s=2 * LASTS_S) as client:
        server.oracle.gate = asyncio.Event()
        call = asyncio.create_task(client.score(score_request().items))
        await asyncio.wait({call}, timeout=LASTS_S)
        server.oracle.gate.set()
        await call
        assert server.oracle.started == 1
