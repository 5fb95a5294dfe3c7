"""The process that serves the app: where it listens, and how it is told where users find it."""

import logging
import signal
import socket
from dataclasses import dataclass
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from prometheus_client import start_http_server

from promedical_review.addresses import is_secure, is_this_machine
from promedical_review.errors import InvalidError
from promedical_review.oidc.settings import OidcSettings
from promedical_review.store.database import Database
from promedical_review.web.app import web_app
from promedical_review.web.telemetry import Metrics, configure_logs

DRAIN_S = 10
_BACKLOG = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the app listens.

    Attributes:
        host: The interface.
        port: The port; 0 for any that is free.
        public_url: Where users find it, by HTTPS; None: this machine only, over plain HTTP.
        proxies: Addresses of proxies whose X-Forwarded-For is believed, with commas between; empty for none.
        metrics_port: The port for Prometheus; None for none. It is another one, since counts are nothing for raters.

    Raises:
        InvalidError: Passwords would travel over plain HTTP.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    public_url: str | None = None
    proxies: str = ""
    metrics_port: int | None = None

    def __post_init__(self) -> None:
        if self.public_url is None and not is_this_machine(self.host):
            raise InvalidError(
                f"is {self.host}, which other machines reach over plain HTTP; give the address at which users find "
                "the app by HTTPS with --public-url, or listen on 127.0.0.1",
                "host",
            )
        if self.public_url is not None:
            _check_public(self.public_url)

    @property
    def shown(self) -> str:
        """What to open in a browser."""
        return self.public_url or f"http://{self.host}:{self.port}"


def serve(database: Database, address: Address, oidc: OidcSettings | None = None) -> None:
    """Serve until the process is told to end; calls in progress are finished.

    Raises:
        InvalidError: The port is taken.
    """
    configure_logs()
    metrics = Metrics()
    listening = listen(address)
    if address.metrics_port is not None:
        _serve_metrics(metrics, address)
    said = {"port": listening.getsockname()[1], "url": address.shown}
    logging.getLogger("promedical_review").info("listening", extra=said)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)
    server(database, metrics, address, oidc).run(sockets=[listening])


def _ended(_number: int, _frame: FrameType | None) -> None:
    """Nothing is left to do: uvicorn raises the signal again when it has finished, and the caller cleans up."""


def server(database: Database, metrics: Metrics, address: Address, oidc: OidcSettings | None = None) -> uvicorn.Server:
    """The server, not started yet."""
    config = uvicorn.Config(
        web_app(database, metrics, public_url=address.public_url, oidc=oidc),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(address.proxies),
        forwarded_allow_ips=address.proxies or "",
        timeout_graceful_shutdown=DRAIN_S,
        lifespan="off",
    )
    return uvicorn.Server(config)


def listen(address: Address) -> socket.socket:
    """Open the port, so that one that is taken is said before anything starts.

    Raises:
        InvalidError: It cannot be opened.
    """
    try:
        return socket.create_server((address.host, address.port), backlog=_BACKLOG, family=_family(address.host))
    except OSError as error:
        raise InvalidError(f"{address.host}:{address.port} cannot be opened: {error.strerror}", "port") from None


def _serve_metrics(metrics: Metrics, address: Address) -> None:
    assert address.metrics_port is not None, "asked for"
    try:
        start_http_server(address.metrics_port, addr=address.host, registry=metrics.registry)
    except OSError as error:
        raise InvalidError(f"{address.metrics_port} cannot be opened: {error.strerror}", "metrics_port") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _check_public(url: str) -> None:
    parts = urlsplit(url)
    if not is_secure(url) or parts.path.strip("/"):
        raise InvalidError(f"is {url!r}; expected https://NAME, without a path", "public_url")
