"""The outcome of every call, and what the outcomes say about a lane. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
        lane: The lane: bulk for a trainer, interactive for a product.
        due_s: When the call should have been sent, since the start of the load; waiting for a turn counts.
        done_s: When its answer arrived.
        waited_s: How long it waited in the service's queue, where no work is done for it.
        scores: Criterion scores in the answer.
        tokens_flat: How many tokens it would have taken to score every criterion alone.
        tokens_computed: Tokens of the trees, with shared tokens counted once.
        failures: What failed: the call, its items or its responses, by code.
    """

    lane: Lane
    due_s: float
    done_s: float
    waited_s: float = 0.0
    scores: int = 0
    tokens_flat: int = 0
    tokens_computed: int = 0
    failures: tuple[ErrorCode, ...] = ()

    @property
    def latency_s(self) -> float:
        """Seconds from when the call was due to its answer."""
        return self.done_s - self.due_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a load that is measured, [begin, end) in seconds since its start.

    A call belongs to the window if it was in flight during it, even if it began in the warm-up or outlasted the
    window: otherwise a service whose calls take longer than the window would leave no trace.
    """

    begin_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.begin_s

    def saw(self, sample: Sample) -> bool:
        """Whether the call was in flight during the window."""
        return sample.due_s < self.end_s and sample.done_s >= self.begin_s

    def saw_end(self, sample: Sample) -> bool:
        """Whether the call ended in the window."""
        return self.begin_s <= sample.done_s < self.end_s

    def share(self, sample: Sample) -> float:
        """The share of the time spent on the call that lies in the window, 0 to 1.

        With taken = due + waited, this is the length of [taken, done] within [begin, end], over done - taken. While a
        call waits, the service works on others: without this rule, a growing queue would count as work done.
        """
        taken_s = sample.due_s + sample.waited_s
        if sample.done_s <= taken_s:
            return float(self.saw_end(sample))
        within_s = min(sample.done_s, self.end_s) - max(taken_s, self.begin_s)
        return max(within_s, 0.0) / (sample.done_s - taken_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSummary:
    """A lane within the measured window.

    Attributes:
        calls: Calls that were in flight during the window.
        failures: How many of these calls, their items and responses failed, by code.
        scores_per_s: Criterion scores per second; see `summarise`.
        tokens_per_s: Tokens of the trees per second; see `summarise`.
        latency_s: Latencies by percentile. They are those of the answered calls that were due in the window, without
            calls from the warm-up; if none was due in it, those of all calls. Empty if none was answered.
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
        seconds: The length of the window.
        ended: Calls that ended in the window, with or without an error; 0 if the window was too short.
        scores_per_s: Criterion scores per second; see `summarise`.
        tokens_per_s: Tokens of the trees per second; see `summarise`.
        reuse: The tokens it would have taken to score every criterion alone, divided by the computed tokens.
        lanes: The lanes that had calls.
    """

    seconds: float
    ended: int
    scores_per_s: float
    tokens_per_s: float
    reuse: float | None
    lanes: dict[str, LaneSummary]


def answered(lane: Lane, due_s: float, done_s: float, answer: ScoreResponse) -> Sample:
    """The sample of a call that was answered; its items and responses may have failed."""
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
        waited_s=answer.timings_ms.queue / 1e3,
        scores=usage.criteria_scored,
        tokens_flat=usage.tokens_flat,
        tokens_computed=usage.tokens_computed,
        failures=tuple(failures),
    )


def summarise(samples: Sequence[Sample], window: Window) -> LoadSummary:
    """Sum up the window.

    A rate is the sum over all calls of a call's scores (or tokens) times its `Window.share`, divided by the window's
    seconds. So it does not jump with calls that end just before or after an edge, even if all calls are as long as
    the window.
    """
    lanes = {lane: [each for each in samples if each.lane == lane] for lane in ("bulk", "interactive")}
    computed_per_s = _rate(samples, window, lambda each: each.tokens_computed)
    flat_per_s = _rate(samples, window, lambda each: each.tokens_flat)
    return LoadSummary(
        seconds=window.seconds,
        ended=sum(window.saw_end(each) for each in samples),
        scores_per_s=_rate(samples, window, lambda each: each.scores),
        tokens_per_s=computed_per_s,
        reuse=flat_per_s / computed_per_s if computed_per_s else None,
        lanes={lane: _lane(found, window) for lane, found in lanes.items() if found},
    )


def _lane(samples: Sequence[Sample], window: Window) -> LaneSummary:
    seen = [each for each in samples if window.saw(each)]
    due = [each for each in seen if each.due_s >= window.begin_s]
    latencies = [each.latency_s for each in due or seen if each.scores]
    return LaneSummary(
        calls=len(seen),
        failures=dict(Counter(str(code) for each in seen for code in each.failures)),
        scores_per_s=_rate(seen, window, lambda each: each.scores),
        tokens_per_s=_rate(seen, window, lambda each: each.tokens_computed),
        latency_s={f"p{q}": float(np.percentile(latencies, q)) for q in PERCENTILES} if latencies else {},
    )


def _rate(samples: Iterable[Sample], window: Window, brought: Callable[[Sample], int]) -> float:
    return sum(brought(each) * window.share(each) for each in samples) / window.seconds
