"""Where models that are fetched once are kept, and whether fetching is allowed."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where models are written: PROMEDICAL_CACHE, else promedical/ in the user's cache."""
    explicit = os.environ.get("PROMEDICAL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(explicit) if explicit else Path(base) / "promedical"


def offline() -> bool:
    """Whether PROMEDICAL_OFFLINE forbids fetching."""
    return os.environ.get("PROMEDICAL_OFFLINE", "0") not in {"", "0", "false"}
