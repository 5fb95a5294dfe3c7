"""Who may call: API keys, read and checked before a port opens.

Knows nothing of transports: an edge hands over the key it found, and gets the name of its owner or an error.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError
from promedical_service.telemetry.logs import get_logger

ANONYMOUS: Final = "anonymous"
MIN_KEY_CHARS: Final = 16
_REREAD_S: Final = 1.0
_MISSING: Final = "This service wants an API key; send it as `authorization: Bearer KEY` or `x-api-key: KEY`"
_WRONG: Final = "This API key is not known here; check it, or ask the operator for a new one"


class KeyRing:
    """The API keys of one file, kept as hashes and read again when the file changes.

    Without a file everybody may call and is "anonymous". A file that turns bad is logged and the last good
    keys stay, so that a slip in a mounted secret does not lock everybody out.

    Raises:
        ConfigurationError: At construction, if the file cannot be used.
    """

    def __init__(self, file: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._seen = file_stamp(file)
        self._looked_at = clock()
        self._owners = _read_keys(file) if file else ()

    @property
    def required(self) -> bool:
        """Whether callers need a key."""
        return self._file is not None

    def owner(self, presented: str | None) -> str:
        """The name of the key's owner; "anonymous" where no key is required.

        Raises:
            ServiceError: unauthenticated, if the key is missing or not known.
        """
        if not self.required:
            return ANONYMOUS
        if not presented:
            raise ServiceError(ErrorCode.UNAUTHENTICATED, _MISSING)
        self._reread()
        digest = _digest(presented)
        # Every key is compared, so that the time taken tells nothing.
        found = [name for name, known in self._owners if hmac.compare_digest(digest, known)]
        if not found:
            raise ServiceError(ErrorCode.UNAUTHENTICATED, _WRONG)
        return found[0]

    def _reread(self) -> None:
        if self._file is None or self._clock() - self._looked_at < _REREAD_S:
            return
        self._looked_at = self._clock()
        stamp = file_stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._owners = _read_keys(self._file)
        except ConfigurationError as error:
            get_logger("promedical.access").error("keys file not read, the old keys stay", reason=str(error))


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key in `authorization: Bearer KEY` or `x-api-key: KEY`; names in lower case."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _read_keys(file: Path) -> tuple[tuple[str, bytes], ...]:
    """Name and hash per line; a name may have several keys while one replaces another."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"keys_file: {file} cannot be read: {error}") from None
    owners = tuple(
        _parse_key(line, f"keys_file: {file}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not owners:
        raise ConfigurationError(f"keys_file: {file} holds no key; add a line `name:key`")
    return owners


def _parse_key(line: str, place: str) -> tuple[str, bytes]:
    """Name and hash of a line. Errors never quote the line: it may be a key without a name."""
    name, colon, key = (part.strip() for part in line.partition(":"))
    if not colon or not name:
        raise ConfigurationError(f"{place}: expected `name:key`")
    if len(key) < MIN_KEY_CHARS or not key.isascii() or " " in key:
        raise ConfigurationError(f"{place}: expected a key of at least {MIN_KEY_CHARS} ASCII characters, no spaces")
    return name, _digest(key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def file_stamp(file: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does; None if it is not there."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None
