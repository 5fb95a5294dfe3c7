"""API keys: how they are made, and the hash that is kept instead of one.

Keys are long and random, so one round of SHA-256 is enough: nobody can try all of them. Hashes that are slow on
purpose are for passwords, and would let callers without a key keep the service busy.
"""

import hashlib
import re
import secrets
from typing import Final

MIN_KEY_CHARS: Final = 16
_PREFIX: Final = "pm_"
_RANDOM_BYTES: Final = 32
_HASHED: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")


def new_key() -> str:
    """A key with 256 random bits; its prefix helps to find it where it has leaked."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def hashed(key: str) -> str:
    """A key as files hold it."""
    return f"sha256:{digest(key).hex()}"


def read_secret(text: str) -> bytes:
    """The digest of what a file holds: a hash, or a key in plain text.

    Raises:
        ValueError: It is neither. The message does not quote it.
    """
    if text.startswith("sha256:"):
        found = _HASHED.fullmatch(text)
        if found is None:
            raise ValueError("expected sha256: and 64 hex digits")
        return bytes.fromhex(found[1])
    if len(text) < MIN_KEY_CHARS or not text.isascii() or " " in text:
        raise ValueError(f"expected a key of at least {MIN_KEY_CHARS} ASCII characters, no spaces")
    return digest(text)
