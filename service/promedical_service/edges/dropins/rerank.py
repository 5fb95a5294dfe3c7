"""`/rerank`: clients of vLLM, Jina and Cohere send `documents`, clients of text-embeddings-inference send `texts`.

The query is the user's turn, each document is a response to it. Results stand in the order of their rewards, best
first, since clients may sort by the score again; of the same reward, the higher expected reward comes first. The
lexicographic order is that of `/v1/rank`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange
from promedical.interop.markup import split_prompt, without_ending
from promedical.interop.reward_parts import squashed
from promedical.messages import ResponseScores, Truncation
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.classify import TokenUsage
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored, own_rubric, places
from promedical_service.limits import MAX_MESSAGES_PER_ITEM

_API_VERSION: Final = {"api_version": {"version": "2"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """One query, and responses to put in order: `documents` or `texts`."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    query: str
    """The prompt, with or without chat markup."""
    documents: tuple[str | dict[str, Any], ...] | None = None
    """Responses, each as text or as an object with `text`."""
    texts: tuple[str, ...] | None = None
    """Responses from clients of text-embeddings-inference, which get its kind of answer."""
    top_n: int | None = None
    """How many results to return; absent or 0 for all. All documents are scored in any case."""
    return_documents: bool | None = None
    """false leaves the documents out of the results."""
    return_text: bool | None = None
    """true puts the texts into the results."""
    raw_scores: bool | None = None
    """Only with texts; true: the reward instead of its logistic function."""
    truncate: bool | None = None
    """Only with texts; true: a text that is too long is cut at its end."""
    rubric: Any = None
    """Criteria to judge by, as JSON text, a list, or an object with criteria."""
    rubric_id: str | None = None
    """The name of a rubric, instead of `rubric`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankDocument:
    """The document of a result."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResult:
    """One document."""

    index: int
    relevance_score: float
    document: RerankDocument | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResponse:
    """Results, best first."""

    id: str
    model: str
    results: tuple[RerankResult, ...]
    usage: TokenUsage
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRank:
    """One text, in the answer to clients of text-embeddings-inference."""

    index: int
    score: float
    text: str | None


def exchanges(body: RerankRequest) -> tuple[Exchange, ...]:
    if (body.documents is None) is (body.texts is None):
        raise InvalidField("documents", "give documents or texts, but not both")
    if body.top_n is not None and body.top_n < 0:
        raise InvalidField("top_n", "expected 0 or more")
    try:
        turns, prefill = split_prompt(body.query, max_turns=MAX_MESSAGES_PER_ITEM)
    except InvalidField as error:
        raise error.under("query") from None
    rubric = own_rubric(body.rubric, body.rubric_id)
    name, found = ("texts", list(body.texts)) if body.texts is not None else ("documents", _documents(body))
    return tuple(
        Exchange(place=place, turns=turns, response=prefill + without_ending(text), rubric=rubric)
        for text, place in zip(found, places(name, len(found)), strict=True)
    )


def _documents(body: RerankRequest) -> list[str]:
    found = []
    for index, document in enumerate(body.documents or ()):
        text = document if isinstance(document, str) else document.get("text")
        if not isinstance(text, str):
            raise InvalidField(f"documents[{index}]", "expected text, or an object with text")
        found.append(text)
    return found


def truncation(body: RerankRequest) -> Truncation:
    """What may be cut, by `truncate`."""
    return "response_end" if body.truncate and body.texts is not None else "none"


def encode(asked: Asked, scored: Scored, receipt: Receipt) -> RerankResponse | tuple[TextRank, ...]:
    """Best first; of the same reward and expected reward, in the order they came."""
    body: RerankRequest = asked.body
    order = _best_first(scored.responses)[: body.top_n or None]
    if body.texts is not None:
        return tuple(_text_rank(body, index, scored.responses[index]) for index in order)
    found = _documents(body)
    return RerankResponse(
        id=f"rerank-{receipt.request_id}",
        model=scored.model.name,
        results=tuple(
            RerankResult(
                index=index,
                relevance_score=squashed(scored.responses[index]),
                document=None if body.return_documents is False else RerankDocument(text=found[index]),
            )
            for index in order
        ),
        usage=TokenUsage(prompt_tokens=scored.tokens, total_tokens=scored.tokens),
        meta=_API_VERSION,
    )


def _text_rank(body: RerankRequest, index: int, scores: ResponseScores) -> TextRank:
    text = body.texts[index] if body.return_text and body.texts else None
    return TextRank(index=index, score=scores.reward if body.raw_scores else squashed(scores), text=text)


def _best_first(responses: Sequence[ResponseScores]) -> list[int]:
    keys = [(-scores.reward, -(scores.expected_reward or 0.0)) for scores in responses]
    return sorted(range(len(responses)), key=keys.__getitem__)


RERANK = DropIn(
    method="Rerank",
    paths=("/rerank", "/v1/rerank", "/v2/rerank"),
    summary="Responses in order, for rerank clients",
    request=RerankRequest,
    answer=RerankResponse | tuple[TextRank, ...],
    example={
        "model": "promedical",
        "query": "How much paracetamol a day?",
        "documents": ["At most 4 g.", "As much as you like."],
    },
    exchanges=exchanges,
    encode=encode,
    priority=None,
    truncation=truncation,
)
