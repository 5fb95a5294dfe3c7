"""The files that pages load: all ours, from this package, under an address that changes with their content.

So a browser may keep them for good, and no page meets a script of another version.
"""

import hashlib
from importlib.resources import files
from typing import Final

from starlette.staticfiles import StaticFiles

FOLDER: Final = "/static"


def _version() -> str:
    whole = hashlib.sha256()
    for each in sorted((files(__package__) / "static").iterdir(), key=lambda each: each.name):
        whole.update(each.name.encode() + b"\0" + each.read_bytes())
    return whole.hexdigest()[:12]


ADDRESS: Final = f"{FOLDER}/{_version()}"


def static_files() -> StaticFiles:
    """The app that serves them."""
    return StaticFiles(packages=[(str(__package__), "static")])
