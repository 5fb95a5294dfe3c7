"""The proxy of the environment that leads to a service: chosen and checked once, in the same way for both transports.

The libraries below disagree about these variables, and read them in the middle of the first call. This module knows
the variables, not the libraries.
"""

import ipaddress
import re
import urllib.request
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from promedical_client.address import Address
from promedical_client.errors import MisconfiguredError

_SCHEMES: Final = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy, and the variable that names it."""

    variable: str
    url: str


def proxy_for(address: Address) -> Proxy | None:
    """The proxy on the way to an address; None if there is none, or gRPC cannot speak to it.

    REST looks at the variable of its scheme and then at `all_proxy`; gRPC, as elsewhere, at `grpc_proxy`,
    `https_proxy` and `http_proxy`. Both leave out what `no_proxy` names; for gRPC, `no_grpc_proxy` comes before it.

    Raises:
        MisconfiguredError: The variable holds no address of a proxy.
    """
    found = {name: text.strip() for name, text in urllib.request.getproxies().items()}
    names = ("grpc", "https", "http") if address.is_grpc else (urlsplit(address.url).scheme, "all")
    name = next((name for name in names if found.get(name)), None)
    left_out = (address.is_grpc and found.get("no_grpc")) or found.get("no", "")
    if name is None or _is_left_out(address, left_out):
        return None
    proxy = _checked(f"{name}_proxy", found[name])
    return None if address.is_grpc and not proxy.url.startswith("http://") else proxy


def _checked(variable: str, text: str) -> Proxy:
    """The proxy that a variable names; errors do not quote it, since it may hold a password."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in _SCHEMES and parts.hostname and url.isprintable() and " " not in url
        is_good = is_good and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        expected = f"{', '.join(f'{scheme}://' for scheme in _SCHEMES[:-1])} or {_SCHEMES[-1]}://, a host and a port"
        raise MisconfiguredError(f"the proxy in {variable} (or {variable.upper()}) cannot be used; expected {expected}")
    return Proxy(variable=variable, url=url)


def _is_left_out(address: Address, no_proxy: str) -> bool:
    """Whether `no_proxy` names the host: by name, by the end of its name, by address, or by network."""
    parts = urlsplit(address.url)
    host = (parts.hostname or "").rstrip(".")
    return any(_names(entry, host, parts.port) for entry in re.split(r"[,\s]+", no_proxy))


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    entry = entry.rpartition("://")[2].lower()
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdecimal() and (name.endswith("]") or ":" not in name):
        if int(digits) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").strip(".")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # a name, or not an entry at all
        return bool(entry) and (host == entry or host.endswith(f".{entry}"))
