"""Messages as gRPC hands them over: read only where there is room for them, inflated only up to a limit.

A handler of one message is called once gRPC has read and inflated it, as many at a time as callers send. A handler
of a stream reads when it asks, and a call of one message is a stream of one: so all handlers are of streams, gRPC
buffers a small window of what nobody has asked for, and what comes compressed is inflated here.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

import grpc
from google.protobuf.message import DecodeError, Message

UNREAD_OPTIONS: Final = (
    ("grpc.per_message_decompression", 0),
    # The probe widens the window of every stream to megabytes, which gRPC then holds unread.
    ("grpc.http2.bdp_probe", 0),
)
"""Of every server: without these, gRPC holds more than the handlers ask for."""
MAX_BRIEF_BYTES: Final = 4096
_COMPRESSED: Final = (b"\x1f\x8b", b"\x78")
_GZIP_OR_ZLIB: Final = 47
_MOST_OF_ONE: Final = 128
"""Calls of one connection that wait for a brief message."""
_MOST: Final = 1024
END: Final = cast("Any", grpc.aio).EOF

Wire = TypeVar("Wire", bound=Message)


class Ended(Exception):  # noqa: N818 - how a call ends, not what went wrong
    """A call of gRPC's own services ends with this status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def tell(self, context: Any) -> None:
        """Send the status when the handler returns."""
        context.set_code(self.code)
        context.set_details(self.message)


class TooLargeError(Exception):
    """A message inflates to more than it may."""


class NoPlaceError(Exception):
    """No message can be read soon."""


class Places:
    """Where messages are read: few at once, of all callers and of one. A late one gives its place to one that waits.

    Until it is whole, gRPC may buffer a message up to the limit of its port; of those that wait here unread it
    holds up to 64 KiB each.

    Args:
        at_once: Places.
        of_one: Places that one caller may take.
        look_s: Time that every message gets.
        looks: So many times that long it gets if nobody waits.
        wait_s: Time that a call waits for a place.
    """

    def __init__(self, *, at_once: int, of_one: int, look_s: float, looks: int, wait_s: float) -> None:
        self._wait_s = wait_s
        self._at_once, self._of_one = at_once, of_one
        self._look_s, self._looks = look_s, looks
        self._all = _Line(at_once)
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()

    @property
    def calls(self) -> int:
        """Calls that have a place or wait for one."""
        return self._all.calls

    def calls_of(self, caller: str) -> int:
        """The same, of this caller."""
        return self._line(caller).calls

    @contextlib.asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator["Place"]:
        """Wait for a place, and keep it for the block.

        Raises:
            NoPlaceError: There is none in time.
        """
        lines = (self._line(caller), self._all)
        async with contextlib.AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(self._wait_s):
                    for line in lines:
                        await turns.enter_async_context(line.turn())
            except TimeoutError:
                raise NoPlaceError from None
            yield Place(self._look_s, self._looks, lines)

    def _line(self, caller: str) -> "_Line":
        return self._lines.setdefault(caller, _Line(self._of_one))


class Place:
    """A place while it is held."""

    def __init__(self, look_s: float, looks: int, lines: Sequence["_Line"]) -> None:
        self._look_s, self._looks = look_s, looks
        self._lines = lines

    async def read(self, context: Any) -> Any:
        """The next message, `END` after the last.

        Raises:
            TimeoutError: It is not there in time.
        """
        reading = asyncio.ensure_future(context.read())
        try:
            for _ in range(self._looks):
                done, _ = await asyncio.wait({reading}, timeout=self._look_s)
                if done:
                    return reading.result()
                if any(line.crowded for line in self._lines):
                    break
        finally:
            reading.cancel()
        raise TimeoutError


class _Line:
    def __init__(self, places: int) -> None:
        self._places = places
        self._turns = asyncio.Semaphore(places)
        self.calls = 0

    @property
    def crowded(self) -> bool:
        return self.calls > self._places

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self.calls += 1
        try:
            async with self._turns:
                yield
        finally:
            self.calls -= 1


class BriefReads:
    """Reads small messages of callers who need no key. An honest one comes with its call and is there at once.

    Args:
        at_once: So many, and one at a time of each connection.
    """

    def __init__(self, at_once: int) -> None:
        self._places = Places(at_once=at_once, of_one=1, look_s=0.02, looks=250, wait_s=5.0)

    async def read(self, context: Any, kind: type[Wire]) -> Wire | None:
        """The next message, None at the end of the stream.

        Raises:
            Ended: It does not come in time, is too large, or is of another kind.
        """
        peer = context.peer()
        try:
            self._check_crowd(peer)
            async with self._places.place(peer) as place:
                wire = await place.read(context)
        except NoPlaceError:
            message = "too many calls wait for their message; try again shortly"
            raise Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, message) from None
        except TimeoutError:
            message = "the message did not come in time; send it with the call"
            raise Ended(grpc.StatusCode.DEADLINE_EXCEEDED, message) from None
        return None if wire is END else _brief(wire, kind)

    def _check_crowd(self, peer: str) -> None:
        if self._places.calls_of(peer) >= _MOST_OF_ONE or self._places.calls >= _MOST:
            raise NoPlaceError


def inflated(wire: bytes, most: int) -> bytes:
    """The message itself, whether it came compressed or not, which gRPC does not say.

    No protobuf message begins as gzip does; one that begins as zlib does fails its checksum.

    Raises:
        TooLargeError: It holds over `most` bytes; no more than that are inflated.
    """
    if not wire.startswith(_COMPRESSED):
        return wire
    inflating = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        found = inflating.decompress(wire, most + 1)
    except zlib.error:
        return wire
    if len(found) > most:
        raise TooLargeError
    return found if inflating.eof else wire


def _brief(wire: bytes, kind: type[Wire]) -> Wire:
    name = kind.DESCRIPTOR.full_name
    try:
        if len(wire) <= MAX_BRIEF_BYTES:
            return kind.FromString(inflated(wire, MAX_BRIEF_BYTES))
    except TooLargeError:
        pass
    except DecodeError:
        raise Ended(grpc.StatusCode.INVALID_ARGUMENT, f"expected a {name}; check what the client sends") from None
    raise Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, f"expected a {name} of at most {MAX_BRIEF_BYTES} bytes")
