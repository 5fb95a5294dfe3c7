"""What an audit record says. Pure: from a request and its answer to one dictionary per response, without any text."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from promedical.hashes import hash_of, prompt_hash
from promedical.messages import ItemOutcome, ModelRef, ResponseOutcome, ScoreItem, UsedRubric
from promedical.rubric import Dimension

_CHARACTERS_PER_COST = 256
"""So many characters take about as much memory as one verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One answered request.

    Attributes:
        at: Unix time of the answer.
        caller: The name of the key.
        request_ids: One id, or one per response if responses of several requests were asked for together.
        model: The oracle that answered.
        rubrics: The named rubrics that the items use.
        asked: The items.
        outcomes: Their answers, in order.
    """

    at: float
    caller: str
    request_ids: tuple[str, ...]
    model: ModelRef
    rubrics: tuple[UsedRubric, ...]
    asked: tuple[ScoreItem, ...]
    outcomes: tuple[ItemOutcome, ...]

    @property
    def count(self) -> int:
        """How many records it makes."""
        return sum(len(item.responses) for item in self.asked)

    @property
    def cost(self) -> int:
        """About how much it holds, in verdicts."""
        answered = (response for outcome in self.outcomes if outcome.result for response in outcome.result.responses)
        verdicts = sum(len(response.scores.criteria) for response in answered if response.scores)
        texts = sum(_characters(item) for item in self.asked)
        return self.count + verdicts + texts // _CHARACTERS_PER_COST

    def without_texts(self) -> "Audited":
        """The same for records without hashes, so that no text is held meanwhile."""
        bare = (replace(item, prompt="", responses=("",) * len(item.responses), rubric=None) for item in self.asked)
        return replace(self, asked=tuple(bare))

    def lines(self, salt: bytes | None) -> Iterable[bytes]:
        """The records as JSON, each in a line."""
        for record in records(self, salt):
            text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
            yield text.encode("utf-8", "backslashreplace") + b"\n"


def records(audited: Audited, salt: bytes | None) -> Iterator[dict[str, Any]]:
    """One record per response, in order; with a salt they hold hashes of the texts."""
    at = datetime.fromtimestamp(audited.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    ids = iter(ids_of(audited.request_ids, audited.count))
    used = {rubric.name: rubric for rubric in audited.rubrics}
    for item, outcome in zip(audited.asked, audited.outcomes, strict=True):
        judged_by = outcome.result.rubric.sha256 if outcome.result else None
        prompt = {} if salt is None else {"prompt_hash": prompt_hash(item, salt)}
        for index, text in enumerate(item.responses):
            yield {
                "time": at,
                "caller": audited.caller,
                "request_id": next(ids),
                "item": item.id,
                "response": index,
                "model": audited.model.name,
                "fingerprint": audited.model.fingerprint,
                "rubric": _named(item.rubric_id, used),
                "base_rubric": _named(item.base_rubric_id, used),
                "judged_by": judged_by,
                **_outcome(outcome, index),
                **prompt,
                **({} if salt is None else {"response_hash": hash_of(text, salt)}),
            }


def ids_of(request_ids: tuple[str, ...], count: int) -> tuple[str | None, ...]:
    """The request id of each of `count` responses: its own, or the one that all have."""
    return request_ids if len(request_ids) == count else (request_ids or (None,))[:1] * count


def _named(name: str | None, used: dict[str, UsedRubric]) -> dict[str, str] | None:
    rubric = used.get(name or "")
    return None if rubric is None else {"name": f"{rubric.id}@{rubric.version}", "sha256": rubric.sha256}


def _outcome(outcome: ItemOutcome, index: int) -> dict[str, Any]:
    response = outcome.result.responses[index] if outcome.result else ResponseOutcome(error=outcome.error)
    scores = response.scores
    if scores is None:
        return {"error": response.error.code if response.error else None, "truncated": response.truncated}
    return {
        "error": None,
        "truncated": response.truncated,
        "reward": scores.reward,
        "rank": scores.rank,
        "vetoed": scores.vetoed,
        "vetoed_by": [each.id for each in scores.criteria if each.dimension is Dimension.SAFETY and not each.satisfied],
        "verdicts": [
            {
                "id": each.id,
                "dimension": each.dimension,
                "met": each.met,
                "satisfied": each.satisfied,
                "probability": each.probability,
            }
            for each in scores.criteria
        ],
    }


def _characters(item: ScoreItem) -> int:
    turns = [item.prompt] if isinstance(item.prompt, str) else [turn.content for turn in item.prompt]
    return sum(map(len, turns)) + sum(map(len, item.responses))
