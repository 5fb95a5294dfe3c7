"""Passwords: argon2id by pwdlib, with its recommended settings."""

from typing import Final

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from promedical_review.errors import InvalidError

LEAST_CHARACTERS: Final = 12
MOST_CHARACTERS: Final = 1024

_HASHER: Final = PasswordHash.recommended()
_NOBODYS: Final = _HASHER.hash("nobody has this password")


def hashed(password: str) -> str:
    """What is stored of a password.

    Raises:
        InvalidError: It is too short or too long.
    """
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise InvalidError(
            f"has {len(password)} characters; expected {LEAST_CHARACTERS} to {MOST_CHARACTERS}", "password"
        )
    return _HASHER.hash(password)


def fits(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one. It takes as long where nothing is stored, so that no name shows."""
    if len(password) > MOST_CHARACTERS:
        return False
    try:
        return _HASHER.verify(password, stored or _NOBODYS) and stored is not None
    except UnknownHashError:
        return False
