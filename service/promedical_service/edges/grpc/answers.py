"""Answers as they leave over gRPC: in one piece, and held until the caller has taken it.

gRPC sends a message as fast as its caller reads, holds the rest for as long as the connection lives, and has no way
to give up one call. So the connection of a caller who takes nothing is ended.
"""

import asyncio
import ipaddress
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from promedical_service.telemetry.logs import get_logger

COPIES: Final = 2
"""How often an answer is in memory while it leaves: as it was made, and as gRPC holds it."""
_PATIENCE_S: Final = 30.0
_SLOWEST_BYTES_PER_S: Final = 256 * 1024
_FILES: Final = Path("/proc/self/fd")
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


async def send_answer(context: Any, answer: bytes) -> None:
    """Hand an answer over, and return when the caller has taken it but for a last piece of 64 KiB.

    A caller has half a minute, and a second more for each 256 KiB. The calls of an ended connection are cancelled.
    """
    leaving = asyncio.ensure_future(context.write(answer))
    try:
        done, _ = await asyncio.wait({leaving}, timeout=_PATIENCE_S + len(answer) / _SLOWEST_BYTES_PER_S)
        if not done and end_connection(context.peer()):
            get_logger("promedical.server").warning("connection ended, its answer was not taken", bytes=len(answer))
        await leaving
    finally:
        leaving.cancel()


def end_connection(peer: str) -> bool:
    """End the connection of a peer, named as gRPC names it; whether it was found among the files of this process."""
    kind, _, address = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6") or not _FILES.is_dir():
        return False
    host, _, port = address.rpartition(":")
    return any(_ended(int(file.name), (_plain(host.strip("[]")), port)) for file in _FILES.iterdir())


def _ended(descriptor: int, wanted: tuple[str, str]) -> bool:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:  # OSError: no such connection
        if connection.family in _INTERNET:
            host, port, *_ = connection.getpeername()
            if (_plain(host), str(port)) == wanted:
                connection.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _plain(host: str) -> str:
    """An address in one form, whether or not its socket is one of IPv6."""
    address = ipaddress.ip_address(host)
    return str(getattr(address, "ipv4_mapped", None) or address)
