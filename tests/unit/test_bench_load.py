"""Load: texts that never repeat, arrivals of a Poisson process, and sums over the window that is measured."""

import asyncio
from itertools import islice, pairwise

import pytest

from promedical.errors import ErrorCode
from promedical.messages import ErrorInfo, ItemOutcome, ModelRef, ScoreRequest, ScoreResponse, Timings, Usage
from promedical_bench.load.driving import Driver, Plan, arrivals
from promedical_bench.load.samples import Sample, summarise
from promedical_bench.load.traffic import Shape, items
from promedical_client import AsyncClient, MockTransport, OverloadedError

SHAPE = Shape(responses=3, criteria=4, prompt_words=7, response_words=9, criterion_words=5)


def test_items_have_their_shape_and_share_no_text():
    made = list(islice(items(SHAPE, "a"), 20))

    texts = [text for each in made for text in (each.prompt, *each.responses, *(c.text for c in each.rubric.criteria))]
    assert len(texts) == len(set(texts)) == 20 * (1 + 3 + 4)
    assert {len(each.prompt.split()) for each in made} == {7}
    assert {len(text.split()) for each in made for text in each.responses} == {9}
    assert len({each.id for each in made}) == 20


def test_items_are_the_same_for_the_same_seed_and_others_for_another():
    first, again, other = ([each.prompt for each in islice(items(SHAPE, seed), 5)] for seed in ("a", "a", "b"))
    assert first == again
    assert not set(first) & set(other)


@pytest.mark.parametrize("name", ["responses", "criteria", "prompt_words", "response_words", "criterion_words"])
def test_shape_refuses_what_asks_nothing(name):
    with pytest.raises(ValueError, match=f"{name} is 0: expected at least 1"):
        Shape(**({"responses": 1, "criteria": 1} | {name: 0}))


def test_plan_refuses_traffic_that_is_none():
    with pytest.raises(ValueError, match="expected one of them above 0"):
        Plan(trainers=0)


def test_arrivals_come_at_their_rate_with_gaps_of_a_poisson_process():
    moments = list(arrivals(Plan(trainers=0, rate_per_s=20, warm_up_s=0, seconds=500)))

    gaps = [later - earlier for earlier, later in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert spread / mean == pytest.approx(1, rel=0.05)
    assert all(0 <= moment < 500 for moment in moments)


def sample(lane="bulk", due_s=0.0, done_s=1.0, scores=10, failures=()):
    return Sample(
        lane=lane,
        due_s=due_s,
        done_s=done_s,
        scores=scores,
        tokens_flat=80 * bool(scores),
        tokens_computed=20 * bool(scores),
        failures=failures,
    )


def test_summary_counts_what_ended_in_the_window_and_times_what_was_due_in_it():
    samples = [
        sample(due_s=1, done_s=4),  # warm-up
        sample(due_s=4, done_s=6),  # ended in it, due before
        sample(due_s=5, done_s=8),
        sample(due_s=14, done_s=19),  # due in it, ended after
        sample("interactive", due_s=6, done_s=7, scores=2),
        sample("interactive", due_s=7, done_s=7.1, scores=0, failures=(ErrorCode.OVERLOADED,)),
    ]

    summary = summarise(samples, begin_s=5, end_s=15)

    assert summary.scores_per_s == pytest.approx((10 + 10 + 2) / 10)
    assert summary.tokens_per_s == pytest.approx(60 / 10)
    assert summary.reuse == pytest.approx(4)
    bulk, interactive = summary.lanes["bulk"], summary.lanes["interactive"]
    assert (bulk.calls, bulk.failures, bulk.scores_per_s) == (2, {}, 2.0)
    assert bulk.latency_s["p50"] == pytest.approx(4)
    assert (interactive.calls, interactive.failures) == (2, {"overloaded": 1})
    assert interactive.latency_s == pytest.approx({"p50": 1.0, "p95": 1.0, "p99": 1.0})


def test_summary_of_a_lane_that_only_fails_has_no_latency():
    summary = summarise([sample(scores=0, failures=(ErrorCode.DEADLINE,))], begin_s=0, end_s=2)

    assert (summary.scores_per_s, summary.reuse, set(summary.lanes)) == (0, None, {"bulk"})
    assert summary.lanes["bulk"].latency_s == {}


class Slow(MockTransport):
    """Answers after a while, and refuses every third call."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.at_once = 0
        self.most = 0
        self.lanes: list[str] = []

    async def score(self, request: ScoreRequest, call) -> ScoreResponse:
        self.lanes.append(request.priority)
        is_refused = len(self.lanes) % 3 == 0
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        if is_refused:
            raise OverloadedError("full", retry_after_s=0.05)
        error = ErrorInfo(code=ErrorCode.INVALID_ITEM, message="odd", retryable=False)
        return ScoreResponse(
            model=ModelRef(name="m", revision="r", fingerprint="f", engine="fake", dtype="none"),
            items=tuple(ItemOutcome(id=each.id, error=error) for each in request.items),
            usage=Usage(tokens_flat=8, tokens_computed=2, responses_scored=1, criteria_scored=4),
            timings_ms=Timings(queue=0, tokenize=0, engine=0),
        )


async def driven(transport: Slow, **plan) -> list[Sample]:
    async with AsyncClient(transport=transport, max_attempts=1) as client:
        return await Driver(client, Plan(warm_up_s=0.2, seconds=0.8, group=SHAPE, single=SHAPE, **plan)).run()


async def test_closed_loops_never_have_more_on_their_way_than_there_are_trainers():
    transport = Slow(0.05)
    samples = await driven(transport, trainers=3, prompts=2)

    assert transport.most == 3
    assert set(transport.lanes) == {"bulk"}
    assert len(samples) == len(transport.lanes)
    codes = {code for each in samples for code in each.failures}
    assert codes == {ErrorCode.OVERLOADED, ErrorCode.INVALID_ITEM}
    assert {each.scores for each in samples if ErrorCode.OVERLOADED in each.failures} == {0}
    assert max(each.due_s for each in samples) < 1.0 <= max(each.done_s for each in samples)


async def test_open_loop_sends_on_time_however_slow_the_answers_are():
    transport = Slow(0.5)
    plan = Plan(trainers=0, rate_per_s=40, warm_up_s=0.2, seconds=0.8)
    samples = await driven(transport, trainers=0, rate_per_s=40)

    assert transport.most > 10
    assert sorted(each.due_s for each in samples) == pytest.approx(list(arrivals(plan)))
    assert min(each.latency_s for each in samples) >= 0.5
