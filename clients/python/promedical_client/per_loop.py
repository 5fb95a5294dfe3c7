"""One connection pool per process and event loop: neither sockets nor channels survive a fork or another loop."""

import asyncio
import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Builds a T the first time that it is asked for in a (process, running event loop), and keeps it there.

    What belonged to a closed loop is let go. What a fork inherited is never used, nor let go: destroying it
    would talk to threads that exist only in the parent.
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._kept: dict[int, dict[asyncio.AbstractEventLoop, T]] = {}

    def get(self) -> T:
        """The T of the running loop."""
        mine, loop = self._mine(), asyncio.get_running_loop()
        if loop not in mine:
            mine[loop] = self._build()
        return mine[loop]

    def take(self) -> T | None:
        """Forget the T of the running loop and hand it over, to be closed; None if there is none."""
        return self._mine().pop(asyncio.get_running_loop(), None)

    def is_inherited(self) -> bool:
        """Whether another process had one open when it was forked into this one."""
        return any(kept for pid, kept in self._kept.items() if pid != os.getpid())

    def _mine(self) -> dict[asyncio.AbstractEventLoop, T]:
        mine = self._kept.setdefault(os.getpid(), {})
        for loop in list(mine):
            if loop.is_closed():
                mine.pop(loop, None)
        return mine
