"""What one record of a publisher's file says, and how its fields are looked up. No files are read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from promedical_data.skips import Refusal

_LETTERS: Final = "ABCDEFGHIJ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question before it has an id.

    Attributes:
        instruction: What a person asks; it may be empty, which a screen counts.
        origin: The publisher's id, if there is one.
        reference: The publisher's answer, if there is one.
        topic: What the publisher says that it is about, as plain JSON: a subject, a focus, a difficulty.
    """

    instruction: str
    origin: str | None = None
    reference: str | None = None
    topic: Mapping[str, Any] = field(default_factory=dict)


def text(record: Mapping[str, Any], name: str) -> str:
    """The text of a field that every record has.

    Raises:
        Refusal: It is missing, or it is not text.
    """
    if record.get(name) is None:
        raise Refusal(f"{name}: is missing")
    return _as_text(record[name], name)


def optional(record: Mapping[str, Any], name: str) -> str | None:
    """The text of a field that a record may lack; None for text with nothing in it.

    Raises:
        Refusal: It is not text.
    """
    value = record.get(name)
    return None if value is None else _as_text(value, name).strip() or None


def identifier(record: Mapping[str, Any], name: str) -> str | None:
    """A text or a whole number that names a record; None if it has no name.

    Raises:
        Refusal: It is something else.
    """
    value = record.get(name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else optional(record, name)


def topic(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the fields that say something."""
    return {name: record[name] for name in names if record.get(name)}


def with_choices(question: str, choices: Mapping[str, str]) -> str:
    """A question with its choices, in one form for every source that has them."""
    listed = " ".join(f"({letter}) {choice.strip()}" for letter, choice in choices.items())
    return f"{question.strip()}\nAnswer Choices: {listed}" if listed else question.strip()


def lettered(choices: list[str]) -> dict[str, str]:
    """Choices by their letters."""
    return dict(zip(_LETTERS, choices, strict=False))


def answer(choice: str | None, explanation: str | None) -> str | None:
    """A reference of the right choice and why it is right."""
    return "\n\n".join(part for part in (choice, explanation) if part) or None


def _as_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Refusal(f"{name}: is not text")
    return value
