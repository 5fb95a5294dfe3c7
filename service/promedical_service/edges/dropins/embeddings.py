"""`/v1/embeddings`: what verl's discriminative reward path asks where SGLang serves the reward model.

A text holds prompt and answer with chat markup, as for `/classify`. Its "embedding" has one number, the reward.
"""

import base64
import struct
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange
from promedical.interop.reward_parts import squashed
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.classify import TokenUsage, read_conversations, truncation
from promedical_service.edges.dropins.cuts import Direction
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored, own_rubric


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsRequest:
    """Texts, or one conversation."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    input: str | tuple[str, ...] | None = None
    """Conversations as text with chat markup, each ending with the assistant's answer."""
    messages: tuple[dict[str, Any], ...] | None = None
    """Instead of input: a conversation with `role` and `content` that ends with the assistant's answer."""
    encoding_format: Literal["float", "base64"] | None = None
    """How the number is written; base64 is a little-endian float32, as OpenAI's client asks for."""
    dimensions: int | None = None
    """Absent or 1: there is one number."""
    use_activation: bool | None = None
    """true: the logistic function of the reward; false or absent: the reward."""
    truncate_prompt_tokens: int | None = None
    """-1 cuts what does not fit the model; a number of tokens is refused where a text may be longer."""
    truncation_side: Direction | None = None
    """Where to cut: the end of the answer (right, the default) or the start of the prompt (left)."""
    rubric: Any = None
    """Criteria to judge by, as JSON text, a list, or an object with criteria."""
    rubric_id: str | None = None
    """The name of a rubric, instead of `rubric`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """The reward of one text."""

    object: str
    index: int
    embedding: tuple[float, ...] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsResponse:
    """One entry per text, in order."""

    object: str
    model: str
    data: tuple[Embedding, ...]
    usage: TokenUsage


def exchanges(body: EmbeddingsRequest) -> tuple[Exchange, ...]:
    if body.dimensions not in {None, 1}:
        raise InvalidField("dimensions", "expected 1 or nothing; the answer is one number, the reward")
    return read_conversations(body, own_rubric(body.rubric, body.rubric_id))


def encode(asked: Asked, scored: Scored, _: Receipt) -> EmbeddingsResponse:
    """The answer of an embedding model with one dimension."""
    activated, packed = asked.body.use_activation, asked.body.encoding_format == "base64"
    numbers = [squashed(scores) if activated else scores.reward for scores in scored.responses]
    return EmbeddingsResponse(
        object="list",
        model=scored.model.name,
        data=tuple(
            Embedding(object="embedding", index=index, embedding=_packed(number) if packed else (number,))
            for index, number in enumerate(numbers)
        ),
        usage=TokenUsage(prompt_tokens=scored.tokens, total_tokens=scored.tokens),
    )


def _packed(number: float) -> str:
    return base64.b64encode(struct.pack("<f", number)).decode()


EMBEDDINGS = DropIn(
    method="Embeddings",
    paths=("/v1/embeddings",),
    summary="Rewards as embeddings with one dimension, for verl with SGLang",
    request=EmbeddingsRequest,
    answer=EmbeddingsResponse,
    example={
        "model": "promedical",
        "input": "<|im_start|>user\nHow much paracetamol a day?<|im_end|>\n"
        "<|im_start|>assistant\nAt most 4 g.<|im_end|>\n",
    },
    exchanges=exchanges,
    encode=encode,
    truncation=truncation,
)
