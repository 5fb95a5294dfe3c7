"""Load: texts that never repeat, arrivals of a Poisson process, and sums over the window that is measured."""

import asyncio
from itertools import islice, pairwise

import pytest

from promedical.errors import ErrorCode
from promedical.messages import ErrorInfo, ItemOutcome, ModelRef, ScoreRequest, ScoreResponse, Timings, Usage
from promedical_bench.loadtest.driver import Driver, Plan, arrivals
from promedical_bench.loadtest.samples import Sample, Window, summarise
from promedical_bench.loadtest.traffic import Shape, items
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


def sample(lane="bulk", due_s=0.0, done_s=1.0, scores=10, failures=(), waited_s=0.0):
    return Sample(
        lane=lane,
        due_s=due_s,
        done_s=done_s,
        waited_s=waited_s,
        scores=scores,
        tokens_flat=80 * bool(scores),
        tokens_computed=20 * bool(scores),
        failures=failures,
    )


def test_summary_is_of_the_calls_that_were_on_their_way_in_the_window_and_rates_take_their_share():
    samples = [
        sample(due_s=1, done_s=4),  # warm-up
        sample(due_s=4, done_s=6),  # half of it before
        sample(due_s=5, done_s=8),
        sample(due_s=14, done_s=19),  # four fifths of it after
        sample("interactive", due_s=6, done_s=7, scores=2),
        sample("interactive", due_s=7, done_s=7.1, scores=0, failures=(ErrorCode.OVERLOADED,)),
    ]

    summary = summarise(samples, Window(begin_s=5, end_s=15))

    assert (summary.seconds, summary.ended) == (10, 4)
    assert summary.scores_per_s == pytest.approx((5 + 10 + 2 + 2) / 10)
    assert summary.tokens_per_s == pytest.approx((10 + 20 + 4 + 20) / 10)
    assert summary.reuse == pytest.approx(4)
    bulk, interactive = summary.lanes["bulk"], summary.lanes["interactive"]
    assert (bulk.calls, bulk.failures, bulk.scores_per_s) == (3, {}, pytest.approx(1.7))
    assert bulk.latency_s["p50"] == pytest.approx(4)  # of 3 and 5: the call that the warm-up began is left out
    assert (interactive.calls, interactive.failures) == (2, {"overloaded": 1})
    assert interactive.latency_s == pytest.approx({"p50": 1.0, "p95": 1.0, "p99": 1.0})


@pytest.mark.parametrize("end_s", [5.5, 7, 13, 14, 20.9])
def test_rate_of_calls_one_after_another_does_not_depend_on_where_the_window_ends(end_s):
    samples = [sample(due_s=7 * number, done_s=7 * number + 7) for number in range(4)]

    assert summarise(samples, Window(begin_s=5, end_s=end_s)).scores_per_s == pytest.approx(10 / 7)


def test_rate_of_a_service_that_falls_behind_is_that_of_its_work_and_not_of_what_waits():
    calls = [sample("interactive", due_s=n, waited_s=n, done_s=2 * n + 2) for n in range(40)]  # one each 2 s, in turn

    summary = summarise(calls, Window(begin_s=5, end_s=40))

    assert summary.scores_per_s == pytest.approx(10 / 2)
    assert summary.lanes["interactive"].latency_s["p99"] > 40


def test_calls_that_outlast_the_window_on_both_sides_are_measured():
    healthy = sample(due_s=0, done_s=80)
    hung = sample(due_s=0, done_s=120, scores=0, failures=(ErrorCode.DEADLINE,))

    summary = summarise([healthy, hung], Window(begin_s=5, end_s=65))

    lane = summary.lanes["bulk"]
    assert (summary.ended, lane.calls, lane.failures) == (0, 2, {"deadline": 1})
    assert lane.latency_s["p95"] == pytest.approx(80)
    assert lane.scores_per_s == summary.scores_per_s == pytest.approx(10 / 80)


def test_call_that_was_due_before_the_window_and_waited_counts_from_when_it_was_due():
    summary = summarise([sample("interactive", due_s=4, done_s=9)], Window(begin_s=5, end_s=15))

    assert summary.lanes["interactive"].latency_s["p50"] == pytest.approx(5)


def test_call_that_takes_no_time_is_of_the_window_it_falls_into():
    window = Window(begin_s=5, end_s=15)

    assert [window.share(sample(due_s=moment, done_s=moment)) for moment in (4, 5, 14, 15)] == [0, 1, 1, 0]


def test_summary_of_a_lane_that_only_fails_has_no_latency():
    summary = summarise([sample(scores=0, failures=(ErrorCode.DEADLINE,))], Window(begin_s=0, end_s=2))

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
            timings_ms=Timings(queue=20, tokenize=0, engine=0),
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
    assert {each.waited_s for each in samples if each.scores} == {0.02}
    assert max(each.due_s for each in samples) < 1.0 <= max(each.done_s for each in samples)


async def test_open_loop_sends_on_time_however_slow_the_answers_are():
    transport = Slow(0.5)
    plan = Plan(trainers=0, rate_per_s=40, warm_up_s=0.2, seconds=0.8)
    samples = await driven(transport, trainers=0, rate_per_s=40)

    assert transport.most > 10
    assert sorted(each.due_s for each in samples) == pytest.approx(list(arrivals(plan)))
    assert min(each.latency_s for each in samples) >= 0.5
