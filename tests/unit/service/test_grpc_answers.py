"""Connections that are ended because nobody takes what is sent over them."""

import socket

import pytest

from promedical_service.edges.grpc.answers import end_connection


@pytest.mark.parametrize(
    ("family", "host", "peer"),
    [
        (socket.AF_INET, "127.0.0.1", "ipv4:127.0.0.1:{}"),
        (socket.AF_INET6, "::1", "ipv6:%5B::1%5D:{}"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "ipv4:127.0.0.1:{}"),
    ],
    ids=["IPv4", "IPv6", "IPv4 on a socket of IPv6"],
)
def test_end_connection_ends_that_of_the_peer_and_no_other(family, host, peer):
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        there = listener.getsockname()[:2]
        ends = [(socket.create_connection(there, timeout=20), listener.accept()[0]) for _ in "ab"]
        (gone, _), (stays, served) = ends
        assert end_connection(peer.format(gone.getsockname()[1]))
        assert gone.recv(1) == b""
        served.sendall(b"x")
        assert stays.recv(1) == b"x"
        for each in (*ends[0], *ends[1]):
            each.close()


@pytest.mark.parametrize("peer", ["unix:/run/promedical", "unix:", "", "ipv4:127.0.0.1:1"])
def test_end_connection_finds_none_for_a_peer_without_one(peer):
    assert not end_connection(peer)
