"""What only gRPC can get wrong: bytes that are no message, metadata, unknown numbers."""

import asyncio
import random
import time
from typing import Any

import grpc
import pytest
from edges_kit import client_of, running, score_request, until
from grpc_health.v1 import health_pb2, health_pb2_grpc

from promedical.v1 import requests
from promedical.v1 import reward_pb2 as pb
from promedical_service.edges.grpc import server as grpc_server

SCORE = "/promedical.v1.RewardService/ScoreBatch"


async def send(server, wire, method=SCORE):
    """Send bytes as they are; returns the status, its message and the trailers."""
    async with grpc.aio.insecure_channel(server.grpc_target) as channel:
        return await _send(channel, wire, method)


async def _send(channel, wire, method=SCORE):
    try:
        await channel.unary_unary(method)(wire, timeout=60)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details(), dict(iter(error.trailing_metadata()))
    return "OK", "", {}


async def test_grpc_answers_invalid_argument_to_bytes_that_are_no_message():
    async with running() as server:
        code, message, trailers = await send(server, b"\xff\xff\xff\xff")
        assert code == "INVALID_ARGUMENT"
        assert message == (
            "The message is not a promedical.v1.ScoreBatchRequest with text in UTF-8; check what the client sends"
        )
        assert "grpc-status-details-bin" in trailers


async def test_grpc_refuses_a_lone_surrogate_in_any_text():
    good = requests.encode_score_request(score_request(id="ZZZ", prompt="ZZZ", responses=("ZZZ", "r")))
    wire = good.SerializeToString()
    assert wire.count(b"ZZZ") == 3
    async with running() as server:
        for number in range(3):
            parts = wire.split(b"ZZZ")
            broken = b"ZZZ".join(parts[: number + 1]) + b"\xed\xa0\x80" + b"ZZZ".join(parts[number + 1 :])
            code, message, _ = await send(server, broken)
            assert code == "INVALID_ARGUMENT"
            assert "UTF-8" in message
        assert server.oracle.started == 0


async def test_grpc_random_bytes_never_make_the_service_fail():
    chance = random.Random(20260811)
    good = requests.encode_score_request(score_request()).SerializeToString()
    async with running() as server, grpc.aio.insecure_channel(server.grpc_target) as channel:
        for round_number in range(200):
            wire = bytearray(good) if round_number % 2 else bytearray(chance.randbytes(chance.randrange(1, 200)))
            for _ in range(chance.randrange(1, 6)):
                wire[chance.randrange(len(wire))] = chance.randrange(256)
            method = chance.choice(["ScoreBatch", "RankResponses", "ListRubrics", "GetRubric", "GetModel"])
            code, _, _ = await _send(channel, bytes(wire), f"/promedical.v1.RewardService/{method}")
            assert code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND")


@pytest.mark.parametrize(
    ("count", "said"), [(130_000, "items holds 130000; "), (1_000_000, "The message holds more than 282640 fields, ")]
)
async def test_grpc_refuses_far_too_many_items_without_decoding_them(count, said):
    async with running() as server:
        started = time.monotonic()
        code, message, _ = await send(server, b"\x0a\x02\x0a\x00" * count)
        assert time.monotonic() - started < 20
        assert code == "RESOURCE_EXHAUSTED"
        assert message.startswith(said)
        assert server.oracle.started == 0


async def test_grpc_names_the_field_of_an_unknown_enumeration_number():
    wire = requests.encode_score_request(score_request())
    wire.items[0].rubric.criteria[0].dimension = 77
    async with running() as server, client_of("grpc", server) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.ScoreBatch(wire)
        answer = client._read(caught.value)
        assert (answer.code, answer.fields) == ("invalid_request", ("items[0].rubric.criteria[0].dimension",))


async def test_grpc_ignores_fields_of_a_later_version():
    wire = requests.encode_score_request(score_request()).SerializeToString() + b"\xfa\x7f\x03new"
    async with running() as server:
        assert (await send(server, wire))[0] == "OK"


