"""Messages as gRPC hands them over: read only if there is room for them, and inflated only up to a limit.

gRPC calls a handler of one message after it has read and inflated the message, for as many calls at a time as callers
send. A handler of a stream reads when it asks to. A call with one message is a stream of one, so all handlers here are
handlers of streams: gRPC buffers only a small window of what nobody has asked for, and messages are inflated here.
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
"""Options of every server: without them, gRPC holds more than the handlers ask for."""
MAX_BRIEF_BYTES: Final = 4096
_COMPRESSED: Final = (b"\x1f\x8b", b"\x78")
_GZIP_OR_ZLIB: Final = 47
_MOST_OF_ONE: Final = 128
"""The most calls of one connection that may wait for a brief message."""
_MOST: Final = 1024
_SHARED_S: Final = 0.5
"""How many seconds of looks a line has for those who wait, who share them: few get several each, many get one each."""
END: Final = cast("Any", grpc.aio).EOF

Wire = TypeVar("Wire", bound=Message)


class Ended(Exception):  # noqa: N818 - how a call ends, not what went wrong
    """Ends a call of gRPC's own services with this status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def tell(self, context: Any) -> None:
        """Send the status when the handler returns."""
        context.set_code(self.code)
        context.set_details(self.message)


class TooLargeError(Exception):
    """A message inflates to more bytes than allowed."""


class NoPlaceError(Exception):
    """No message can be read soon."""


class Places:
    """Places where messages are read: few at once, in all and per caller. A late message gives its place to the next.

    While a message is read, gRPC may buffer it up to the limit of its port; of a message that waits here unread, gRPC
    holds up to 64 KiB.

    Args:
        at_once: The number of places.
        of_one: The most places that one caller may take.
        look_s: How many seconds every message gets to arrive.
        looks: How many times as long a message gets if nobody waits; if few do, it gets some of these looks. They are
            counted and not timed, so that a machine that is busy does not make an honest message late.
        wait_s: How many seconds a call waits for a place.
    """

    def __init__(self, *, at_once: int, of_one: int, look_s: float, looks: int, wait_s: float) -> None:
        self._wait_s = wait_s
        self._at_once, self._of_one = at_once, of_one
        self._look_s, self._looks = look_s, looks
        self._all = _Line(at_once)
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()

    @property
    def calls(self) -> int:
        """The number of calls that have a place or wait for one."""
        return self._all.calls

    def calls_of(self, caller: str) -> int:
        """The number of this caller's calls that have a place or wait for one."""
        return self._line(caller).calls

    @contextlib.asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator["Place"]:
        """Wait for a place, and keep it for the block.

        Raises:
            NoPlaceError: There is no place in time.
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
        """The next message; `END` after the last one.

        Raises:
            TimeoutError: It does not arrive in time.
        """
        reading = asyncio.ensure_future(context.read())
        try:
            for look in range(1, self._looks + 1):
                done, _ = await asyncio.wait({reading}, timeout=self._look_s)
                if done:
                    return reading.result()
                if look >= self._patience():
                    break
        finally:
            reading.cancel()
        raise TimeoutError

    def _patience(self) -> float:
        """How many looks a message gets, given who waits now."""
        share = min(line.share for line in self._lines)
        return self._looks if share == 1 else _SHARED_S / self._look_s * share


class _Line:
    def __init__(self, places: int) -> None:
        self._places = places
        self._turns = asyncio.Semaphore(places)
        self.calls = 0

    @property
    def share(self) -> float:
        """How many of those who have a place or wait can have one: 1 if nobody waits."""
        return min(1.0, self._places / max(1, self.calls))

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self.calls += 1
        try:
            async with self._turns:
                yield
        finally:
            self.calls -= 1


class BriefReads:
    """Reads small messages of callers that need no key. An honest caller's message arrives together with its call.

    Args:
        at_once: How many messages are read at the same time, and only one per connection.
    """

    def __init__(self, at_once: int) -> None:
        self._places = Places(at_once=at_once, of_one=1, look_s=0.02, looks=250, wait_s=5.0)

    async def read(self, context: Any, kind: type[Wire]) -> Wire | None:
        """The next message; None at the end of the stream.

        Raises:
            Ended: The message does not come in time, is too large, or is of another kind.
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
    """The message itself, whether or not it came compressed, which gRPC does not say.

    No protobuf message begins like gzip; one that begins like zlib fails its checksum.

    Raises:
        TooLargeError: It holds more than `most` bytes; no more than that are inflated.
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
