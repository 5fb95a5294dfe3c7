"""Rows to scores: what is asked together, whose deadline counts, and that a failure is never a score."""

import asyncio
import dataclasses

import pytest
from edges_kit import MODEL, RUBRIC, result

from gated import nothing_lost, settle
from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange
from promedical.pins import read_pins
from promedical_service.edges.dropins.format import Options
from promedical_service.edges.dropins.scorer import ExchangeScorer
from promedical_service.errors import ServiceError
from promedical_service.types import Caller
from timers import Timers

CALLER = Caller(key="alice", timeout_s=None)


class Oracle:
    """Scores everything, but a response that is the word of an error code."""

    def __init__(self):
        self.asked = []
        self.gate = None

    async def score(self, request, caller):
        self.asked.append((request, caller))
        if self.gate:
            await self.gate.wait()
        return m.ScoreResponse(
            model=MODEL,
            items=tuple(self._outcome(item) for item in request.items),
            usage=m.Usage(tokens_flat=40, tokens_computed=20, responses_scored=1, criteria_scored=1),
            timings_ms=m.Timings(queue=0.0, tokenize=0.0, engine=0.0),
        )

    def _outcome(self, item):
        good = result(item.responses)
        told = tuple(
            m.ResponseOutcome(
                error=m.ErrorInfo(code=ErrorCode(text), message="why", retryable=text == "engine_failure")
            )
            if text in tuple(ErrorCode)
            else outcome
            for text, outcome in zip(item.responses, good.responses, strict=True)
        )
        return m.ItemOutcome(id=item.id, result=dataclasses.replace(good, responses=told))

    def rubric(self, name):
        if name == "unknown":
            raise ServiceError(ErrorCode.NOT_FOUND, "there is no rubric of that name")
        return RUBRIC

    def model(self):
        return dataclasses.make_dataclass("Info", ["model"])(MODEL)


@pytest.fixture
def oracle():
    return Oracle()


@pytest.fixture
def timers():
    return Timers()


@pytest.fixture
def scorer(timers):
    return ExchangeScorer(default_rubric="house", gather_s=0.02, max_responses=3, call_later=timers)


def row(response="A.", prompt="Why?", rubric=None, place="query[0]"):
    return Exchange(place=place, turns=(m.Message(role="user", content=prompt),), response=response, rubric=rubric)


async def start(scorer, oracle, *rows, options=None, caller=CALLER):
    tasks = [asyncio.create_task(scorer.score(oracle, [one], options or Options(), caller)) for one in rows]
    await settle()
    return tasks


async def test_scorer_asks_for_many_rows_at_once_and_groups_them_by_prompt(scorer, oracle, timers):
    rows = [row("A."), row("B.", prompt="How?"), row("C."), row("D.", rubric="other")]
    scored = await scorer.score(oracle, rows, Options(base_rubric_id="base", priority="bulk"), CALLER)
    ((request, caller),) = oracle.asked
    assert [item.responses for item in request.items] == [("A.", "C."), ("B.",), ("D.",)]
    assert [item.rubric_id for item in request.items] == ["house", "house", "other"]
    assert (request.items[0].base_rubric_id, request.priority, caller) == ("base", "bulk", CALLER)
    assert (len(scored.responses), scored.model, scored.tokens) == (4, MODEL, 20)
    assert timers.pending == []


async def test_scorer_gathers_single_rows_of_one_prompt_into_one_item(scorer, oracle, timers):
    async with nothing_lost():
        tasks = await start(scorer, oracle, row("A."), row("B."), row("C.", prompt="How?"))
        assert oracle.asked == []
        await timers.fire()
        assert sorted(request.items[0].responses for request, _ in oracle.asked) == [("A.", "B."), ("C.",)]
        assert [len((await task).responses) for task in tasks] == [1, 1, 1]


class SmallOracle(Oracle):
    """Takes so many characters of responses at once, and cannot do with one response at all."""

    async def score(self, request, caller):
        (item,) = request.items
        if len("".join(item.responses)) > 4 or "fail" in item.responses:
            self.asked.append((request, caller))
            code = ErrorCode.OVERLOADED if "fail" in item.responses else ErrorCode.TOO_LARGE
            raise ServiceError(code, "why", retry_after_s=None)
        return await super().score(request, caller)


def asked_responses(oracle):
    return ["".join(request.items[0].responses) for request, _ in oracle.asked]


