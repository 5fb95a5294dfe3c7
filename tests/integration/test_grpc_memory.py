"""What gRPC may hold in memory of messages that nobody asked for, or that were refused: in a real process."""

import asyncio
import contextlib
import dataclasses
import gzip
import threading

import grpc
import psutil
import pytest
from edges_kit import client_of, running, score_request, until

from gated import criterion, item
from promedical import messages as m
from promedical.v1 import requests
from serving import running_server

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SCORE = "/promedical.v1.RewardService/ScoreBatch"
KEY = "0123456789abcdef"
MIB = 2**20
ALMOST_THE_LIMIT = 31 * MIB


@pytest.fixture
def service(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"trainer:{KEY}\n")
    with running_server("--engine=fake", f"--keys-file={keys}", "--health-port=0") as server:
        yield server


class Growth:
    """The most memory that a process takes on top of what it has, in MiB, looked at all the time."""

    def __init__(self, server):
        self._process = psutil.Process(server.process.pid)
        self._over = threading.Event()
        self._began = self._peak = self._process.memory_info().rss

    def __enter__(self):
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._watching.join()

    def _watch(self):
        while not self._over.wait(0.005):
            self._peak = max(self._peak, self._process.memory_info().rss)

    @property
    def peak(self):
        return (self._peak - self._began) / MIB


def field_of(size, content=b"a"):
    """A message of one text in its field 1."""
    head, rest = b"\x0a", size
    while rest >= 0x80:
        head, rest = head + bytes([rest & 0x7F | 0x80]), rest >> 7
    return head + bytes([rest]) + content * size


def _frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _headers(path, **more):
    pairs = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    pairs |= {"content-type": "application/grpc", **more}
    return b"".join(
        b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode()
        for k, v in ((key.replace("_", "-"), value) for key, value in pairs.items())
    )


@contextlib.asynccontextmanager
async def raw_call(target, path, message, *, announced=None, **headers):
    """A call by hand, in HTTP/2: its message may be compressed already, or be announced as longer than it is."""
    host, port = target.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = bytes(["grpc_encoding" in headers]) + (len(message) if announced is None else announced).to_bytes(4)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0) + _frame(1, 4, 1, _headers(path, **headers)))
    body = head + message
    for at in range(0, len(body), 16_384):
        writer.write(_frame(0, 0, 1, body[at : at + 16_384]))
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


async def answered(reader, at_most_s=20):
    """Wait for the headers of an answer."""
    async with asyncio.timeout(at_most_s):
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == 1:
                return


async def code_of(channel, path, message, **options):
    try:
        await channel.unary_unary(path)(message, timeout=60, **options)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def channel_to(target, **options):
    sizes = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(target, options=sizes, **options)


async def test_grpc_inflates_no_message_of_a_caller_without_a_key(service):
    bomb = gzip.compress(field_of(ALMOST_THE_LIMIT))
    for port in (service.grpc_port, service.health_port):
        target = f"127.0.0.1:{port}"
        for path in (CHECK, WATCH, REFLECT, SCORE):
            async with contextlib.AsyncExitStack() as stack:
                with Growth(service) as memory:
                    calls = [raw_call(target, path, bomb, grpc_encoding="gzip") for _ in range(40)]
                    readers = [await stack.enter_async_context(call) for call in calls]
                    await asyncio.gather(*map(answered, readers), return_exceptions=True)
                assert memory.peak < 64, (port, path)
        async with channel_to(target) as channel:
            assert await code_of(channel, CHECK, b"") == "OK"


