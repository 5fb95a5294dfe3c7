"""One connection pool per process and event loop: sockets and channels survive neither a fork nor another loop."""

import asyncio
import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Builds a T when it is first asked for in a process and running event loop, and keeps it for them.

    A T of a closed loop is dropped. A T that was inherited through a fork is neither used nor destroyed, since
    destroying it would talk to threads that exist only in the parent.
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
        """Forget the T of the running loop and return it, so that the caller can close it; None if there is none."""
        return self._mine().pop(asyncio.get_running_loop(), None)

    def is_inherited(self) -> bool:
        """Whether a parent process had one open when this process was forked from it."""
        return any(kept for pid, kept in self._kept.items() if pid != os.getpid())

    def _mine(self) -> dict[asyncio.AbstractEventLoop, T]:
        mine = self._kept.setdefault(os.getpid(), {})
        for loop in list(mine):
            if loop.is_closed():
                mine.pop(loop, None)
        return mine
