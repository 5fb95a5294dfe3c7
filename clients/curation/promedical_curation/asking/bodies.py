"""A request as an OpenAI server takes it: one body for a call and for a line of a batch file. Pure."""

import json
from typing import Any, Final

from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request

PATH: Final = "/v1/chat/completions"
_SEEDS: Final = 2**31 - 1
_TOKENS_PER_MESSAGE: Final = 32
"""More than any chat template adds to a message."""


def body_of(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """The body of the call. A seed comes from the key, so that several samples differ and each is the same again."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [dict(message) for message in request.messages],
        **request.parameters,
        endpoint.max_tokens_field: request.max_tokens,
    }
    if endpoint.seed:
        body.setdefault("seed", int(request.key, 16) % _SEEDS)
    if request.schema is not None:
        _hold_to_schema(body, endpoint, request)
    return body


def most_input_tokens(request: Request) -> int:
    """A bound on the tokens of the prompt: no token is shorter than a byte."""
    texts = [message["content"] for message in request.messages]
    schema = json.dumps(request.schema) if request.schema is not None else ""
    text = sum(len(text.encode("utf-8", "surrogatepass")) for text in (*texts, schema))
    return text + _TOKENS_PER_MESSAGE * (len(texts) + 1)


def _hold_to_schema(body: dict[str, Any], endpoint: Endpoint, request: Request) -> None:
    if endpoint.output == "json_schema":
        named = {"name": "answer", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
        return
    if endpoint.output == "json_object":
        body["response_format"] = {"type": "json_object"}
    said = f"Answer with one JSON object that follows this JSON schema:\n{json.dumps(request.schema)}"
    *before, last = body["messages"]
    body["messages"] = [*before, {**last, "content": f"{last['content']}\n\n{said}"}]
