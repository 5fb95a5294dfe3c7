"""The uvicorn server under the REST edge."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from promedical_service.edges.rest.connection import MAX_HEADER_BYTES, GuardedConnection
from promedical_service.edges.tls import ServerTls

_HANDSHAKE_TIMEOUT_S: Final = 10.0
_KEEP_ALIVE_S: Final = 75
FLUSH_S: Final = 5
"""How long what is being read or written may take once the listener closes."""


class RestServer(uvicorn.Server):
    """uvicorn in a loop that others own: it leaves signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on `sockets`, as uvicorn does, but with a limit for TLS handshakes that it cannot set."""
        loop, tls = asyncio.get_running_loop(), self.config.ssl
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=each,
                ssl=tls,
                backlog=self.config.backlog,
                ssl_handshake_timeout=_HANDSHAKE_TIMEOUT_S if tls else None,
            )
            for each in sockets or ()
        ]
        self.started = True

    def _connection(self) -> GuardedConnection:
        return GuardedConnection(config=self.config, server_state=self.server_state, app_state={})


def build_rest_server(app: FastAPI, tls: ServerTls | None) -> RestServer:
    """The server of the REST port; serve it on a socket of `sockets.listen`."""
    config = uvicorn.Config(
        app,
        http=GuardedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=FLUSH_S,
    )
    config.load()
    config.ssl = tls.context if tls else None
    return RestServer(config)
