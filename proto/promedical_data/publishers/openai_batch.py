"""Output files of OpenAI's Batch API, and of servers that write the same lines: a model's answers to given prompts.

    {"custom_id", "response": {"status_code", "body": {"model", "choices": [{"message": {"content"},
        "finish_reason"}]}}, "error"}

A line does not hold its prompt: custom_id is the id of a prompt in the file of prompts, with or without an ending such
as "-2", since ids are unique in a batch. The body may also be that of the Responses API.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical_data.formats import fields as parts
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, given_prompt, id_of
from promedical_data.skips import Place, Refusal

_OK: Final = 200
_ENDING: Final = re.compile(r"[-_:#/.][^-_:#/.]*\Z")


class _Response(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    status_code: int
    body: dict[str, Any]


class _Line(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    custom_id: parts.Filled
    response: NotRequired[_Response]
    error: NotRequired[Any]


_LINE: Final = TypeAdapter(_Line)


def _shape(raw: Row, _: Place, surroundings: Surroundings) -> Shaped:
    line = parts.checked(_LINE, raw)
    response = line.get("response")
    if line.get("error") or response is None or response["status_code"] != _OK:
        raise Refusal("response: is an error")
    body = response["body"]
    texts = list(_of_chat(body) if "choices" in body else _of_responses(body))
    prompt = _prompt(surroundings, line["custom_id"])
    responses = [{"id": f"{body.get('model') or 'model'}-{id_of(text)}", "text": text} for text in texts]
    return Shaped(file_format="criteria", row={**prompt, "responses": responses})


def _prompt(surroundings: Surroundings, custom_id: str) -> Row:
    exact = surroundings.given(custom_id)
    return exact or given_prompt(surroundings, _ENDING.sub("", custom_id))


def _of_chat(body: dict[str, Any]) -> Iterator[str]:
    for choice in body["choices"] if isinstance(body["choices"], list) else []:
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):
            yield _whole(message.get("content"), choice.get("finish_reason") == "length")


def _of_responses(body: dict[str, Any]) -> Iterator[str]:
    """The one answer of a body of the Responses API, whose text may be in several parts."""
    output = body.get("output")
    messages = [each for each in output if isinstance(each, dict)] if isinstance(output, list) else []
    pieces = [piece for each in messages if each.get("type") == "message" for piece in each.get("content") or []]
    texts = [piece["text"] for piece in pieces if isinstance(piece, dict) and piece.get("type") == "output_text"]
    yield _whole("".join(texts), body.get("status") == "incomplete")


def _whole(text: object, cut: bool) -> str:  # noqa: FBT001 - the answer, and whether it was cut off
    if cut:
        raise Refusal("response: was cut off by the limit of tokens")
    if not isinstance(text, str):
        raise Refusal("response: has no text")
    return parts.filled(text, "response")


OPENAI_BATCH: Final = Publisher(
    name="openai-batch",
    title="Output of OpenAI's Batch API, or of vllm run-batch; --prompts names the prompts with their criteria",
    licence="that of the prompts; the answers' terms are those of the model",
    reads="custom_id as the id of a prompt in --prompts; every choice as a response, named by its model",
    drops="usage, log probabilities; lines with an error, answers that were cut off",
    needs=("custom_id", "response"),
    shape=_shape,
    merges=True,
    prompts=True,
)
