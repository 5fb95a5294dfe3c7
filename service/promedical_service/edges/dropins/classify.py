"""`/classify`: vLLM's classification API, which verl's discriminative reward path calls with one text per request.

A text holds prompt and answer with the chat markup of the model that verl was given; it is split by that markup.
There is one class. Its "probability" is the reward itself with `use_activation: false`, which verl sends, and the
logistic function of the reward otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange, read_turns
from promedical.interop.labels import RubricChoice
from promedical.interop.markup import Opened
from promedical.interop.reward_parts import squashed
from promedical.messages import Truncation
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.cuts import Direction, check_prompt_tokens, cut_prompt_tokens
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored, own_rubric, places
from promedical_service.limits import MAX_MESSAGES_PER_ITEM


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRequest:
    """Texts, or one conversation."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    input: str | tuple[str, ...] | None = None
    """Conversations as text with chat markup, each ending with the assistant's answer."""
    messages: tuple[dict[str, Any], ...] | None = None
    """Instead of input: a conversation with `role` and `content` that ends with the assistant's answer."""
    use_activation: bool | None = None
    """false: the reward; true or absent: its logistic function."""
    activation: bool | None = None
    """The name that older clients of vLLM use for it."""
    truncate_prompt_tokens: int | None = None
    """-1 cuts what does not fit the model; a number of tokens is refused where a text may be longer."""
    truncation_side: Direction | None = None
    """Where to cut: the end of the answer (right, the default) or the start of the prompt (left)."""
    rubric: Any = None
    """Criteria to judge by, as JSON text, a list, or an object with criteria."""
    rubric_id: str | None = None
    """The name of a rubric, instead of `rubric`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """The one class of one text."""

    index: int
    label: str
    probs: tuple[float, ...]
    num_classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens computed."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyResponse:
    """One entry per text, in order."""

    id: str
    object: str
    created: int
    model: str
    data: tuple[Classified, ...]
    usage: TokenUsage


def exchanges(body: ClassifyRequest) -> tuple[Exchange, ...]:
    return read_conversations(body, own_rubric(body.rubric, body.rubric_id))


def read_conversations(body: Any, rubric: RubricChoice | None) -> tuple[Exchange, ...]:
    """Each text of `input`, or the one conversation of `messages`, as an exchange.

    Raises:
        InvalidField: They cannot be read, both or neither are given, or they may have to be cut to a client's length.
    """
    if body.input is not None and body.messages is not None:
        raise InvalidField("input", "is given together with messages; give input or messages")
    if body.input is None and body.messages is None:
        raise InvalidField("input", "is missing; give input or messages")
    if body.messages is not None:
        read = [_conversation(body.messages, rubric)]
    elif isinstance(body.input, str):
        read = [_text(body.input, "input", rubric)]
    else:
        named = zip(body.input, places("input", len(body.input)), strict=True)
        read = [_text(text, place, rubric) for text, place in named]
    check_prompt_tokens(body.truncate_prompt_tokens, [(each.place, each.size) for each in read])
    return tuple(read)


def _text(text: str, place: str, rubric: RubricChoice | None) -> Exchange:
    return Exchange.split(text, rubric=rubric, place=place, max_turns=MAX_MESSAGES_PER_ITEM)


def _conversation(messages: Sequence[dict[str, Any]], rubric: RubricChoice | None) -> Exchange:
    turns = read_turns(messages, "messages")
    if not turns or turns[-1].role != "assistant":
        raise InvalidField("messages", "does not end with the assistant's answer")
    return Exchange.of(Opened(turns=turns[:-1]), turns[-1].content, place="messages", rubric=rubric)


def truncation(body: Any) -> Truncation:
    """What may be cut, as vLLM's fields say."""
    return cut_prompt_tokens(body.truncate_prompt_tokens, body.truncation_side)


def encode(asked: Asked, scored: Scored, receipt: Receipt) -> ClassifyResponse:
    """The answer of vLLM for a model with one class."""
    raw = False in (asked.body.use_activation, asked.body.activation)
    return ClassifyResponse(
        id=f"classify-{receipt.request_id}",
        object="list",
        created=receipt.created,
        model=scored.model.name,
        data=tuple(
            Classified(index=i, label="reward", probs=(scores.reward if raw else squashed(scores),), num_classes=1)
            for i, scores in enumerate(scored.responses)
        ),
        usage=TokenUsage(prompt_tokens=scored.tokens, total_tokens=scored.tokens),
    )


CLASSIFY = DropIn(
    method="Classify",
    paths=("/classify",),
    summary="Rewards as classification, for verl and clients of vLLM",
    request=ClassifyRequest,
    answer=ClassifyResponse,
    example={
        "model": "promedical",
        "input": "<|im_start|>user\nHow much paracetamol a day?<|im_end|>\n"
        "<|im_start|>assistant\nAt most 4 g.<|im_end|>\n",
        "use_activation": False,
    },
    exchanges=exchanges,
    encode=encode,
    truncation=truncation,
)
