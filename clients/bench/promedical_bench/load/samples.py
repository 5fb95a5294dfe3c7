"""What became of every call, and what that says of a lane. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from promedical.errors import ErrorCode
from promedical.messages import ScoreResponse

Lane = Literal["bulk", "interactive"]
PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One call.

    Attributes:
        lane: Bulk is a trainer's, interactive a product's.
        due_s: When it should have been sent, since the start of the load; waiting for a turn counts.
        done_s: When its answer was there.
        scores: Criterion scores in the answer.
        tokens_flat: Tokens that scoring every criterion alone would have taken.
        tokens_computed: Tokens that the engine computed.
        failures: What failed: the call, its items or its responses, by code.
    """

    lane: Lane
    due_s: float
    done_s: float
    scores: int = 0
    tokens_flat: int = 0
    tokens_computed: int = 0
    failures: tuple[ErrorCode, ...] = ()

    @property
    def latency_s(self) -> float:
        """From when it was due to its answer."""
        return self.done_s - self.due_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSummary:
    """A lane within the measured window. Rates count calls that ended in it, latencies calls that were due in it.

    Attributes:
        calls: Calls that were due in the window.
        failures: How many calls, items and responses failed, by code.
        scores_per_s: Criterion scores per second.
        tokens_per_s: Tokens that the engine computed per second.
        latency_s: By percentile, of calls that were answered; empty if none was.
    """

    calls: int
    failures: dict[str, int]
    scores_per_s: float
    tokens_per_s: float
    latency_s: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """All lanes together.

    Attributes:
        seconds: Length of the window.
        scores_per_s: Criterion scores per second.
        tokens_per_s: Tokens that the engine computed per second.
        reuse: Tokens that scoring every criterion alone would have taken, over those that were computed.
        lanes: Those that had calls.
    """

    seconds: float
    scores_per_s: float
    tokens_per_s: float
    reuse: float | None
    lanes: dict[str, LaneSummary]


def answered(lane: Lane, due_s: float, done_s: float, answer: ScoreResponse) -> Sample:
    """A call that came back; its items and responses may have failed."""
    failures: list[ErrorCode] = []
    for outcome in answer.items:
        if outcome.error is not None:
            failures.append(outcome.error.code)
        elif outcome.result is not None:
            failures += [each.error.code for each in outcome.result.responses if each.error is not None]
    usage = answer.usage
    return Sample(
        lane=lane,
        due_s=due_s,
        done_s=done_s,
        scores=usage.criteria_scored,
        tokens_flat=usage.tokens_flat,
        tokens_computed=usage.tokens_computed,
        failures=tuple(failures),
    )


def summarise(samples: Sequence[Sample], *, begin_s: float, end_s: float) -> LoadSummary:
    """What the window [begin, end) saw."""
    seconds = end_s - begin_s
    ended = [each for each in samples if begin_s <= each.done_s < end_s]
    computed = sum(each.tokens_computed for each in ended)
    lanes = {lane: [each for each in samples if each.lane == lane] for lane in ("bulk", "interactive")}
    return LoadSummary(
        seconds=seconds,
        scores_per_s=sum(each.scores for each in ended) / seconds,
        tokens_per_s=computed / seconds,
        reuse=sum(each.tokens_flat for each in ended) / computed if computed else None,
        lanes={lane: _lane(found, begin_s, end_s) for lane, found in lanes.items() if found},
    )


def _lane(samples: Sequence[Sample], begin_s: float, end_s: float) -> LaneSummary:
    due = [each for each in samples if begin_s <= each.due_s < end_s]
    ended = [each for each in samples if begin_s <= each.done_s < end_s]
    latencies = [each.latency_s for each in due if each.scores]
    return LaneSummary(
        calls=len(due),
        failures=dict(Counter(str(code) for each in due for code in each.failures)),
        scores_per_s=sum(each.scores for each in ended) / (end_s - begin_s),
        tokens_per_s=sum(each.tokens_computed for each in ended) / (end_s - begin_s),
        latency_s={f"p{q}": float(np.percentile(latencies, q)) for q in PERCENTILES} if latencies else {},
    )
