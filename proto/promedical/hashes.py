"""Hashes of texts with a secret: whoever has the text and the secret finds its records, and nobody finds the text."""

import hmac
import json

from promedical.messages import ScoreItem


def hash_of(text: str, salt: bytes) -> str:
    """HMAC-SHA256 in hexadecimal, of the text in UTF-8."""
    return hmac.digest(salt, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def prompt_hash(item: ScoreItem, salt: bytes) -> str:
    """The hash of an item's prompt; several messages are hashed as JSON without white space."""
    if isinstance(item.prompt, str):
        return hash_of(item.prompt, salt)
    turns = [[turn.role, turn.content] for turn in item.prompt]
    return hash_of(json.dumps(turns, ensure_ascii=False, separators=(",", ":")), salt)