async def test_scorer_asks_in_halves_for_a_round_that_is_too_large(timers):
    oracle, rounds = SmallOracle(), []
    scorer = ExchangeScorer(
        default_rubric="house", gather_s=0.02, max_responses=9, on_round=rounds.append, call_later=timers
    )
    async with nothing_lost():
        tasks = await start(scorer, oracle, *(row(text) for text in ("a", "b", "c", "d", "enormous", "f")))
        await timers.fire()
        told = await asyncio.gather(*tasks, return_exceptions=True)
    assert asked_responses(oracle) == ["abcdenormousf", "abc", "denormousf", "d", "enormousf", "enormous", "f"]
    assert [getattr(each, "code", "scored") for each in told] == [*["scored"] * 4, ErrorCode.TOO_LARGE, "scored"]
    assert rounds == [6]


async def test_scorer_asks_again_for_nothing_but_what_is_too_large(timers):
    oracle = SmallOracle()
    scorer = ExchangeScorer(default_rubric="house", gather_s=0.02, max_responses=9, call_later=timers)
    tasks = await start(scorer, oracle, row("a"), row("fail"))
    await timers.fire()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert asked_responses(oracle) == ["afail"]
    assert [each.code for each in told] == [ErrorCode.OVERLOADED] * 2


async def test_scorer_keeps_callers_and_options_apart(scorer, oracle, timers):
    tasks = await start(scorer, oracle, row("A."))
    tasks += await start(scorer, oracle, row("B."), caller=Caller(key="bob"))
    tasks += await start(scorer, oracle, row("C."), options=Options(truncation="response_end"))
    await timers.fire()
    assert len(oracle.asked) == 3
    await asyncio.gather(*tasks)


async def test_scorer_does_not_wait_where_gathering_is_off(oracle):
    scorer = ExchangeScorer(default_rubric="house", gather_s=0, max_responses=3)
    assert (await scorer.score(oracle, [row()], Options(), CALLER)).responses


async def test_scorer_gives_a_round_the_longest_of_its_deadlines_and_each_row_its_own(scorer, oracle, timers):
    async with nothing_lost():
        oracle.gate = asyncio.Event()
        (hasty,) = await start(scorer, oracle, row("A."), caller=Caller(key="alice", timeout_s=0.01))
        (patient,) = await start(scorer, oracle, row("B."), caller=Caller(key="alice", timeout_s=50.0))
        await timers.fire()
        with pytest.raises(ServiceError) as caught:
            await hasty
        assert caught.value.code is ErrorCode.DEADLINE
        assert oracle.asked[0][1].timeout_s == 50.0
        oracle.gate.set()
        assert (await patient).responses


@pytest.mark.parametrize(
    ("response", "code"),
    [("empty_response", "invalid_request"), ("too_long", "invalid_request"), ("engine_failure", "unavailable")],
)
async def test_scorer_fails_the_request_for_a_row_without_scores_and_names_it(scorer, oracle, response, code):
    rows = [row("A."), row(response, place="documents[1]")]
    with pytest.raises(ServiceError, match=r"documents\[1\]: why") as caught:
        await scorer.score(oracle, rows, Options(), CALLER)
    assert caught.value.code == code
    assert (caught.value.retry_after_s is not None) is (code == "unavailable")


async def test_scorer_fails_one_of_a_gathered_group_alone(scorer, oracle, timers):
    good, bad = await start(scorer, oracle, row("A."), row("too_long"))
    await timers.fire()
    assert (await good).responses
    with pytest.raises(ServiceError):
        await bad


@pytest.mark.parametrize("options", [Options(rubric_id="unknown"), Options(base_rubric_id="unknown")])
async def test_scorer_names_the_place_of_an_unknown_rubric_before_anything_is_asked(scorer, oracle, options):
    with pytest.raises(ServiceError, match=r"(query\[0\]|base_rubric_id): there is no") as caught:
        await scorer.score(oracle, [row(), row()], options, CALLER)
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert oracle.asked == []


async def test_scorer_answers_nothing_with_nothing(scorer, oracle):
    assert (await scorer.score(oracle, [], Options(), CALLER)).responses == ()


async def test_scorer_names_no_more_rubrics_than_a_header_can_hold(scorer, oracle):
    used = [
        m.UsedRubric(name=f"{'r' * 240}.{n}", id=f"{'r' * 240}.{n}", version="1", sha256="0" * 64) for n in range(40)
    ]
    answered = oracle.score

    async def score(request, caller):
        return dataclasses.replace(await answered(request, caller), rubrics=tuple(used))

    oracle.score = score
    scored = await scorer.score(oracle, [row("A."), row("B.")], Options(), CALLER)
    assert [pin.name for pin in read_pins(scored.rubrics)] == [f"{each.id}@1" for each in used[:16]]
    assert len(scored.rubrics) < 8190  # what aiohttp reads of one header
