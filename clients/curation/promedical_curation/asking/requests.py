"""What is asked, in one canonical form, and the key under which its answer is kept. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Message = Mapping[str, str]
"""`role` and `content`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to one model.

    Attributes:
        to: The name of the endpoint that is asked. The key leaves it out: the same model may move.
        model: The model's name.
        messages: The conversation so far.
        max_tokens: The most tokens that the answer may have. It is required, since it bounds what an answer costs.
        parameters: Further parameters of sampling, such as temperature.
        schema: The JSON schema that the answer must follow; None if it is free text.
        sample: Which of several answers to the same question this is.
        prompt_version: The name and the digest of the prompt.
    """

    to: str
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    sample: int = 0
    prompt_version: str

    @property
    def canonical(self) -> str:
        """All that the answer depends on, as one line of JSON."""
        return canonical_json(
            {
                "model": self.model,
                "messages": [dict(message) for message in self.messages],
                "parameters": {**self.parameters, "max_tokens": self.max_tokens},
                "schema": self.schema,
                "sample": self.sample,
                "prompt_version": self.prompt_version,
            }
        )

    @property
    def key(self) -> str:
        """The SHA-256 of the canonical form."""
        return digest(self.canonical)

    def continued(self, *messages: Message) -> "Request":
        """The same request with more turns."""
        return replace(self, messages=(*self.messages, *messages))


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces, ASCII only, so that half a surrogate pair has one too.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
