"""What a person reads when the service is ready: addresses that can be called from where they sit."""

import pytest

from promedical_service.greeting import greeting
from promedical_service.ports import Ports

PORTS = Ports(rest=8080, grpc=50051, health=None)


def greeted(host: str = "127.0.0.1", *, status: str = "trained", tls: bool = False, keys: bool = False) -> str:
    return greeting("oracle", status, PORTS, host=host, tls=tls, keys=keys)


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("10.0.0.7", "10.0.0.7"),
        ("oracle.example", "oracle.example"),
    ],
)
def test_greeting_names_addresses_that_can_be_called(host, reached):
    text = greeted(host)

    assert f"http://{reached}:8080 " in text
    assert f"grpc://{reached}:50051" in text
    assert f"http://{reached}:8080/docs" in text


def test_greeting_says_how_to_call_with_tls_and_keys():
    text = greeted(tls=True, keys=True)

    assert "https://127.0.0.1:8080" in text
    assert "grpcs://127.0.0.1:50051" in text
    assert "--api-key KEY" in text
    assert "--api-key" not in greeted()


@pytest.mark.parametrize(("status", "word"), [("fake", "mean nothing"), ("untrained", "at chance")])
def test_greeting_warns_of_an_oracle_whose_verdicts_say_nothing(status, word):
    assert word in greeted(status=status).splitlines()[0]
    assert word not in greeted()
