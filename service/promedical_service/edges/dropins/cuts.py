"""What clients say about cutting, by family: no endpoint ignores what another endpoint of its family reads.

The service cuts what does not fit the model, at its end or its start. It does not cut to a length that a client
chooses: such a length is accepted where nothing can be longer, and refused otherwise.
"""

from collections.abc import Iterable
from typing import Literal

from promedical.messages import Truncation
from promedical.rubric import InvalidField

Direction = Literal["Left", "Right", "left", "right"]


def cut_at_limit(*, asked: bool, direction: Direction | None) -> Truncation:
    """What is cut from what does not fit, if a client asks for that."""
    if not asked:
        return "none"
    return "prompt_start" if (direction or "right").lower() == "left" else "response_end"


def cut_prompt_tokens(most: int | None, side: Direction | None) -> Truncation:
    """What vLLM's `truncate_prompt_tokens` cuts: -1 stands for the model's length."""
    return cut_at_limit(asked=most is not None, direction=side)


def check_prompt_tokens(most: int | None, texts: Iterable[tuple[str, int]]) -> None:
    """Refuse a `truncate_prompt_tokens` that would cut.

    Args:
        most: The most tokens; -1 for the model's length.
        texts: The place and the bytes of everything that may not be longer.

    Raises:
        InvalidField: It is below -1, or something may be longer.
    """
    if most is not None and most < -1:
        raise InvalidField("truncate_prompt_tokens", "expected -1 (the length that the model reads) or more")
    if most is not None and most >= 0:
        _check("truncate_prompt_tokens", most, texts)


def check_length(name: str, most: int | None, texts: Iterable[tuple[str, int]]) -> None:
    """Refuse a length that would cut; None and 0 stand for no length.

    Raises:
        InvalidField: It is negative, or something may be longer.
    """
    if most is not None and most < 0:
        raise InvalidField(name, "expected 0 (no cut) or more")
    if most:
        _check(name, most, texts)


def _check(name: str, most: int, texts: Iterable[tuple[str, int]]) -> None:
    for place, size in texts:
        if size > most:  # a token has at least one byte
            raise InvalidField(
                name,
                f"is {most}, and {place} may have more tokens; texts are cut only to what the model reads. Shorten it, "
                "or leave this out and give truncation=response_end or truncation=prompt_start in the URL",
            )
