"""Converted models: each is made once in the user's cache, under a lock, and appears complete or not at all.

A container image has some ready-made, in a folder that PROMEDICAL_BAKED names and nobody writes to.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock

from promedical_data.cache import cache_folder
from promedical_data.files import whole_folder
from promedical_model.bundle.manifest import BundleError

_REMOVALS: Final = 20
_unfinished: list[Callable[[], None]] = []
"""What undoes the work that threads are at."""
_unfinished_lock: Final = threading.Lock()


def ready(name: str) -> Path | None:
    """The folder of this name that exists already: it is part of the image, or was made earlier."""
    baked = os.environ.get("PROMEDICAL_BAKED")
    places = ([Path(baked)] if baked else []) + [cache_folder()]
    return next((place / name for place in places if (place / name).is_dir()), None)


def made_once(name: str, make: Callable[[Path], None], what: str) -> Path:
    """The folder, made if it does not exist; of two processes that ask at once, one makes it and the other waits.

    Args:
        name: The name of the folder.
        make: Fills an empty folder, which then gets the name.
        what: What is made, for the error.

    Raises:
        BundleError: The cache cannot be written, or whatever `make` raises.
    """
    return ready(name) or _made(cache_folder() / name, make, what)


def _made(folder: Path, make: Callable[[Path], None], what: str) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                with whole_folder(folder) as draft, undone_at_exit(partial(_remove, draft)):
                    make(draft)
    except OSError as error:
        raise BundleError(
            f"{what} cannot be written to {folder}: {error}; set PROMEDICAL_CACHE to a folder that can be written"
        ) from error
    return folder


@contextmanager
def undone_at_exit(undo: Callable[[], None]) -> Iterator[None]:
    """Have `undo` called if the process ends in the middle of this block, by `undo_unfinished`."""
    _unfinished.append(undo)
    try:
        yield
    finally:
        with _unfinished_lock:
            _unfinished.remove(undo)


def undo_unfinished() -> None:
    """Undo what threads are in the middle of. For a process that ends now: they cannot finish any more."""
    _unfinished_lock.acquire()  # and never released
    for undo in reversed(_unfinished):
        undo()


def _remove(folder: Path) -> None:
    """Also while a thread still writes into it."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