async def test_grpc_unknown_method_is_unimplemented():
    async with running() as server:
        assert (await send(server, b"", "/promedical.v1.RewardService/Nothing"))[0] == "UNIMPLEMENTED"


async def test_grpc_refuses_metadata_over_the_limit():
    async with running() as server, client_of("grpc", server) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.GetModel(pb.GetModelRequest(), metadata=(("x-filler", "x" * 40_000),))
        assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL)
        assert (await client.ask("GetModel")).code == "ok"


async def test_grpc_connections_are_asked_to_reconnect_at_their_age():
    async with running(connection_max_age_s=0.3) as server, client_of("grpc", server) as client:
        assert (await client.ask("GetModel")).code == "ok"
        async with asyncio.timeout(60):
            await client.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        assert (await client.ask("GetModel")).code == "ok"


async def test_grpc_closes_connections_that_bring_nothing_in_time(monkeypatch):
    monkeypatch.setattr(grpc_server, "_HANDSHAKE_TIMEOUT_S", 0.3)
    async with running() as server, client_of("grpc", server) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.grpc)
        async with asyncio.timeout(30):
            await reader.read()  # what HTTP/2 greets with, then the end
        writer.close()
        assert (await client.ask("GetModel")).code == "ok"


async def test_grpc_takes_no_more_streams_of_one_connection_than_its_limit(monkeypatch):
    monkeypatch.setattr("promedical_service.server._SPARE_CONNECTIONS", 2)
    async with running(max_concurrent_requests=2) as server, client_of("grpc", server) as client:
        await client.ask("GetModel")  # the client hears of the limit when it connects
        health = health_pb2_grpc.HealthStub(client.channel)
        *taken, late = (health.Watch(health_pb2.HealthCheckRequest(service="")) for _ in range(5))
        for each in taken:
            await each.read()
        reading = asyncio.create_task(late.read())
        assert not (await asyncio.wait({reading}, timeout=0.5))[0]
        taken[0].cancel()
        async with asyncio.timeout(20):
            assert (await reading).status == health_pb2.HealthCheckResponse.SERVING


async def test_grpc_answers_more_calls_of_one_connection_than_it_takes_and_goes_on(monkeypatch):
    monkeypatch.setattr("promedical_service.server._SPARE_CONNECTIONS", 2)
    async with running(max_concurrent_requests=2) as server, client_of("grpc", server) as client:
        await client.ask("GetModel")  # the client hears of the limit when it connects
        server.oracle.gate = asyncio.Event()
        calls = [asyncio.create_task(client.ask("ScoreBatch", score_request())) for _ in range(40)]
        await until(lambda: server.oracle.started == 2)
        assert server.server._desk.in_flight <= 4
        server.oracle.gate.set()
        codes = [answer.code.lower() for answer in await asyncio.gather(*calls)]
        assert set(codes) <= {"ok", "overloaded", "unavailable"}
        assert codes.count("ok") >= 2
        assert (await client.ask("ScoreBatch", score_request())).code == "ok"


async def test_grpc_refuses_a_call_without_a_key_before_its_message_is_read(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("trainer: 0123456789abcdef\n")
    async with running(keys_file=keys) as server, grpc.aio.insecure_channel(server.grpc_target) as channel:
        send: Any = channel.stream_unary(SCORE, None, None)
        call = send(timeout=10)  # a call whose message never comes
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
        trailers = dict(iter(await call.trailing_metadata()))
        assert "grpc-status-details-bin" in trailers
        assert "x-request-id" in trailers
        counted = 'promedical_requests_total{code="unauthenticated",method="ScoreBatch",transport="grpc"} 1.0'
        assert counted in server.metrics.exposition().decode()
        known = send(timeout=1, metadata=(("x-api-key", "0123456789abcdef"),))
        assert await known.code() is grpc.StatusCode.DEADLINE_EXCEEDED
