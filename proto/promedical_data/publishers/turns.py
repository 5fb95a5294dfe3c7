"""Prompts of publishers as messages, which is what a row of ours holds."""

from typing import Any, Final

from pydantic import TypeAdapter

from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.skips import Refusal

_PROMPT: Final[TypeAdapter[str | list[conversations.Turn]]] = TypeAdapter(conversations.RawPrompt)


def messages(value: object, field: str) -> list[dict[str, str]]:
    """The turns of a prompt. A text is one turn of the user: publishers do not write transcripts.

    Raises:
        Refusal: It is neither a text nor messages.
    """
    try:
        found = parts.checked(_PROMPT, value)
    except Refusal as error:
        raise Refusal(f"{field}: {error}") from None
    turns: list[Any] = [{"role": "user", "content": found}] if isinstance(found, str) else found
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]