async def test_grpc_reads_few_large_messages_of_callers_without_a_key_at_once(service):
    large = field_of(ALMOST_THE_LIMIT)
    async with channel_to(service.grpc_target) as channel:
        with Growth(service) as memory:
            codes = await asyncio.gather(*(code_of(channel, CHECK, large) for _ in range(30)))
        assert memory.peak < 30 * 31 / 2
        assert set(codes) <= {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
        assert await code_of(channel, CHECK, b"") == "OK"


async def test_grpc_holds_little_of_messages_that_nobody_reads(service):
    """A window that grows with the speed of the connection would let all of them in."""
    metadata = (("x-api-key", KEY),)
    large = field_of(ALMOST_THE_LIMIT)
    async with channel_to(service.grpc_target) as channel, contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            call = raw_call(service.grpc_target, SCORE, b"", announced=100, x_api_key=KEY)
            await stack.enter_async_context(call)
        for _ in range(3):
            await code_of(channel, CHECK, large)  # the connection gets to know its speed
        with Growth(service) as memory:
            unread = [channel.unary_unary(SCORE)(large, metadata=metadata, timeout=2) for _ in range(30)]
            codes = [await call.code() for call in unread]
        assert memory.peak < 100
        assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_grpc_keeps_no_message_of_a_call_that_it_refused(service):
    asked = m.ScoreRequest(items=(item("a", ("x" * 8 * MIB,)),), expected_fingerprint="of an older model")
    wire = requests.encode_score_request(asked).SerializeToString()
    async with channel_to(service.grpc_target) as channel:
        with Growth(service) as memory:
            for _ in range(40):
                assert await code_of(channel, SCORE, wire, metadata=(("x-api-key", KEY),)) == "FAILED_PRECONDITION"
        assert memory.peak < 100


@pytest.mark.parametrize("compression", list(grpc.Compression))
async def test_grpc_scores_what_comes_compressed_like_what_does_not(compression):
    wire = requests.encode_score_request(score_request(prompt="Is it safe? " * 1000)).SerializeToString()
    async with running() as server, channel_to(server.grpc_target, compression=compression) as channel:
        assert await code_of(channel, SCORE, wire) == "OK"
        assert await code_of(channel, CHECK, b"\x0a\x1bpromedical.v1.RewardService") == "OK"
        assert server.server._desk._bytes.total == 0


async def test_grpc_inflates_no_more_than_a_message_may_hold():
    wire = requests.encode_score_request(score_request(prompt="x" * 100_000)).SerializeToString()
    async with running(max_request_bytes=50_000) as server:
        async with channel_to(server.grpc_target, compression=grpc.Compression.Gzip) as channel:
            call = channel.unary_unary(SCORE)(wire, timeout=20)
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await call.details() == "The message is over the limit of 50000 bytes; send fewer items per request"
        assert server.oracle.started == 0


async def test_grpc_calls_whose_messages_never_come_keep_nobody_from_being_served():
    wire = requests.encode_score_request(score_request()).SerializeToString()
    async with running(health_port=0) as server, contextlib.AsyncExitStack() as stack:
        for path in (SCORE, CHECK, CHECK, CHECK, WATCH, REFLECT):
            await stack.enter_async_context(raw_call(server.grpc_target, path, b"", announced=ALMOST_THE_LIMIT))
        for _ in range(30):
            path_to_probes = f"127.0.0.1:{server.ports.health}"
            await stack.enter_async_context(raw_call(path_to_probes, CHECK, b"", announced=100))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(4):
            for target, path, message in (
                (server.grpc_target, SCORE, wire),
                (server.grpc_target, CHECK, b""),
                (path_to_probes, CHECK, b""),
            ):
                async with channel_to(target) as channel:
                    assert await code_of(channel, path, message) == "OK"


async def test_grpc_one_caller_takes_half_of_the_places_for_messages_on_their_way(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"trainer:{KEY}\nbench:fedcba9876543210\n")
    wire = requests.encode_score_request(score_request()).SerializeToString()
    async with running(keys_file=keys) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            call = raw_call(server.grpc_target, SCORE, b"", announced=ALMOST_THE_LIMIT, x_api_key=KEY)
            await stack.enter_async_context(call)
        await until(lambda: server.server._desk.in_flight == 20)
        async with channel_to(server.grpc_target) as channel:
            assert await code_of(channel, SCORE, wire, metadata=(("x-api-key", "fedcba9876543210"),)) == "OK"
            assert server.server._desk.in_flight == 20


async def test_grpc_ends_a_call_whose_message_is_late_if_others_wait(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.grpc.server.LOOK_S", 0.2)
    monkeypatch.setattr("promedical_service.edges.grpc.calls.LOOK_S", 0.2)
    async with running() as server:
        async with channel_to(server.grpc_target) as channel:
            calls = [channel.stream_unary(SCORE)(timeout=20) for _ in range(5)]
            assert await calls[0].code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert (await calls[0].details()).startswith("The message took over 0.2 s to arrive; ")
            for call in calls:
                call.cancel()
        await until(lambda: server.server._desk.in_flight == 0)
        assert server.server._desk._bytes.total == 0


async def test_grpc_says_overloaded_to_a_call_whose_message_cannot_be_read_soon(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.grpc.server._WAIT_S", 0.3)
    async with running() as server, contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(raw_call(server.grpc_target, SCORE, b"", announced=ALMOST_THE_LIMIT))
        await until(lambda: server.server._desk.in_flight == 8)
        async with client_of("grpc", server) as client:
            answers = await asyncio.gather(*(client.ask("ScoreBatch", score_request()) for _ in range(50)))
        assert {(answer.code, answer.retry_after_s) for answer in answers} == {("overloaded", 1.0)}
        assert server.oracle.started == 0
        counted = 'promedical_requests_total{code="overloaded",method="ScoreBatch",transport="grpc"} 50.0'
        assert counted in server.metrics.exposition().decode()


async def test_grpc_answers_others_while_it_decodes_a_message():
    rubric = m.RubricSpec(criteria=tuple(criterion(f"c{number}") for number in range(128)))
    many = tuple(dataclasses.replace(score_request().items[0], id=f"{n}", rubric=rubric) for n in range(256))
    wire = requests.encode_score_request(m.ScoreRequest(items=many)).SerializeToString()
    async with running() as server, channel_to(server.grpc_target) as channel, channel_to(server.grpc_target) as other:
        assert await code_of(other, CHECK, b"") == "OK"
        asked = asyncio.create_task(code_of(channel, SCORE, wire))
        await until(lambda: server.server._desk.in_flight == 1)
        answered = 0
        while not server.oracle.started:
            assert await code_of(other, CHECK, b"") == "OK"
            answered += 1
        assert answered >= 3
        assert await asked == "OK"


async def test_grpc_takes_no_more_connections_than_its_limit(monkeypatch):
    monkeypatch.setattr("promedical_service.server._SPARE_CONNECTIONS", 2)
    async with running(max_concurrent_requests=2) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            channel = await stack.enter_async_context(channel_to(server.grpc_target))
            assert await code_of(channel, CHECK, b"") == "OK"
        async with channel_to(server.grpc_target) as late:
            assert await code_of(late, CHECK, b"") == "UNAVAILABLE"


async def test_grpc_ends_connections_that_take_nothing_of_their_answers_and_counts_them_until_then(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.grpc.answers._PATIENCE_S", 1.0)
    monkeypatch.setattr("promedical_service.edges.grpc.answers._SLOWEST_BYTES_PER_S", 10**9)
    wire = requests.encode_score_request(m.ScoreRequest(items=(item("a", ("r",) * 20_000),))).SerializeToString()
    async with running(max_responses_per_item=20_000) as server, contextlib.AsyncExitStack() as stack:
        desk = server.server._desk
        readers = [await stack.enter_async_context(raw_call(server.grpc_target, SCORE, wire)) for _ in range(2)]
        await until(lambda: desk._answer_bytes > 2 * 2 * MIB)
        assert b"promedical_requests_in_flight 2.0" in server.metrics.exposition()
        assert desk._bytes.total == 0
        async with channel_to(server.grpc_target) as channel:  # of another connection, which is left alone
            await until(lambda: desk.in_flight == 0)
            assert desk._answer_bytes == 0
            assert await code_of(channel, CHECK, b"") == "OK"
        for reader in readers:
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    while await reader.read(MIB):
                        pass


async def test_grpc_refuses_an_answer_for_which_there_is_no_room(monkeypatch):
    monkeypatch.setattr("promedical_service.edges.desk._MAX_ANSWER_BYTES", 3 * MIB)
    large = requests.encode_score_request(m.ScoreRequest(items=(item("a", ("r",) * 20_000),))).SerializeToString()
    wire = requests.encode_score_request(score_request()).SerializeToString()
    async with running(max_responses_per_item=20_000) as server:
        async with raw_call(server.grpc_target, SCORE, large), channel_to(server.grpc_target) as channel:
            await until(lambda: server.server._desk._answer_bytes > 2 * MIB)
            assert await code_of(channel, SCORE, large) == "RESOURCE_EXHAUSTED"
            assert await code_of(channel, SCORE, wire) == "OK"
        await until(lambda: server.server._desk._answer_bytes == 0)


@pytest.mark.parametrize(
    ("message", "code"), [(b"\xff\xff\xff", "INVALID_ARGUMENT"), (field_of(5000), "RESOURCE_EXHAUSTED")]
)
async def test_grpc_health_says_what_is_wrong_with_a_message(message, code):
    async with running() as server, channel_to(server.grpc_target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(CHECK)(message, timeout=20)
        assert caught.value.code().name == code
        assert caught.value.details().startswith("expected a grpc.health.v1.HealthCheckRequest")
