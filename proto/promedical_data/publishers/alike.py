"""What several publishers write alike: prompts as messages, and criteria with the points of HealthBench."""

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


def healthbench_entry(entry: Any) -> Any:
    """A criterion with points and tags as HealthBench has them; of an object of tags only the axis means something."""
    if not isinstance(entry, dict):
        return entry
    tags = entry.get("tags")
    axis = tags.get("axis") if isinstance(tags, dict) else None
    listed = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return {**entry, "tags": [f"axis:{axis}"] if isinstance(axis, str) else listed}
