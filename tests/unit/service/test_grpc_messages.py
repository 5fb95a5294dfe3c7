"""Compressed messages, told from plain ones by their bytes; and who waits for whose message, and how long."""

import asyncio
import gzip
import zlib

import pytest
from grpc_health.v1 import health_pb2

from promedical_service.edges.grpc.messages import BriefReads, Ended, TooLargeError, inflated

PLAIN = b"\x0a\x05hello" * 100


@pytest.mark.parametrize("wire", [PLAIN, gzip.compress(PLAIN, mtime=0), zlib.compress(PLAIN)])
def test_inflated_gives_the_message_however_it_came(wire):
    assert inflated(wire, len(PLAIN)) == PLAIN


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress], ids=["gzip", "zlib"])
def test_inflated_refuses_more_than_it_may(compress):
    with pytest.raises(TooLargeError):
        inflated(compress(PLAIN), len(PLAIN) - 1)


@pytest.mark.parametrize(
    "wire",
    [b"", b"\x78\x9c", b"\x78\x01field 15 of a later version", gzip.compress(PLAIN, mtime=0)[:-1], b"\x1f\x8b" * 9],
)
def test_inflated_leaves_what_only_looks_compressed_to_the_parser(wire):
    assert inflated(wire, len(PLAIN)) == wire


class Caller:
    """A call of one connection; its message comes after a while, or never."""

    def __init__(self, name, after_s=None):
        self.name = name
        self.after_s = after_s

    def peer(self):
        return self.name

    async def read(self):
        await (asyncio.Event().wait() if self.after_s is None else asyncio.sleep(self.after_s))
        return b""


async def answer(reads, caller):
    """How a call ends: the name of its connection, or the status."""
    try:
        await reads.read(caller, health_pb2.HealthCheckRequest)
    except Ended as ended:
        return ended.code.name
    return caller.name


@pytest.mark.parametrize("names", ["aaaa", "abcd"], ids=["one connection", "several connections"])
async def test_health_messages_that_are_slow_on_a_busy_machine_are_read_though_others_wait(names):
    """Each takes several looks."""
    reads = BriefReads(2)
    answers = await asyncio.gather(*(answer(reads, Caller(name, 0.06)) for name in names))
    assert "".join(answers) == names


async def test_health_messages_that_never_come_keep_a_place_for_a_look_if_many_wait():
    reads = BriefReads(2)
    async with asyncio.TaskGroup() as group:
        silent = [group.create_task(answer(reads, Caller(str(number)))) for number in range(60)]
        await asyncio.sleep(0)
        assert await answer(reads, Caller("honest", 0.0)) == "honest"
        ended = [each.result() for each in silent if each.done()]
        assert ended == ["DEADLINE_EXCEEDED"] * len(ended)
        assert len(ended) > 50
        for each in silent:
            each.cancel()
