"""What a person at a terminal reads when the service is ready: where it listens, and what to try first."""

import ipaddress
from typing import Final

from promedical_service.ports import Ports, address_of

_STATUS: Final = {
    "fake": "a fake engine: its scores are hashes of the text and mean nothing",
    "untrained": "an untrained model: its verdicts are at chance",
}


def greeting(model: str, status: str, ports: Ports, *, host: str, tls: bool, keys: bool) -> str:
    """The greeting, several lines.

    Args:
        model: The name of the model that answers.
        status: trained, untrained or fake.
        ports: The ports that are open.
        host: The address that they listen on.
        tls: Whether they speak TLS.
        keys: Whether calls need a key.
    """
    url = f"{'https' if tls else 'http'}://{address_of(_reachable(host), ports.rest)}"
    grpc = f"{'grpcs' if tls else 'grpc'}://{address_of(_reachable(host), ports.grpc)}"
    key = " --api-key KEY" if keys else ""
    return "\n".join(
        (
            f"ProMedical is ready: {model}, {_STATUS.get(status, status)}.",
            f"  REST     {url}   its documentation: {url}/docs",
            f"  gRPC     {grpc}",
            f"  metrics  {url}/metrics",
            "Try it from another terminal:",
            f"  promedical rank --url {url}{key} --rubric-id general-medical \\",
            "    --prompt 'Can I take ibuprofen with warfarin?' \\",
            "    --response 'Yes, take as much as you like.' \\",
            "    --response 'Please ask your doctor first: together they raise the risk of bleeding.'",
            "Ctrl-C stops it.",
        )
    )


def _reachable(host: str) -> str:
    """An address of this machine that reaches the host; a wildcard is no address to call."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - the version of IP
