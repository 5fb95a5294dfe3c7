"""Records of shadow scoring: what two oracles said about one response, without its text. Pure.

One JSON object in a line per response. The service and the SDK write them, and `promedical-bench compare-shadow` reads
them.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from promedical.errors import ErrorCode
from promedical.messages import ModelRef, ResponseOutcome
from promedical.rubric import Dimension
from promedical.shadow import ComparedResponse, Outcome

_READ = {"allow_inf_nan": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowVerdict:
    """A verdict on one criterion."""

    __pydantic_config__ = _READ

    id: str
    dimension: Dimension
    met: bool
    logit: float
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnswer:
    """What one oracle said about a response: an error, or scores."""

    __pydantic_config__ = _READ

    model: str
    fingerprint: str
    error: ErrorCode | None = None
    reward: float | None = None
    rank: int | None = None
    vetoed: bool | None = None
    verdicts: tuple[ShadowVerdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRecord:
    """One response."""

    time: str
    """When both answers were there, in UTC."""
    comparison: str
    """The id of the comparison; it is the same for all responses of one request."""
    caller: str
    request_id: str | None
    item: str
    response: int
    """Its place in the item."""
    prompt_hash: str
    """The same for the same prompt; see `promedical.hashes`."""
    judged_by: str | None
    """The hash of the criteria by which the live oracle judged."""
    outcome: Outcome
    live: ShadowAnswer
    candidate: ShadowAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One request that both oracles answered.

    Attributes:
        id: Unique.
        at: Unix time of the later answer.
        caller: The name of the key.
        request_ids: One per response, in order.
        items: The ids of the items.
        prompt_hashes: The hashes of their prompts.
        live: The oracle that the caller heard.
        candidate: The other one.
        responses: What both said, of all items in order.
    """

    id: str
    at: float
    caller: str
    request_ids: tuple[str | None, ...]
    items: tuple[str, ...]
    prompt_hashes: tuple[str, ...]
    live: ModelRef
    candidate: ModelRef
    responses: tuple[ComparedResponse, ...]

    def records(self) -> Iterator[ShadowRecord]:
        """One record per response."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for each, request_id in zip(self.responses, self.request_ids, strict=True):
            yield ShadowRecord(
                time=at,
                comparison=self.id,
                caller=self.caller,
                request_id=request_id,
                item=self.items[each.item],
                response=each.index,
                prompt_hash=self.prompt_hashes[each.item],
                judged_by=each.judged_by,
                outcome=each.outcome,
                live=_answer(self.live, each.live),
                candidate=_answer(self.candidate, each.candidate),
            )

    def lines(self) -> Iterator[bytes]:
        """The records as JSON, each in a line."""
        for record in self.records():
            text = json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":"))
            yield text.encode("utf-8", "backslashreplace") + b"\n"


def _answer(model: ModelRef, outcome: ResponseOutcome) -> ShadowAnswer:
    scores = outcome.scores
    if scores is None:
        error = outcome.error.code if outcome.error else None
        return ShadowAnswer(model=model.name, fingerprint=model.fingerprint, error=error)
    return ShadowAnswer(
        model=model.name,
        fingerprint=model.fingerprint,
        reward=scores.reward,
        rank=scores.rank,
        vetoed=scores.vetoed,
        verdicts=tuple(
            ShadowVerdict(
                id=each.id,
                dimension=each.dimension,
                met=each.met,
                logit=each.logit,
                probability=each.probability,
            )
            for each in scores.criteria
        ),
    )
