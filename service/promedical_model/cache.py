"""The user's cache of converted models: each is made once, under a lock, and appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from promedical_model.manifest import BundleError


def cache_folder() -> Path:
    """Where converted models live: PROMEDICAL_CACHE, else promedical/ in the user's cache."""
    explicit = os.environ.get("PROMEDICAL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(explicit) if explicit else Path(base) / "promedical"


def made_once(folder: Path, make: Callable[[], None], what: str) -> Path:
    """The folder, made if it is not there; of two processes that ask at once, one makes it and the other waits.

    Args:
        folder: In the cache.
        make: Makes it, by a `scratch` that it renames.
        what: For the error.

    Raises:
        BundleError: The cache cannot be written, or whatever `make` raises.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _sweep(folder)
                make()
    except OSError as error:
        raise BundleError(f"{what} cannot be written to {folder}: {error}") from error
    return folder


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A place beside `folder` to make it in, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=_prefix(folder), dir=folder.parent) as place:
        yield Path(place)


def _sweep(folder: Path) -> None:
    """Remove what a killed process left of this folder; the lock is held, so nobody is at it."""
    for left in folder.parent.glob(f"{_prefix(folder)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _prefix(folder: Path) -> str:
    return f".making-{folder.name}-"
