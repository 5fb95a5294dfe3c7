"""Whose a key is: the keys of one file, checked before a port opens and read again when the file changes."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError
from promedical_service.telemetry.logs import get_logger
from promedical_service.tenancy.keys import digest
from promedical_service.tenancy.keys_file import Keys, content_of, read_keys
from promedical_service.tenancy.tenant import NOBODY, Tenant

_REREAD_S: Final = 1.0
_SHOWN_FAULTS: Final = 20
_MISSING: Final = "This service wants an API key; send it as `authorization: Bearer KEY` or `x-api-key: KEY`"
_WRONG: Final = "This API key is not known here; check it, or ask the operator for a new one"
_EXPIRED: Final = "This API key has expired; ask the operator for a new one"


class WrongKeyError(ServiceError):
    """The key that a caller sent is not known, or not any more: perhaps a guess."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.UNAUTHENTICATED, message)


class KeyRing:
    """The API keys of one file, kept as hashes and read again when the file changes.

    Without a file everybody may call and is "anonymous". The lines that can be read are the keys, and no others:
    a key whose line is gone is refused, whatever the other lines are, and a file that is empty or gone lets nobody
    in. Lines that cannot be read are logged by their numbers.

    Args:
        file: With one key per line; None: no key is asked for.
        on_read: Told the names, with when their keys end, and whether the whole file could be read; at construction
            and after every change.
        clock: Monotonic seconds.
        today: The time by which keys expire.

    Raises:
        ConfigurationError: No line of the file can be used when the instance is made.
    """

    def __init__(
        self,
        file: Path | None,
        *,
        on_read: Callable[[Mapping[str, Sequence[float]], bool], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file = file
        self._on_read = on_read
        self._clock = clock
        self._today = today
        self._looked_at = clock()
        self._seen = b""
        self._read = Keys()
        if file:
            content = content_of(file)
            self._seen, self._read = _hash(content), read_keys(content)
        if file and not self._read.keys:
            raise ConfigurationError("\n".join(f"keys_file: {file}{fault}" for fault in self._read.faults))
        if file:
            self._report()

    @property
    def required(self) -> bool:
        """Whether callers need a key."""
        return self._file is not None

    def tenant(self, presented: str | None) -> Tenant:
        """The owner of the key, with its rights; "anonymous" if no key is required.

        Raises:
            WrongKeyError: The key is not known, or has expired.
            ServiceError: unauthenticated, if the key is missing.
        """
        if not self.required:
            return NOBODY
        if not presented:
            raise ServiceError(ErrorCode.UNAUTHENTICATED, _MISSING)
        if self._clock() - self._looked_at >= _REREAD_S:
            self.reread()
        sent = digest(presented)
        # Every key is compared, so that the time taken tells nothing.
        found = [key for key in self._read.keys if hmac.compare_digest(sent, key.digest)]
        if not found:
            raise WrongKeyError(_WRONG)
        if found[0].expires is not None and found[0].expires <= self._today():
            raise WrongKeyError(_EXPIRED)
        return found[0].tenant

    def reread(self) -> None:
        """Use what the file holds now."""
        if self._file is None:
            return
        self._looked_at = self._clock()
        content = content_of(self._file)
        seen = _hash(content)
        if seen == self._seen:  # time and size of a file need not change with it
            return
        self._seen = seen
        read = read_keys(content)
        if read != self._read:
            self._read = read
            self._report()

    def _report(self) -> None:
        log, keys, faults = get_logger("promedical.access"), len(self._read.keys), self._read.faults
        if faults:
            reasons = [fault.lstrip(", ") for fault in faults[:_SHOWN_FAULTS]]
            log.error("keys file not read in full", keys=keys, faults=len(faults), reasons=reasons)
        else:
            log.info("keys file read", keys=keys)
        self._on_read(self._read.ends, not faults)


def _hash(content: bytes | OSError) -> bytes:
    """What is kept of a file's content, which may hold keys in plain text."""
    return hashlib.sha256(content if isinstance(content, bytes) else b"").digest()
