"""Compressed messages, told from plain ones by their bytes."""

import gzip
import zlib

import pytest

from promedical_service.edges.grpc.messages import TooLargeError, inflated

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
