"""One connection of the REST port: uvicorn's, with what a slow or hostile peer can do to it bounded."""

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER_BYTES: Final = 32 * 1024
_HEAD_PIECE_BYTES: Final = 4 * 1024
_HEAD_TIMEOUT_S: Final = 30.0
_WRITE_PATIENCE_S: Final = 30.0
"""How many seconds a peer may read nothing of its answer."""
_PATIENCE_PER_PART_S: Final = 2.0
"""How many of these seconds a peer gains by each part that it reads, so it must read 32 KiB per second on average."""


class GuardedConnection(H11Protocol):
    """A connection that is closed if no complete request head comes in time, or if its answer is not read.

    The transport keeps nothing back: `send` of the next part waits until the last one is with the kernel.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _StrictParser(h11.SERVER, MAX_HEADER_BYTES)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._patience_s = _WRITE_PATIENCE_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Wait for a first request."""
        transport.set_write_buffer_limits(high=1, low=0)
        super().connection_made(transport)
        self._time_head()

    def data_received(self, data: bytes) -> None:
        """Start the clock at the first byte between requests, since it ends uvicorn's keep-alive timeout.

        The limit of a head is looked at after each piece, and would miss one that comes in one large piece.
        """
        step = _HEAD_PIECE_BYTES if self._between_requests else len(data)
        for start in range(0, len(data), step):
            if not self.transport.is_closing():
                super().data_received(data[start : start + step])
        self._time_head()

    def pause_writing(self) -> None:
        """Note that the peer has not yet read what was written."""
        super().pause_writing()
        self._stop_write_clock()
        self._write_timer = self.loop.call_later(max(self._patience_s, 0), self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the peer has read it."""
        super().resume_writing()
        self._stop_write_clock()
        self._patience_s = min(self._patience_s + _PATIENCE_PER_PART_S, _WRITE_PATIENCE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        super().connection_lost(exc)
        self._stop_head_clock()
        self._stop_write_clock()

    def _time_head(self) -> None:
        if not self._between_requests:
            self._stop_head_clock()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_TIMEOUT_S, self._give_up)

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop_head_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_clock(self) -> None:
        if self._write_timer is not None:
            self._patience_s = self._write_timer.when() - self.loop.time()
            self._write_timer.cancel()
            self._write_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._between_requests:
            self.transport.close()


class _StrictParser(h11.Connection):
    """Refuses chunks beside a length or in HTTP/1.0: proxies disagree where such a request ends (RFC 9112, 6.1)."""

    def next_event(self) -> Any:
        """The next event, as in h11."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("transfer-encoding beside content-length, or in HTTP/1.0")
        return event
