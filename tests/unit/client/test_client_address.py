"""Addresses: what they refuse, what they keep to themselves, and who takes them."""

from dataclasses import FrozenInstanceError

import pytest

from promedical_client import AsyncClient, Client, MisconfiguredError
from promedical_client.address import Address
from promedical_client.integrations import Grader
from promedical_client.transports.grpc import GrpcTransport
from promedical_client.transports.http import HttpTransport
from promedical_client.transports.opening import open_transport


def test_address_shows_no_key_and_cannot_be_changed():
    address = Address("grpc://host:1", api_key="secret-key")
    assert "secret-key" not in f"{address} {address!r}"
    with pytest.raises(FrozenInstanceError):
        address.url = "grpc://other:1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "access", "expected"),
    [
        ("127.0.0.1:50051", {}, "expected grpc://HOST:PORT, grpcs://, http:// or https://"),
        ("ftp://host:1", {}, "expected grpc://HOST:PORT, grpcs://, http:// or https://"),
        ("grpc://host", {}, "expected grpc://HOST:PORT and nothing after it"),
        ("grpc://host:1/path", {}, "expected grpc://HOST:PORT and nothing after it"),
        ("grpc://host:99999", {}, "Port out of range"),
        ("http://user:word@host", {}, "give api_key instead"),
        ("grpc://host:1", {"api_key": "li\nne"}, "a line break"),
        ("grpc://host:1", {"api_key": "schlüssel"}, "a letter with an accent"),
        ("grpc://host:1", {"api_key": " \n"}, "api_key is empty"),
        ("", {}, "url is ''; expected grpc://HOST:PORT"),
        ("'grpc://host:1'", {}, "expected grpc://HOST:PORT, grpcs://, http:// or https://"),
        ('"http://host"', {}, "expected grpc://HOST:PORT, grpcs://, http:// or https://"),
        ("http://ho st", {}, "a character that no URL holds"),
        ("http://host\n:80", {}, "a character that no URL holds"),
        ("http://host\u200b", {}, "a character that no URL holds"),
        ("\ufeffhttp://host", {}, "expected grpc://HOST:PORT, grpcs://, http:// or https://"),
        ("http://host:80\u200b", {}, "Port could not be cast"),
        ("http://host:port", {}, "Port could not be cast"),
        ("http://[::1", {}, "Invalid IPv6 URL"),
        ("http://host?x=1", {}, "nothing after it"),
        ("http://host#x", {}, "nothing after it"),
        ("http://user:word@host:port", {}, "give api_key instead"),
        ("grpc://host:1", {"api_key": ""}, "api_key is empty"),
        ("grpc://host:1", {"cert_file": "cert.pem"}, "use grpcs://"),
        ("http://host", {"ca_file": "ca.pem"}, "use https://"),
        ("http://host", {"key_file": "key.pem"}, "use https://"),
    ],
)
def test_address_that_cannot_work_is_refused_and_shows_no_secret(url, access, expected):
    with pytest.raises(MisconfiguredError, match=expected) as refused:
        Address(url, **access)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t", "\n{}\u00a0"])
def test_address_leaves_out_white_space_around_url_and_key(around):
    address = Address(around.format("http://host/path"), api_key=around.format("key"))
    assert (address.url, address.api_key) == ("http://host/path", "key")


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("grpc://host:1", GrpcTransport),
        ("GRPCS://host:1", GrpcTransport),
        ("http://host/path", HttpTransport),
        ("https://host", HttpTransport),
    ],
)
def test_address_chooses_the_transport(url, transport):
    assert isinstance(open_transport(Address(url)), transport)


@pytest.mark.parametrize("asker", [Client, AsyncClient, Grader])
def test_every_client_takes_an_address_and_nothing_beside_it(asker):
    address = Address("grpc://host:1", api_key="key")
    asker(address)
    with pytest.raises(ValueError, match="api_key, ca_file: given together with an Address"):
        asker(address, api_key="other", ca_file="ca.pem")
