"""gRPC ignores an option that it does not know, so a misspelt one is found by looking into the library."""

from importlib import import_module
from pathlib import Path

import pytest

from promedical_client.transports.grpc import CHANNEL_OPTIONS
from promedical_service.edges.grpc.server import server_options

SERVER_OPTIONS = server_options(max_request_bytes=1, max_at_once=1, connection_max_age_s=1)


@pytest.fixture(scope="module")
def library() -> bytes:
    return Path(str(import_module("grpc._cython.cygrpc").__file__)).read_bytes()


def known(option: str, library: bytes) -> bool:
    return option.encode() + b"\0" in library


@pytest.mark.parametrize("option", sorted({name for name, _ in (*SERVER_OPTIONS, *CHANNEL_OPTIONS)}))
def test_option_is_known_to_grpc(option: str, library: bytes) -> None:
    assert known(option, library)


def test_misspelt_option_would_be_found(library: bytes) -> None:
    assert not known("grpc.http2.min_recv_ping_interval_without_data_ms", library)


def test_pings_of_the_client_are_rarer_than_what_the_server_permits() -> None:
    permitted = dict(SERVER_OPTIONS)["grpc.http2.min_ping_interval_without_data_ms"]
    assert dict(CHANNEL_OPTIONS)["grpc.keepalive_time_ms"] >= 2 * permitted
