"""Time as a parameter: whoever needs the time is given a clock, so that tests turn it and nobody sleeps."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds since 1970, such as `time.time`."""


def iso(seconds: float) -> str:
    """A time in ISO 8601 with its zone, as files hold it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
