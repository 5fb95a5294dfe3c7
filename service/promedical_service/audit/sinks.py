"""Where records go: a file that is rotated by the logging library, or standard output."""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, Protocol

from promedical_service.settings import ConfigurationError
from promedical_service.telemetry.queued_handler import write_all

STANDARD_OUTPUT: Final = "-"
_MIN_SALT_BYTES: Final = 16


class Sink(Protocol):
    """Where lines go. Only one thread uses it."""

    def write(self, line: bytes) -> None:
        """Write one line, or raise OSError."""

    def close(self) -> None:
        """Write no more."""


def open_sink(target: str, *, max_bytes: int, keep: int, setting: str = "audit_file") -> Sink:
    """The sink that a setting names.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    if target == STANDARD_OUTPUT:
        return _StandardOutput()
    if Path(target).is_fifo():
        raise ConfigurationError(f"{setting}: {target} is a pipe, which would hold up the start; use - and a pipe")
    try:
        return _File(target, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{setting}: {target} cannot be written: {error.strerror}") from None


def read_salt(file: Path | None) -> bytes | None:
    """The secret of the hashes; None without a file.

    Raises:
        ConfigurationError: The file cannot be read, or holds too little.
    """
    if file is None:
        return None
    try:
        salt = file.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"audit_salt_file: {file} cannot be read: {error.strerror}") from None
    if len(salt) < _MIN_SALT_BYTES:
        raise ConfigurationError(f"audit_salt_file: {file}: expected at least {_MIN_SALT_BYTES} random bytes")
    return salt


class _StandardOutput:
    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()

    def write(self, line: bytes) -> None:
        write_all(self._descriptor, line)

    def close(self) -> None:
        """Nothing: it belongs to the process."""


class _File(RotatingFileHandler):
    """The library's handler, which prints errors where this one raises them."""

    def write(self, line: bytes) -> None:
        self.emit(logging.makeLogRecord({"msg": line.decode().rstrip("\n")}))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's
        error = sys.exc_info()[1]
        assert error is not None, "it is called where an error is handled"
        raise error
