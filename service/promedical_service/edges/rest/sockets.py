"""The listening socket under the REST edge: it counts connections from the moment they are accepted.

Whoever counts later, in a protocol, does not see connections whose TLS handshake never ends.
"""

import errno
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from promedical_service.telemetry.logs import get_logger

_BACKLOG: Final = 2048
_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_REST_S: Final = 0.9
"""After accepting failed for lack of files; asyncio itself tries again after a second."""
_LOG_EVERY_S: Final = 60.0


class BoundedListener(socket.socket):
    """Holds at most `max_connections` at the same time; further ones are closed as soon as they are accepted."""

    def __init__(self, family: int, kind: int, protocol: int, *, max_connections: int) -> None:
        super().__init__(family, kind, protocol)
        self._max_connections = max_connections
        self._held = 0
        self._resting_until = self._logged_at = -_LOG_EVERY_S

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            ConnectionAbortedError: There are too many connections already.
            BlockingIOError: No connection waits, or files ran out a moment ago.
            OSError: Files have run out.
        """
        if time.monotonic() < self._resting_until:
            raise BlockingIOError
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno in _OUT_OF_FILES:
                self._rest()
            raise
        if self._held >= self._max_connections:
            accepted.close()
            raise ConnectionAbortedError
        self._held += 1
        return _Connection(accepted, self._let_go), address

    def _let_go(self) -> None:
        self._held -= 1

    def _rest(self) -> None:
        """Accept no connections for a moment: asyncio would try again at once, thousands of times."""
        now = time.monotonic()
        self._resting_until = now + _REST_S
        if now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            message = "no connection can be accepted, too many files are open; raise the hard limit of open files"
            get_logger("promedical.server").error(message, connections=self._held)


class _Connection(socket.socket):
    """An accepted connection that says when it is closed."""

    def __init__(self, accepted: socket.socket, on_close: Callable[[], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self._on_close: Callable[[], None] | None = on_close

    def close(self) -> None:
        """Close the connection, and report that once."""
        super().close()
        if self._on_close is not None:
            self._on_close()
            self._on_close = None


def listen(host: str, port: int, *, max_connections: int) -> BoundedListener:
    """Open a listening socket; 0 takes a free port.

    Raises:
        OSError: The address cannot be bound.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = BoundedListener(family, kind, protocol, max_connections=max_connections)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
