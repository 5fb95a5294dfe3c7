"""Addresses on the network, and which of them passwords and secrets may be sent to."""

import ipaddress
from urllib.parse import urlsplit


def is_secure(url: str) -> bool:
    """Whether nobody on the way can read or change what is sent: HTTPS, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host)))


def is_this_machine(host: str) -> bool:
    """Whether a host is reached without a network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
