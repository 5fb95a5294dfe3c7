"""How many files the process may have open; every connection is one."""

import contextlib
import resource


def raise_open_files() -> None:
    """Raise the soft limit to the hard one, where the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
