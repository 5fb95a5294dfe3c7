"""The end: nothing in flight is lost, new calls are told to go elsewhere, the process ends with the right code."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from edges_kit import Grpc, client_of, running, score_request, until

from promedical_service.health import Health
from promedical_service.server import Server
from promedical_service.settings import ConfigurationError, Settings
from promedical_service.telemetry.metrics import Metrics
from promedical_service.telemetry.tracing import Tracing

KIT = Path(__file__).with_name("edges_kit.py")


@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_drain_answers_what_is_in_flight_and_refuses_what_comes(transport):
    async with running(stop=False) as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        waiting = [asyncio.create_task(client.ask("ScoreBatch", score_request())) for _ in range(20)]
        await until(lambda: server.oracle.started == 20)
        stopping = asyncio.create_task(server.server.stop())
        await until(lambda: not server.health.ready)
        async with client_of(transport, server) as late:
            assert (await late.ask("ScoreBatch", score_request())).code.lower() == "unavailable"
        server.oracle.gate.set()
        assert {answer.code for answer in await asyncio.gather(*waiting)} == {"ok"}
        await stopping
        assert server.drained == [20]


@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_drain_answers_unavailable_to_what_does_not_end_in_time(transport):
    async with running(stop=False, drain_s=0.1) as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        waiting = [asyncio.create_task(client.ask("ScoreBatch", score_request())) for _ in range(5)]
        await until(lambda: server.oracle.started == 5)
        await server.server.stop()
        assert {answer.code for answer in await asyncio.gather(*waiting)} == {"unavailable"}


async def test_drain_rest_tells_kept_alive_connections_to_close():
    async with running(stop=False) as server, client_of("rest", server) as client:
        server.oracle.gate = asyncio.Event()
        asking = asyncio.create_task(client.client.post("/v1/score", json=_body("x")))
        await until(lambda: server.oracle.started == 1)
        stopping = asyncio.create_task(server.server.stop())
        await until(lambda: not server.health.ready)
        assert (await client.client.get("/readyz")).status_code == 503
        server.oracle.gate.set()
        assert (await asking).headers["connection"] == "close"
        await stopping


async def test_stop_while_loading_does_not_wait_for_the_model():
    async with running(loaded=False, stop=False) as server, asyncio.timeout(60):
        await server.server.stop()


def _body(seconds):
    criterion = {"id": "c", "text": "t", "dimension": "safety"}
    item = {"id": "a", "prompt": seconds, "responses": ["r"], "rubric": {"criteria": [criterion]}}
    return {"items": [item]}


class Process:
    """promedical-serve over the scripted oracle."""

    def __init__(self, process, ports):
        self.process = process
        self.rest = f"http://127.0.0.1:{ports['rest_port']}"
        self.grpc = f"127.0.0.1:{ports['grpc_port']}"
        self.lines = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))

    @classmethod
    async def start(cls, *flags, environment=None):
        command = (sys.executable, KIT, "--rest-port=0", "--grpc-port=0", *flags)
        environment = os.environ | (environment or {})
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
        line = json.loads(await process.stderr.readline())
        assert line["event"] == "listening"
        started = cls(process, line)
        await until(lambda: any(line["event"] == "ready" for line in started.lines))
        return started

    async def ended(self):
        code = await self.process.wait()
        await self.reading
        return code


async def test_process_answers_200_calls_in_flight_at_sigterm_and_exits_0():
    server = await Process.start()
    limits = httpx.Limits(max_connections=None)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        httpx.AsyncClient(base_url=server.rest, limits=limits, timeout=30) as client,
        grpc.aio.insecure_channel(server.grpc, options=options) as channel,
    ):
        grpc_client = Grpc(channel)
        rest = [asyncio.create_task(client.post("/v1/score", json=_body("1.5"))) for _ in range(100)]
        wire = score_request(prompt="1.5")
        over_grpc = [asyncio.create_task(grpc_client.ask("ScoreBatch", wire)) for _ in range(100)]
        async with httpx.AsyncClient(base_url=server.rest) as probe:
            while "promedical_requests_in_flight 200.0" not in (await probe.get("/metrics")).text:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        assert {response.status_code for response in await asyncio.gather(*rest)} == {200}
        assert {answer.code for answer in await asyncio.gather(*over_grpc)} == {"ok"}
    assert await server.ended() == 0
    assert server.lines[-1]["unanswered"] == 0
    assert sum(line["event"] == "request" and line["code"] == "ok" for line in server.lines) == 200


async def test_process_ends_at_once_on_a_second_signal():
    server = await Process.start()
    async with httpx.AsyncClient(base_url=server.rest) as client:
        asking = asyncio.create_task(client.post("/v1/score", json=_body("60")))
        await asyncio.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        await until(lambda: any(line["event"] == "draining" for line in server.lines))
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == 128 + signal.SIGINT
        with pytest.raises(httpx.HTTPError):
            await asking


async def test_process_names_a_port_in_use_and_exits_1():
    async with running() as taken:
        for flags, name in (
            (["--rest-port", str(taken.ports.rest), "--grpc-port", "0"], f"127.0.0.1:{taken.ports.rest} for REST"),
            (["--rest-port", "0", "--grpc-port", str(taken.ports.grpc)], f"127.0.0.1:{taken.ports.grpc} for gRPC"),
        ):
            code, complaint = await _run_to_end(*flags)
            assert code == 1
            assert name in complaint
            assert "Traceback" not in complaint


async def test_process_exits_2_on_a_bad_keys_file(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("trainer:short")
    code, complaint = await _run_to_end("--rest-port=0", "--grpc-port=0", f"--keys-file={keys}")
    assert code == 2
    assert complaint.strip() == (
        f"promedical-serve: keys_file: {keys}, line 1: expected a key of at least 16 ASCII characters, no spaces"
    )


async def _run_to_end(*flags):
    process = await asyncio.create_subprocess_exec(sys.executable, KIT, *flags, stderr=asyncio.subprocess.PIPE)
    _, stderr = await process.communicate()
    return process.returncode, stderr.decode()


def unstarted(start_oracle, drain):
    return Server(
        settings=Settings(rest_port=0, grpc_port=0),
        metrics=Metrics(),
        health=Health(),
        tracing=Tracing(None),
        start_oracle=start_oracle,
        drain=drain,
    )


async def test_run_exits_1_and_says_why_when_the_oracle_cannot_start(capsys):
    async def start_oracle():
        raise RuntimeError("no such bundle: /models/none")

    async def drain():
        pass

    server = unstarted(start_oracle, drain)
    assert await server.run() == 1
    assert "no such bundle: /models/none" in capsys.readouterr().out


async def test_run_exits_2_and_says_why_in_one_line_when_the_model_is_the_wrong_one(capsys):
    async def start_oracle():
        raise ConfigurationError("model: there is no bundle at /models/none")

    async def drain():
        pass

    server = unstarted(start_oracle, drain)
    assert await server.run() == 2
    said = capsys.readouterr().out
    assert "model: there is no bundle at /models/none" in said
    assert "frames" not in said


async def test_process_goes_on_after_sighup():
    server = await Process.start()
    server.process.send_signal(signal.SIGHUP)
    await until(lambda: any(line["event"].startswith("hangup") for line in server.lines))
    async with httpx.AsyncClient(base_url=server.rest) as client:
        assert (await client.get("/readyz")).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert await server.ended() == 0


async def test_process_ends_though_its_engine_hangs():
    server = await Process.start("--drain-s=0", environment={"STUCK": "1"})
    server.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        assert await server.ended() == 1
    assert "the oracle does not end; the service closes without it" in [line["event"] for line in server.lines]
    assert server.lines[-1]["event"] == "stopped"


async def test_an_oracle_that_does_not_end_does_not_keep_the_ports_open(monkeypatch):
    monkeypatch.setattr("promedical_service.server._END_S", 0.2)
    async with running(stop=False, drain_s=0.1) as server, asyncio.timeout(60):
        server.server._drain_oracle = asyncio.Event().wait
        await server.server.stop()
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient() as client:
                await client.get(f"{server.rest_url}/healthz")


async def test_a_drain_that_fails_does_not_keep_the_ports_open():
    async with running(stop=False) as server:
        server.server._drain_oracle = _fail
        await server.server.stop()
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient() as client:
                await client.get(f"{server.rest_url}/healthz")


async def _fail():
    raise RuntimeError("engine process is gone")
