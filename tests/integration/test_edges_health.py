"""Probes: four names over gRPC on two ports, two paths over REST; reflection."""

import asyncio
import contextlib

import grpc
import httpx
import pytest
from edges_kit import NOT_SERVING, SERVING, running, statuses, until
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from starlette.routing import Route


async def rest_probes(server):
    async with httpx.AsyncClient(base_url=server.rest_url) as client:
        return [(await client.get(path)).status_code for path in ("/readyz", "/healthz")]


async def test_health_follows_the_state_on_every_port():
    async with running(loaded=False, health_port=0) as server:
        health_target = f"127.0.0.1:{server.ports.health}"
        assert await statuses(server.grpc_target) == [NOT_SERVING] * 3 + [SERVING]
        assert await rest_probes(server) == [503, 200]
        server.may_load.set()
        await until(lambda: server.health.ready)
        for target in (server.grpc_target, health_target):
            assert await statuses(target) == [SERVING] * 4
        assert await rest_probes(server) == [200, 200]
        server.health.engine_lost()
        assert await statuses(health_target) == [NOT_SERVING] * 4
        assert await rest_probes(server) == [503, 503]


async def test_health_is_open_where_keys_are_asked_for_and_reflection_is_not(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("trainer:0123456789abcdef")
    async with running(keys_file=keys) as server:
        assert await statuses(server.grpc_target) == [SERVING] * 4
        assert await rest_probes(server) == [200, 200]
        async with httpx.AsyncClient(base_url=server.rest_url) as client:
            assert (await client.get("/metrics")).status_code == 200
            for path in ("/docs", "/openapi.json", "/nothing"):
                refused = await client.get(path)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        with pytest.raises(grpc.aio.AioRpcError, match="API key"):
            await reflected(server, ())
        assert "promedical.v1.RewardService" in await reflected(server, (("x-api-key", "0123456789abcdef"),))


OPEN = {"/healthz", "/readyz", "/health", "/ping", "/metrics"}


async def test_rest_asks_for_a_key_at_every_path_but_those_of_probes(tmp_path):
    """Paths are those of the application itself, so that a new one is open only if somebody says so here."""
    keys = tmp_path / "keys"
    keys.write_text("trainer:0123456789abcdef")
    async with running(keys_file=keys) as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        routes = [route for route in server.server._rest_edge().app().routes if isinstance(route, Route)]
        assert {route.path for route in routes} > {*OPEN, "/v1/score", "/", "/rerank", "/docs"}
        for route in routes:
            for method in route.methods or ():
                answer = await client.request(method, route.path.replace("{id}", "general-medical"))
                assert (answer.status_code != 401) is (route.path in OPEN), (method, route.path)
        assert server.oracle.started == 0


async def reflected(server, metadata):
    async with grpc.aio.insecure_channel(server.grpc_target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(metadata=metadata)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        await call.done_writing()
        answer = await call.read()
        return [service.name for service in answer.list_services_response.service]


async def test_reflection_lists_the_services():
    async with running() as server:
        assert await reflected(server, ()) == [
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "promedical.v1.RewardService",
        ]


async def test_health_unknown_name_is_not_found():
    async with running() as server, grpc.aio.insecure_channel(server.grpc_target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_watch_tells_every_change_and_does_not_hold_up_the_drain():
    async with running(loaded=False, stop=False, drain_s=30.0) as server:
        channel = grpc.aio.insecure_channel(server.grpc_target)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="readiness"))
        assert (await watch.read()).status == NOT_SERVING
        server.may_load.set()
        assert (await watch.read()).status == SERVING
        async with asyncio.timeout(20):
            await server.server.stop()
        assert (await watch.read()).status == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs lack it
        await channel.close(None)


async def test_health_ends_the_longest_watch_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.grpc.health._MAX_WATCHES", 3)
    async with running() as server, grpc.aio.insecure_channel(server.grpc_target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = []
        for _ in range(4):
            watches.append(stub.Watch(health_pb2.HealthCheckRequest(service="")))
            assert (await watches[-1].read()).status == SERVING
        assert await watches[0].read() is grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs lack it
        assert await watches[0].code() is grpc.StatusCode.OK
        server.health.engine_lost()
        assert [(await watch.read()).status for watch in watches[1:]] == [NOT_SERVING] * 3
        watches[1].cancel()
        again = stub.Watch(health_pb2.HealthCheckRequest(service="liveness"))
        assert (await again.read()).status == NOT_SERVING


async def ended(reader, at_most_s=30):
    """Wait until the server closes the connection."""
    async with asyncio.timeout(at_most_s):
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass


async def test_health_port_takes_no_more_connections_than_its_limit_and_ends_silent_ones(monkeypatch):
    monkeypatch.setattr("promedical_service.server._SPARE_CONNECTIONS", 4)
    monkeypatch.setattr("promedical_service.edges.grpc.server._HANDSHAKE_TIMEOUT_S", 2.0)
    async with running(health_port=0) as server:
        target = f"127.0.0.1:{server.ports.health}"
        silent = [await asyncio.open_connection("127.0.0.1", server.ports.health) for _ in range(4)]
        await asyncio.gather(*(reader.readexactly(9) for reader, _ in silent))  # greeted, so they count
        late, late_writer = await asyncio.open_connection("127.0.0.1", server.ports.health)
        await ended(late, 1)
        assert not any(reader.at_eof() for reader, _ in silent)

        await asyncio.gather(*(ended(reader) for reader, _ in silent))
        assert await statuses(target) == [SERVING] * 4
        for writer in (late_writer, *(writer for _, writer in silent)):
            writer.close()


async def test_health_port_ends_connections_that_ask_nothing_more(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.grpc.server._IDLE_S", 0.5)
    async with running(health_port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.health)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        await ended(reader)
        writer.close()
        assert await statuses(f"127.0.0.1:{server.ports.health}") == [SERVING] * 4


async def test_health_port_asks_watchers_to_come_again_at_their_age():
    async with (
        running(health_port=0, connection_max_age_s=1.0) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.ports.health}") as channel,
        asyncio.timeout(30),
    ):
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)


async def test_keys_file_that_turns_bad_shows_in_the_metrics_though_nobody_calls(tmp_path, monkeypatch):
    monkeypatch.setattr("promedical_service.server._REREAD_S", 0.02)
    keys = tmp_path / "keys"
    keys.write_text("trainer:0123456789abcdef\nslip\n")
    async with running(keys_file=keys) as server, httpx.AsyncClient(base_url=server.rest_url) as client:

        async def shows(value):
            await until(lambda: f"promedical_keys_file_ok {value}\n".encode() in server.metrics.exposition())

        await shows("0.0")
        keys.write_text("trainer:0123456789abcdef\n")
        await shows("1.0")
        keys.unlink()
        await shows("0.0")
        assert (await client.get("/v1/model", headers={"x-api-key": "0123456789abcdef"})).status_code == 401
