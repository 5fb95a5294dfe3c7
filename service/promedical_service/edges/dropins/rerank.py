"""`/rerank`: clients of vLLM, Jina and Cohere send `documents`, clients of text-embeddings-inference send `texts`.

The query is the user's turn, each document is a response to it. Results stand in the order of their rewards, best
first, since clients may sort by the score again; of the same reward, the higher expected reward comes first. The
lexicographic order is that of `/v1/rank`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange, read_content, read_prompt
from promedical.interop.reward_parts import squashed
from promedical.messages import ResponseScores, Truncation
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.classify import TokenUsage
from promedical_service.edges.dropins.cuts import (
    Direction,
    check_length,
    check_prompt_tokens,
    cut_at_limit,
    cut_prompt_tokens,
)
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored, own_rubric, places
from promedical_service.limits import MAX_MESSAGES_PER_ITEM

Document = str | dict[str, Any] | tuple[dict[str, Any], ...]
_API_VERSION: Final = {"api_version": {"version": "2"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """One query, and responses to put in order: `documents` or `texts`."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    query: str | dict[str, Any]
    """The prompt: text with or without chat markup, or an object with `text` or with `content` (parts of text)."""
    documents: str | dict[str, Any] | tuple[Document, ...] | None = None
    """Responses: each is text, an object with `text` or with `content` (parts of text), or a list of such parts."""
    texts: tuple[str, ...] | None = None
    """Responses from clients of text-embeddings-inference, which get its kind of answer."""
    top_n: int | None = None
    """How many results to return; absent or 0 for all. All documents are scored in any case."""
    return_documents: bool | None = None
    """false leaves the documents out of the results."""
    return_text: bool | None = None
    """true puts the texts into the results."""
    raw_scores: bool | None = None
    """true: the reward instead of its logistic function."""
    use_activation: bool | None = None
    """What clients of vLLM say for it; false: the reward."""
    activation: bool | None = None
    """The name that older clients of vLLM use for it."""
    truncate: bool | None = None
    """true: what is too long is cut."""
    truncation_direction: Direction | None = None
    """Where `truncate` cuts: the end of the response (Right, the default) or the start of the prompt (Left)."""
    truncate_prompt_tokens: int | None = None
    """-1 cuts as `truncate`; a number of tokens is refused where query and document may be longer together."""
    truncation_side: Direction | None = None
    """Where `truncate_prompt_tokens` cuts."""
    max_tokens_per_doc: int | None = None
    """Absent or 0 for no cut; otherwise refused where a document may have more tokens."""
    max_tokens_per_query: int | None = None
    """The same for the query."""
    max_doc_length: int | None = None
    """The name that clients of Jina use for `max_tokens_per_doc`."""
    max_query_length: int | None = None
    """The name that clients of Jina use for `max_tokens_per_query`."""
    max_chunks_per_doc: int | None = None
    """Refused: documents are not cut into chunks."""
    rank_fields: tuple[str, ...] | None = None
    """Absent or `["text"]`: other fields of documents are not judged."""
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
    if body.documents is not None and body.texts is not None:
        raise InvalidField("documents", "is given together with texts; give documents or texts")
    if body.documents is None and body.texts is None:
        raise InvalidField("documents", "is missing; give documents or texts")
    if body.top_n is not None and body.top_n < 0:
        raise InvalidField("top_n", "expected 0 or more")
    query = _text(body.query, "query")
    asked = read_prompt(query, "query", max_turns=MAX_MESSAGES_PER_ITEM)
    rubric = own_rubric(body.rubric, body.rubric_id)
    name, found = ("texts", list(body.texts)) if body.texts is not None else ("documents", _documents(body))
    named = list(zip(places(name, len(found)), found, strict=True))
    _check_cuts(body, len(query.encode()), [(place, len(text.encode())) for place, text in named])
    return tuple(Exchange.of(asked, text, place=place, rubric=rubric) for place, text in named)


def _documents(body: RerankRequest) -> list[str]:
    given = body.documents if isinstance(body.documents, tuple) else (body.documents,)
    return [_text(document, f"documents[{index}]") for index, document in enumerate(given)]


def _text(given: Any, path: str) -> str:
    if isinstance(given, dict):
        given = given["text"] if isinstance(given.get("text"), str) else given.get("content")
    try:
        return read_content(given, path)
    except InvalidField:
        raise InvalidField(path, "expected text, or an object with text or with parts of text as content") from None


def _check_cuts(body: RerankRequest, query: int, documents: Sequence[tuple[str, int]]) -> None:
    """Refuse cuts that are not made here; texts are given by their bytes."""
    check_length("max_tokens_per_query", body.max_tokens_per_query, [("query", query)])
    check_length("max_query_length", body.max_query_length, [("query", query)])
    check_length("max_tokens_per_doc", body.max_tokens_per_doc, documents)
    check_length("max_doc_length", body.max_doc_length, documents)
    check_prompt_tokens(body.truncate_prompt_tokens, [(place, query + size) for place, size in documents])
    if body.max_chunks_per_doc is not None:
        raise InvalidField(
            "max_chunks_per_doc", "is not supported, since documents are not cut into chunks; leave it out"
        )
    if body.rank_fields not in {None, ("text",)}:
        raise InvalidField("rank_fields", 'expected ["text"]; put everything that is to be judged into text')


def truncation(body: RerankRequest) -> Truncation:
    """What may be cut, as the fields of each family say."""
    by_prompt = cut_prompt_tokens(body.truncate_prompt_tokens, body.truncation_side)
    return (
        by_prompt if body.truncate is None else cut_at_limit(asked=body.truncate, direction=body.truncation_direction)
    )


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
                relevance_score=_score(body, scored.responses[index]),
                document=None if body.return_documents is False else RerankDocument(text=found[index]),
            )
            for index in order
        ),
        usage=TokenUsage(prompt_tokens=scored.tokens, total_tokens=scored.tokens),
        meta=_API_VERSION,
    )


def _text_rank(body: RerankRequest, index: int, scores: ResponseScores) -> TextRank:
    text = body.texts[index] if body.return_text and body.texts else None
    return TextRank(index=index, score=_score(body, scores), text=text)


def _score(body: RerankRequest, scores: ResponseScores) -> float:
    raw = body.raw_scores or False in {body.use_activation, body.activation}
    return scores.reward if raw else squashed(scores)


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
