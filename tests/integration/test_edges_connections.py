"""Connections of the REST port whose peers are slow, silent or too many."""

import asyncio
import contextlib
import json
import resource
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from edges_kit import running, until
from test_edges_tls import files, pki  # noqa: F401 - a fixture

from promedical_service.edges.rest import connection as rest_connection
from promedical_service.edges.rest import listener as rest_listener

KIT = Path(__file__).with_name("edges_kit.py")
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
RESPONSES = 40_000
"""So many make an answer of 9 MB, more than kernels buffer, to a request of 160 kB."""


def large_answer():
    criterion = {"id": "c", "text": "t", "dimension": "safety"}
    item = {"id": "a", "prompt": "p", "responses": ["r"] * RESPONSES, "rubric": {"criteria": [criterion]}}
    return json.dumps({"items": [item]}).encode()


async def asks_and_reads_nothing(port, buffer=4096):
    """A connection that has asked for a large answer; its own buffer is small."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    peer.setblocking(False)  # noqa: FBT003
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    body = large_answer()
    head = (
        f"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(peer, head.encode() + body)
    return peer


async def test_rest_cuts_callers_that_take_nothing_of_their_answers_and_counts_them_until_then(monkeypatch):
    monkeypatch.setattr(rest_connection, "_WRITE_PATIENCE_S", 1.0)
    async with running(max_responses_per_item=RESPONSES) as server:
        peers = [await asks_and_reads_nothing(server.ports.rest) for _ in range(2)]
        desk = server.server._desk
        await until(lambda: desk._answer_bytes > 2 * 7_000_000)
        assert b"promedical_requests_in_flight 2.0" in server.metrics.exposition()
        assert desk._bytes.total == 0
        await until(lambda: desk.in_flight == 0)
        assert desk._answer_bytes == 0
        assert b"promedical_requests_in_flight 0.0" in server.metrics.exposition()
        assert not server.server._rest.server_state.connections
        for peer in peers:
            peer.close()


async def test_rest_refuses_an_answer_for_which_there_is_no_room(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.desk._MAX_ANSWER_BYTES", 12_000_000)
    async with (
        running(max_responses_per_item=RESPONSES) as server,
        httpx.AsyncClient(base_url=server.rest_url, timeout=60) as client,
    ):
        peer = await asks_and_reads_nothing(server.ports.rest)
        await until(lambda: server.server._desk._answer_bytes > 7_000_000)
        asked = {"content": large_answer(), "headers": {"content-type": "application/json"}}
        refused = await client.post("/v1/score", **asked)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert (await client.get("/v1/model")).status_code == 200
        peer.close()
        await until(lambda: server.server._desk._answer_bytes == 0)
        assert len((await client.post("/v1/score", **asked)).content) > 7_000_000


async def test_rest_a_caller_that_takes_its_answer_slowly_gets_all_of_it(monkeypatch):
    monkeypatch.setattr(rest_connection, "_WRITE_PATIENCE_S", 1.0)
    loop, taken = asyncio.get_running_loop(), 0
    async with running(max_responses_per_item=RESPONSES) as server, asyncio.timeout(60):
        peer = await asks_and_reads_nothing(server.ports.rest, buffer=256 * 1024)
        while server.server._desk.in_flight or taken < 7_000_000:
            await asyncio.sleep(0.02)
            taken += len(await loop.sock_recv(peer, 256 * 1024))
        assert b"promedical_requests_in_flight 0.0" in server.metrics.exposition()
        peer.close()


@pytest.mark.parametrize("mutual", [False, True])
async def test_rest_counts_connections_before_their_tls_handshake_and_ends_those_that_bring_none(
    pki,  # noqa: F811
    monkeypatch,
    mutual,
):
    monkeypatch.setattr("promedical_service.server._SPARE_CONNECTIONS", 2)
    monkeypatch.setattr(rest_listener, "_HANDSHAKE_TIMEOUT_S", 1.0)
    tls = files(pki, **({"tls_client_ca_file": pki.ours.file} if mutual else {}))
    async with running(max_concurrent_requests=1, **tls) as server, asyncio.timeout(60):
        silent = [await asyncio.open_connection("127.0.0.1", server.ports.rest) for _ in range(3)]
        late, late_writer = await asyncio.open_connection("127.0.0.1", server.ports.rest)
        with contextlib.suppress(ConnectionError):
            assert await late.read() == b""
        assert not any(reader.at_eof() for reader, _ in silent)
        for reader, _ in silent:
            with contextlib.suppress(ConnectionError):
                await reader.read()
        for _, writer in [*silent, (late, late_writer)]:
            writer.close()
        await until(lambda: listener_of(server)._held == 0)


def listener_of(server):
    (serving,) = server.server._rest.servers
    return serving.sockets[0]._sock


TWO_LENGTHS = {
    "length first": ("1.1", ["content-length: 5", "transfer-encoding: chunked"]),
    "chunks first": ("1.1", ["Transfer-Encoding:chunked", "Content-Length: 5"]),
    "identity": ("1.1", ["content-length: 5", "transfer-encoding: identity"]),
    "unknown coding": ("1.1", ["content-length: 5", "transfer-encoding: xchunked"]),
    "two codings": ("1.1", ["transfer-encoding: gzip, chunked"]),
    "chunks twice": ("1.1", ["transfer-encoding: chunked", "transfer-encoding: chunked"]),
    "chunks of HTTP/1.0": ("1.0", ["connection: keep-alive", "transfer-encoding: chunked"]),
    "two lengths": ("1.1", ["content-length: 5", "content-length: 6"]),
    "list of lengths": ("1.1", ["content-length: 5, 6"]),
    "signed length": ("1.1", ["content-length: +5"]),
}


@pytest.mark.parametrize("case", TWO_LENGTHS)
async def test_rest_refuses_a_length_beside_chunks_and_closes(case):
    version, headers = TWO_LENGTHS[case]
    head = [f"POST /v1/score HTTP/{version}", "host: x", "content-type: application/json", *headers, "", ""]
    async with running() as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.rest)
        writer.write("\r\n".join(head).encode() + b"0\r\n\r\n" + GET)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1") == 1
        writer.close()


def limited(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def process(folder, soft, hard):
    """A service with a limit of open files; its ports, and a function that reads its log."""
    log = folder / "log"
    with log.open("w") as stderr:
        command = [sys.executable, str(KIT), "--rest-port=0", "--grpc-port=0"]
        started = subprocess.Popen(command, stderr=stderr, preexec_fn=limited(soft, hard))  # noqa: PLW1509
    try:
        yield lambda: [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    finally:
        started.terminate()
        assert started.wait(60) == 0


async def port_of(lines):
    await until(lambda: any(line["event"] == "ready" for line in lines()))
    return next(line["rest_port"] for line in lines() if line["event"] == "listening")


async def answer_on(reader, writer):
    writer.write(GET)
    return await asyncio.wait_for(reader.readuntil(b"}"), 10)


async def test_process_raises_its_limit_of_open_files(tmp_path):
    with process(tmp_path, 64, 512) as lines:
        port = await port_of(lines)
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(150)]
        assert b" 200 " in await answer_on(*opened[-1])
        for _, writer in opened:
            writer.close()


async def test_process_out_of_files_backs_off_and_says_so_once(tmp_path):
    with process(tmp_path, 100, 100) as lines:
        port = await port_of(lines)
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(150)]
        said = len(lines())
        await asyncio.sleep(2.5)
        assert b" 200 " in await answer_on(*opened[0])
        assert len(lines()) - said < 5
        assert sum("too many files" in line["event"] for line in lines()) == 1
        for _, writer in opened:
            writer.close()
        later = await asyncio.open_connection("127.0.0.1", port)
        assert b" 200 " in await answer_on(*later)
        later[1].close()


async def test_process_whose_log_nobody_reads_answers_and_ends(tmp_path):
    command = [sys.executable, str(KIT), "--rest-port=0", "--grpc-port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, bufsize=1) as started:  # noqa: ASYNC220
        port = json.loads(started.stderr.readline())["rest_port"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for _ in range(600):
                await client.get("/v1/model")
            assert (await client.get("/healthz")).status_code == 200
            assert b"promedical_log_lines_dropped_total 0.0" in (await client.get("/metrics")).content
        started.terminate()
        assert await asyncio.to_thread(started.wait, 60) == 0
