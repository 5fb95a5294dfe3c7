"""Shadow scoring: a share of the requests is answered by a candidate too, and both answers are compared. Pure.

The live oracle is the one that callers hear; the candidate may follow it. Whoever sends requests twice, the service or
the SDK, decides by `sampled`, asks by `question`, and learns from `compared`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from promedical.messages import CriterionScore, ItemOutcome, ResponseOutcome, ScoreItem, ScoreRequest

Flip = Literal["none", "to_met", "to_not_met"]
"""What became of a verdict: met as worded, from the live oracle to the candidate."""
VetoChange = Literal["none", "lifted", "added"]
"""What became of a veto."""

REQUEST_ID: Final = "shadow-"
"""Ids of a candidate's requests begin with this. They are never sampled again, so two services that shadow each other
do not send one request back and forth for ever."""

_LONGEST_ID: Final = 128
_LOOKED_AT: Final = 128
"""So many characters at either end of a text decide about a sample: long requests cost no more than short ones."""


class Outcome(StrEnum):
    """What could be compared of a response."""

    COMPARED = "compared"
    LIVE_ONLY = "live_only"
    """The candidate has no scores."""
    CANDIDATE_ONLY = "candidate_only"
    """The live oracle has no scores."""
    NEITHER = "neither"
    OTHER_RUBRIC = "other_rubric"
    """The two judged by different criteria, as if the name of the rubric means something else there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedResponse:
    """One response as both oracles answered it; the properties are for those that are `COMPARED`."""

    item: int
    """The place of its item in the request."""
    index: int
    live: ResponseOutcome
    candidate: ResponseOutcome
    outcome: Outcome
    judged_by: str | None
    """The hash of the criteria by which the live oracle judged; None if it did not."""

    @property
    def verdicts(self) -> Iterator[tuple[CriterionScore, Flip]]:
        """The live verdicts, and what became of each."""
        if self.live.scores and self.candidate.scores:
            met = {each.id: each.met for each in self.candidate.scores.criteria}
            for each in self.live.scores.criteria:
                yield each, "none" if each.met == met[each.id] else "to_met" if met[each.id] else "to_not_met"

    @property
    def veto(self) -> VetoChange:
        """What became of the veto."""
        before, after = (bool(each.scores and each.scores.vetoed) for each in (self.live, self.candidate))
        return "none" if before == after else "lifted" if before else "added"

    @property
    def reward_change(self) -> float:
        """The candidate's reward less the live one."""
        assert self.live.scores is not None, "only what both scored is compared"
        assert self.candidate.scores is not None, "only what both scored is compared"
        return self.candidate.scores.reward - self.live.scores.reward


def sampled(request: ScoreRequest, share: float) -> bool:
    """Whether a request is among the share that a candidate is asked too.

    The content decides, and not chance: a request that is sent again, or to another replica, is in or out as before.
    It is that of the first item, so that all responses to one prompt go together.
    """
    return _place(request.items[0]) < share if request.items else False


def question(request: ScoreRequest) -> ScoreRequest:
    """What the candidate is asked: the same in the bulk lane, without the pins that are meant for the live oracle."""
    return replace(request, expected_fingerprint=None, expected_rubrics=(), priority="bulk", unscored_reward=None)


def shadow_id(request_id: str) -> str:
    """The id of the candidate's request, by which its log and the live one's can be read side by side."""
    return f"{REQUEST_ID}{request_id}"[:_LONGEST_ID]


def compared(
    asked: Sequence[ScoreItem], live: Sequence[ItemOutcome], candidate: Sequence[ItemOutcome]
) -> tuple[ComparedResponse, ...]:
    """What both said about every response, in order. The answers must have one outcome per item and per response."""
    whole = enumerate(zip(asked, live, candidate, strict=True))
    return tuple(each for place, (item, one, other) in whole for each in _item(place, item, one, other))


def _item(place: int, item: ScoreItem, live: ItemOutcome, candidate: ItemOutcome) -> Iterator[ComparedResponse]:
    same = not (live.result and candidate.result) or live.result.rubric.sha256 == candidate.result.rubric.sha256
    judged_by = live.result.rubric.sha256 if live.result else None
    count = len(item.responses)
    for index, (one, other) in enumerate(zip(_responses(live, count), _responses(candidate, count), strict=True)):
        outcome = _outcome(one, other) if same else Outcome.OTHER_RUBRIC
        yield ComparedResponse(item=place, index=index, live=one, candidate=other, outcome=outcome, judged_by=judged_by)


def _responses(outcome: ItemOutcome, count: int) -> Sequence[ResponseOutcome]:
    return outcome.result.responses if outcome.result else (ResponseOutcome(error=outcome.error),) * count


def _outcome(live: ResponseOutcome, candidate: ResponseOutcome) -> Outcome:
    if live.scores and candidate.scores:
        ids, others = ({each.id for each in scores.criteria} for scores in (live.scores, candidate.scores))
        return Outcome.COMPARED if ids == others else Outcome.OTHER_RUBRIC
    if live.scores:
        return Outcome.LIVE_ONLY
    return Outcome.CANDIDATE_ONLY if candidate.scores else Outcome.NEITHER


def _place(item: ScoreItem) -> float:
    """A number in [0, 1) by the content of an item."""
    turns = (item.prompt,) if isinstance(item.prompt, str) else tuple(turn.content for turn in item.prompt)
    digest = hashlib.blake2b(digest_size=8)
    for text in (*turns, *item.responses):
        ends = f"{len(text)}\0{text[:_LOOKED_AT]}\0{text[-_LOOKED_AT:]}"
        digest.update(ends.encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest()) / 2**64
