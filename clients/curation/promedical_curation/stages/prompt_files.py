"""Prompts: text files, and the version under which answers to them are kept."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from promedical_curation.asking.requests import digest
from promedical_curation.errors import CurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt's name and text."""

    name: str
    text: str

    @property
    def version(self) -> str:
        """The name, and the digest of the text: a changed text is another version."""
        return f"{self.name}@{digest(self.text)[:12]}"


def built_in_prompt(name: str) -> Prompt:
    """A prompt that comes with the package."""
    text = (files("promedical_curation") / "stages" / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    return Prompt(name=name, text=text.strip())


def read_prompt(name: str, path: Path) -> Prompt:
    """A prompt of the user's own.

    Raises:
        CurationError: It cannot be read, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CurationError(f"{path}: cannot be read: {reason}; expected the prompt of stage {name}") from None
    if not text:
        raise CurationError(f"{path}: is empty; expected the prompt of stage {name}")
    return Prompt(name=name, text=text)
