"""The way to a service, looked at piece by piece: encryption and its certificate, the clocks, the answer."""

import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from promedical_client.address import Address
from promedical_client.errors import PromedicalError
from promedical_client.transports.proxies import proxy_for
from promedical_client.transports.tls import tls_context

Mark = Literal["ok", "look", "bad"]
_WAIT_S: Final = 5.0
_SOON_DAYS: Final = 14
_CLOCKS_DIFFER_S: Final = 5.0
"""Beyond this, certificates and tokens of short life begin to fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: What it is.
        mark: ok; look: think about it; bad: nothing works with it.
        said: What was found, and what to do.
    """

    about: str
    mark: Mark
    said: str


def findings_of(address: Address) -> list[Finding]:
    """What there is to say about the way to a service before it is asked anything."""
    return [_encryption(address), _clock(address)]


def _encryption(address: Address) -> Finding:
    mark, said = _certificate(address) if address.is_encrypted else _in_the_clear(address)
    return Finding(about="encryption", mark=mark, said=said)


def _in_the_clear(address: Address) -> tuple[Mark, str]:
    if _is_here(address):
        return "ok", "none, and none is needed on this machine"
    scheme = urlsplit(address.url).scheme
    return "look", f"none: texts of patients and the API key can be read on the way; use {scheme}s://"


def _certificate(address: Address) -> tuple[Mark, str]:
    try:
        if proxy := proxy_for(address):
            return "ok", f"TLS by way of the proxy in {proxy.variable}; the certificate was not looked at"
        days = _days_left(address)
    except ssl.SSLCertVerificationError as error:
        return "bad", _untrusted(error)
    except (OSError, ValueError) as error:
        return "bad", f"no TLS connection: {_reason(error)}"
    if days < _SOON_DAYS:
        return "look", f"TLS; the certificate ends in {days:.0f} days, renew it"
    return "ok", f"TLS; the certificate is valid for {days:.0f} more days"


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    hints = {
        "not yet valid": "compare the clock of this machine with that of the service",
        "expired": "renew the certificate of the service, or correct the clock of this machine",
        "ostname": "use the name that the certificate is for",
        "IP address": "use the name that the certificate is for",
    }
    said = error.verify_message
    hint = next((hint for word, hint in hints.items() if word in said), "give the authority's PEM file as --ca-file")
    return f"the certificate is refused: {said}; {hint}"


def _days_left(address: Address) -> float:
    host, port = _place(address)
    with (
        socket.create_connection((host, port), timeout=_WAIT_S) as plain,
        tls_context(address).wrap_socket(plain, server_hostname=host) as secured,
    ):
        ends = str((secured.getpeercert() or {})["notAfter"])
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86_400


def _clock(address: Address) -> Finding:
    if address.is_grpc:
        return Finding(about="clock", mark="ok", said="not compared: gRPC tells no time; an http:// URL does")
    try:
        theirs = parsedate_to_datetime(_date_of(address))
    except (OSError, PromedicalError, ValueError) as error:
        return Finding(about="clock", mark="look", said=f"not compared: {_reason(error)}")
    apart = (datetime.now(UTC) - theirs).total_seconds()
    if abs(apart) > _CLOCKS_DIFFER_S:
        who = "ahead of" if apart > 0 else "behind"
        said = f"this machine is {abs(apart):,.0f} s {who} the service; let both follow a time server"
        return Finding(about="clock", mark="look", said=said)
    return Finding(about="clock", mark="ok", said="that of the service agrees with this machine's")


def _date_of(address: Address) -> str:
    """What the service says that the time is."""
    import httpx  # noqa: PLC0415 - see `session.opened`

    proxy = proxy_for(address)
    proxy_url = proxy.url if proxy else None
    try:
        with httpx.Client(verify=tls_context(address), proxy=proxy_url, trust_env=False, timeout=_WAIT_S) as client:
            return str(client.get(f"{address.url.rstrip('/')}/healthz").headers.get("date", "it tells no time"))
    except httpx.HTTPError as error:
        raise OSError(str(error) or type(error).__name__) from None


def _place(address: Address) -> tuple[str, int]:
    parts = urlsplit(address.url)
    return parts.hostname or "", parts.port or 443


def _is_here(address: Address) -> bool:
    host, _ = _place(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
