"""Prompts and answers as rows hold them: transcripts, messages, or the parts of a text."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NotRequired

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from promedical.conversation import parse_prompt
from promedical.messages import Message, Role
from promedical_data.formats import fields as parts
from promedical_data.skips import Refusal


def _role(value: object) -> object:
    word = parts.plain_word(value)
    return "system" if word == "developer" else word


def _joined(value: object) -> object:
    """A message's content as one text, even if it is given in parts."""
    if not isinstance(value, list):
        return value
    return "\n".join(map(_part, value))


def _part(part: object) -> str:
    match part:
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return text
    raise PydanticCustomError("part", "has a part that is not text")


def _messages(value: object) -> object:
    """One message as a list of one; parts of a text as one text."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, str | list):
        raise PydanticCustomError("kind", "is neither text nor a list of messages")
    are_parts = isinstance(value, list) and all(isinstance(part, dict) and "role" not in part for part in value)
    return _joined(value) if are_parts and value else value


def _shape(value: object) -> str:
    return "transcript" if isinstance(value, str) else "messages"


class Turn(TypedDict):
    """One message. A content in parts is their text; a developer's turn is the system's."""

    role: Annotated[Role, BeforeValidator(_role)]
    content: Annotated[str, BeforeValidator(_joined)]


RawPrompt = Annotated[
    Annotated[str, Tag("transcript")] | Annotated[list[Turn], Tag("messages")],
    Discriminator(_shape),
    BeforeValidator(_messages),
]
"""A text or messages; or the parts of a text. Whether the text may be a transcript depends on the format."""
RawAnswer = RawPrompt
"""A text, or messages of which the last is the answer; or the parts of a text."""


class _Answer(TypedDict):
    text: RawAnswer


class _Answers(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    responses: NotRequired[list[_Answer]]


_ANSWERS: Final = TypeAdapter(_Answers)


def turns_of(prompt: str | list[Turn]) -> tuple[Message, ...]:
    """The turns of a prompt in a format whose texts may be transcripts.

    Raises:
        InvalidField: It is not a conversation that ends with a user turn.
    """
    return parse_prompt(prompt if isinstance(prompt, str) else [Message(**turn) for turn in prompt])


def literal_turns_of(prompt: str | list[Turn]) -> tuple[Message, ...]:
    """The turns of a prompt in a format of others, where a text is one user turn, whatever it starts with.

    Raises:
        InvalidField: It is not a conversation that ends with a user turn.
    """
    return turns_of([Turn(role="user", content=prompt)] if isinstance(prompt, str) else prompt)


def answer_of(answer: str | list[Turn], turns: tuple[Message, ...], field: str) -> str:
    """The text of an answer, which may be empty.

    Args:
        answer: A text, or messages that end with the assistant's; messages before it may repeat the prompt's last ones.
        turns: The turns of the prompt.
        field: The answer's key, for the error.

    Raises:
        Refusal: It does not hold an answer, or answers another prompt.
    """
    if isinstance(answer, str):
        return answer
    messages = tuple(Message(**turn) for turn in answer)
    if not messages or messages[-1].role != "assistant":
        raise Refusal(f"{field}: does not end with a message of the assistant")
    before = messages[:-1]
    if before != turns[len(turns) - len(before) :]:
        raise Refusal(f"{field}: has messages before the answer that are not those of the prompt")
    return messages[-1].content


def answers_of(raw: dict[str, Any], turns: tuple[Message, ...]) -> tuple[str, ...]:
    """The texts of all `responses` of a row, in their order, graded or not, empty ones too.

    Raises:
        Refusal: One of them has no text.
    """
    responses = parts.checked(_ANSWERS, raw).get("responses", [])
    return tuple(answer_of(response["text"], turns, "responses.text") for response in responses)


def messages_of(turns: Sequence[Message]) -> list[dict[str, str]]:
    """Turns as a row holds them."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]
