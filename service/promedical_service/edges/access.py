"""Who may call: API keys, read and checked before a port opens.

This module does not know transports: an edge passes the key that it found, and gets the owner's name or an error.
"""

import codecs
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError
from promedical_service.telemetry.logs import get_logger

ANONYMOUS: Final = "anonymous"
MIN_KEY_CHARS: Final = 16
_REREAD_S: Final = 1.0
_SHOWN_FAULTS: Final = 20
_MISSING: Final = "This service wants an API key; send it as `authorization: Bearer KEY` or `x-api-key: KEY`"
_WRONG: Final = "This API key is not known here; check it, or ask the operator for a new one"


class KeyRing:
    """The API keys of one file, kept as hashes and read again when the file changes.

    Without a file everybody may call and is "anonymous". The lines that can be read are the keys, and no others:
    a key whose line is gone is refused, whatever the other lines are, and a file that is empty or gone lets nobody
    in. Lines that cannot be read are logged by their numbers.

    Args:
        file: With one `name:key` per line; None: no key is asked for.
        on_read: Told whether the whole file could be read, at construction and after every change.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: No line of the file can be used when the instance is made.
    """

    def __init__(
        self,
        file: Path | None,
        *,
        on_read: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._on_read = on_read
        self._clock = clock
        self._looked_at = clock()
        self._read = _read_keys(file) if file else _Keys()
        if file and not self._read.owners:
            raise ConfigurationError("\n".join(f"keys_file: {file}{fault}" for fault in self._read.faults))
        if file:
            self._report()

    @property
    def required(self) -> bool:
        """Whether callers need a key."""
        return self._file is not None

    def owner(self, presented: str | None) -> str:
        """The name of the key's owner; "anonymous" if no key is required.

        Raises:
            ServiceError: unauthenticated, if the key is missing or not known.
        """
        if not self.required:
            return ANONYMOUS
        if not presented:
            raise ServiceError(ErrorCode.UNAUTHENTICATED, _MISSING)
        if self._clock() - self._looked_at >= _REREAD_S:
            self.reread()
        digest = _digest(presented)
        # Every key is compared, so that the time taken tells nothing.
        found = [name for name, known in self._read.owners if hmac.compare_digest(digest, known)]
        if not found:
            raise ServiceError(ErrorCode.UNAUTHENTICATED, _WRONG)
        return found[0]

    def reread(self) -> None:
        """Use what the file holds now."""
        if self._file is None:
            return
        self._looked_at = self._clock()
        read = _read_keys(self._file)
        if read != self._read:
            self._read = read
            self._report()

    def _report(self) -> None:
        log, keys, faults = get_logger("promedical.access"), len(self._read.owners), self._read.faults
        if faults:
            reasons = [fault.lstrip(", ") for fault in faults[:_SHOWN_FAULTS]]
            log.error("keys file not read in full", keys=keys, faults=len(faults), reasons=reasons)
        else:
            log.info("keys file read", keys=keys)
        self._on_read(not faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """What a keys file holds: names with hashes, and what is wrong with it, to be put behind the file's name."""

    owners: tuple[tuple[str, bytes], ...] = ()
    faults: tuple[str, ...] = ()


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key in `authorization: Bearer KEY` or `x-api-key: KEY`; names in lower case."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _read_keys(file: Path) -> _Keys:
    """Name and hash per line; a name may have several keys while one replaces another."""
    try:
        lines = file.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        return _Keys(faults=(f" cannot be read: {error.strerror}",))
    owners, faults = [], []
    for number, line in enumerate(map(bytes.strip, lines), start=1):
        if not line or line.startswith(b"#"):
            continue
        try:
            owners.append(_parse_key(line.decode()))
        except ValueError as error:
            reason = "expected UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            faults.append(f", line {number}: {reason}")
    if not owners and not faults:
        faults.append(" holds no key; add a line `name:key`")
    return _Keys(owners=tuple(owners), faults=tuple(faults))


def _parse_key(line: str) -> tuple[str, bytes]:
    """Name and hash of a line. Errors never quote the line: it may be a key without a name."""
    name, colon, key = (part.strip() for part in line.partition(":"))
    if not colon or not name:
        raise ValueError("expected `name:key`")
    if len(key) < MIN_KEY_CHARS or not key.isascii() or " " in key:
        raise ValueError(f"expected a key of at least {MIN_KEY_CHARS} ASCII characters, no spaces")
    return name, _digest(key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
