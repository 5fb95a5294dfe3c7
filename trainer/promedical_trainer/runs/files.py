"""Small files of a run that must never be half written, since the next call reads them."""

from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_suffix(".part")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
