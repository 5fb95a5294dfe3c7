"""The socket and the uvicorn server under the REST edge."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from promedical_service.edges.tls import ServerTls

_MAX_HEADER_BYTES: Final = 32 * 1024
_HEAD_PIECE_BYTES: Final = 4 * 1024
_HEAD_TIMEOUT_S: Final = 30.0
_KEEP_ALIVE_S: Final = 75
FLUSH_S: Final = 5
"""How long what is being read or written may take once the listener closes."""
_BACKLOG: Final = 2048


class RestServer(uvicorn.Server):
    """uvicorn in a loop that others own: signals belong to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class GuardedConnection(H11Protocol):
    """uvicorn's connection; closed at once if there are too many, later if it brings no complete request head."""

    def __init__(self, *args: Any, max_connections: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_connections = max_connections
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Wait for a first request, or refuse."""
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            transport.abort()
        self._time_head()

    def data_received(self, data: bytes) -> None:
        """Between requests the first byte starts the clock: it ends uvicorn's keep-alive timeout.

        The limit of a head is looked at after each piece, and would miss one that comes in one large piece.
        """
        step = _HEAD_PIECE_BYTES if self._between_requests else len(data)
        for start in range(0, len(data), step):
            if not self.transport.is_closing():
                super().data_received(data[start : start + step])
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        self._stop_clock()

    def _time_head(self) -> None:
        if not self._between_requests:
            self._stop_clock()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_TIMEOUT_S, self._give_up)

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._between_requests:
            self.transport.close()


def build_rest_server(app: FastAPI, tls: ServerTls | None, *, max_connections: int) -> RestServer:
    """The server of the REST port; serve it on a socket of `listen`."""
    config = uvicorn.Config(
        app,
        http=functools.partial(GuardedConnection, max_connections=max_connections),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=FLUSH_S,
    )
    config.load()
    config.ssl = tls.context if tls else None
    return RestServer(config)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; 0 takes a free port.

    Raises:
        OSError: The address cannot be bound.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
