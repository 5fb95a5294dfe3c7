"""Which split a prompt belongs to, and every draw: by hashes of names, so that no other item changes it. Pure."""

import hashlib
import random
from typing import Final, Literal, TypeAlias

from promedical_data.overlap import normalise

Split: TypeAlias = Literal["train", "dev", "test"]

SPLITS: Final[tuple[Split, ...]] = ("train", "dev", "test")

_TENTHS: Final[tuple[Split, ...]] = ("dev", "test", *("train",) * 8)


def split_of(prompt: str) -> Split:
    """The split of a prompt, by the hash of its text as normalisation leaves it: eight tenths are train."""
    digest = hashlib.sha256(normalise(prompt).encode()).digest()
    return _TENTHS[int.from_bytes(digest[:8], "big") % len(_TENTHS)]


def drawing(*names: object) -> random.Random:
    """Draws for what has these names."""
    return random.Random("/".join(map(str, names)))  # noqa: S311 - a reproducible draw, no secret


def in_hash_order(names: list[str], seed: int) -> list[str]:
    """Names in an order that is their own, so that a limit keeps the same ones whatever else there is."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
