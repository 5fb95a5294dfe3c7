"""Large jobs: how they are cut, sent and put together, and which answers are refused."""

import asyncio
import itertools
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_client_loopback import RUBRIC, Failure, Oracle, item, judge, on_both_transports, serving

from promedical.errors import ErrorCode
from promedical.messages import ErrorInfo, Message, RankRequest, ResponseOutcome, RubricPin, RubricRef, UsedRubric
from promedical_client import (
    AsyncClient,
    InternalError,
    InvalidRequestError,
    MixedFingerprintsError,
    MixedRubricsError,
    MockTransport,
    PromedicalError,
    ProtocolError,
    RevisionMismatchError,
    TooLargeError,
    judged_by,
)
from promedical_client.chunking import MAX_ITEMS, MAX_TOKENS, Cutter, estimated_tokens
from promedical_client.transports.http import _encoded

score = judged_by(judge)


@given(st.lists(st.integers(min_value=0, max_value=2 * MAX_TOKENS), max_size=200))
def test_chunks_keep_every_item_in_order_and_under_both_limits(sizes):
    items = [item(str(n), "x" * min(size, 4000) * 400) for n, size in enumerate(sizes[:20])]
    items += [item(f"small {n}") for n in range(len(sizes))]
    cutter = Cutter(items, call_s=15.0)
    cut = list(iter(cutter.next, ()))
    assert [one for chunk in cut for one in chunk] == items
    for chunk in cut:
        assert 0 < len(chunk) <= MAX_ITEMS
        assert len(chunk) == 1 or sum(map(estimated_tokens, chunk)) <= MAX_TOKENS


def test_criteria_count_once_per_response():
    assert estimated_tokens(item("a", "x" * 400)) > 100
    one, three = (estimated_tokens(item("a", *["x" * 400] * n)) for n in (1, 3))
    assert three > 2.5 * one
    messages = replace(item("a"), prompt=(Message(role="user", content="y" * 4000),))
    assert estimated_tokens(messages) > 1000


@on_both_transports
async def test_many_chunks_come_back_in_order_with_several_in_flight(transport):
    async def shuffled(request):
        await asyncio.sleep(random.random() / 50)
        return score(request)

    oracle, progress = Oracle(score=shuffled), []
    items = [item(f"i{n}", "good" if n % 3 else "bad") for n in range(400)]
    with serving(oracle, transport) as url:
        async with AsyncClient(url, max_in_flight=3) as client:
            answer = await client.score(items, on_progress=lambda done, total: progress.append((done, total)))
    assert [outcome.id for outcome in answer.items] == [one.id for one in items]
    assert [o.result.responses[0].scores.vetoed for o in answer.items] == [n % 3 == 0 for n in range(400)]
    assert len(oracle.seen) == 7
    assert oracle.most_at_once == 3
    assert answer.usage.responses_scored == 400
    assert answer.usage.criteria_scored == 1200
    assert [total for _, total in progress] == [400] * 7
    assert progress[-1] == (400, 400)
    assert {seen.request.priority for seen in oracle.seen} == {"bulk"}


async def test_timings_are_the_longest_of_the_chunks():
    def timed(request):
        answer = score(request)
        return replace(answer, timings_ms=replace(answer.timings_ms, queue=float(len(request.items))))

    answer = await AsyncClient(transport=MockTransport(score=timed)).score([item(str(n)) for n in range(70)])
    assert answer.timings_ms.queue == 64.0


async def test_an_oracle_that_changes_within_a_call_is_refused():
    names = itertools.chain(["f1"], itertools.repeat("f2"))

    def changing(request):
        return judged_by(judge, fingerprint=next(names))(request)

    transport = MockTransport(score=changing)
    with pytest.raises(MixedFingerprintsError, match="f1, f2") as caught:
        await AsyncClient(transport=transport).score([item(str(n)) for n in range(70)])
    assert isinstance(caught.value, RevisionMismatchError)


async def test_the_first_failure_ends_the_call_and_cancels_the_rest():
    cancelled = []

    async def one_fails(request):
        if request.items[0].id == "0":
            raise InternalError("bug")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(request.items[0].id)
            raise

    transport = MockTransport(score=one_fails)
    with pytest.raises(InternalError, match="bug"):
        await AsyncClient(transport=transport, max_in_flight=2).score([item(str(n)) for n in range(300)])
    assert "64" in cancelled
    assert len(transport.calls) == 1 + len(cancelled) < 5


def answering_all_but(*ids, fingerprints=("mock",)):
    """A mock that fails, last of all, where a chunk holds one of these ids, and scores the others."""
    names = itertools.cycle(fingerprints)

    async def some(request):
        if not {one.id for one in request.items}.isdisjoint(ids):
            await asyncio.sleep(0.05)
            raise InternalError("bug")
        return judged_by(judge, fingerprint=next(names))(request)

    return MockTransport(score=some)


async def partial_of(transport, items):
    with pytest.raises(PromedicalError) as caught:
        await AsyncClient(transport=transport).score(items)
    return [outcome.id for outcome in caught.value.partial]


async def test_a_failure_carries_what_was_answered_in_order():
    items = [item(f"i{n}") for n in range(200)]
    answered = await partial_of(answering_all_but("i64"), items)
    assert answered == [f"i{n}" for n in (*range(64), *range(128, 200))]
    assert await partial_of(answering_all_but("i0"), items[:10]) == []


async def test_a_failure_carries_what_was_answered_of_a_chunk_in_halves():
    def halved(request):
        if len(request.items) > 2:
            raise TooLargeError("over the limit")
        if request.items[0].id == "i2":
            raise InternalError("bug")
        return score(request)

    assert await partial_of(MockTransport(score=halved), [item(f"i{n}") for n in range(4)]) == ["i0", "i1"]


async def test_a_failure_carries_what_was_refused_for_its_size():
    def large_then_bug(request):
        if len(request.items) > 1 or request.items[0].id == "i0":
            raise TooLargeError("over the limit")
        raise InternalError("bug")

    assert await partial_of(MockTransport(score=large_then_bug), [item("i0"), item("i1")]) == ["i0"]


async def test_a_failure_carries_nothing_where_oracles_are_mixed():
    items = [item(f"i{n}") for n in range(200)]
    assert await partial_of(answering_all_but("i64", fingerprints=("f1", "f2")), items) == []
    assert await partial_of(answering_all_but(fingerprints=("f1", "f2")), items) == []


@on_both_transports
async def test_a_chunk_that_is_too_large_for_the_server_is_halved(transport):
    def small_only(request):
        if len(request.items) > 20:
            raise Failure(ErrorCode.TOO_LARGE)
        return score(request)

    items = [item(str(n)) for n in range(64)]
    with serving(Oracle(score=small_only), transport) as url:
        async with AsyncClient(url) as client:
            answer = await client.score(items)
            assert [outcome.id for outcome in answer.items] == [one.id for one in items]


async def test_items_that_are_too_large_get_an_error_in_their_place():
    def limited(request):
        if not {one.id for one in request.items}.isdisjoint({"i3", "i70"}):
            raise TooLargeError("too many criteria")
        return score(request)

    told = []
    client = AsyncClient(transport=MockTransport(score=limited))
    answer = await client.score([item(f"i{n}") for n in range(100)], on_progress=lambda *now: told.append(now))
    assert [outcome.id for outcome in answer.items] == [f"i{n}" for n in range(100)]
    refused = {outcome.id: outcome.error for outcome in answer.items if outcome.error}
    assert refused.keys() == {"i3", "i70"}
    assert {(error.code, error.message) for error in refused.values()} == {("invalid_item", "too many criteria")}
    assert told[-1] == (100, 100)


async def test_a_call_of_items_that_are_all_too_large_fails():
    def never(_request):
        raise TooLargeError("too many criteria")

    transport = MockTransport(score=never)
    with pytest.raises(TooLargeError):
        await AsyncClient(transport=transport).score([item("a"), item("b")])
    assert len(transport.calls) == 3


async def test_jobs_without_an_answer_are_refused_before_anything_is_sent():
    transport = MockTransport(score=score)
    client = AsyncClient(transport=transport)
    jobs = [
        [],
        [item("a"), item("b"), item("a")],
        item("a"),
        "items",
        [{"id": "a", "prompt": "q", "responses": ["r"]}],
    ]
    for job in jobs:
        with pytest.raises(InvalidRequestError, match="items"):
            await client.score(job)
    with pytest.raises(InvalidRequestError, match="responses"):
        await client.rank("q", "one string", rubric_id="general")
    assert transport.calls == []


async def test_a_duplicate_id_is_named_by_position_and_not_quoted():
    with pytest.raises(InvalidRequestError) as caught:
        await AsyncClient(transport=MockTransport(score=score)).score([item("Ms Roe"), item("b"), item("Ms Roe")])
    assert "items[2].id" in str(caught.value)
    assert "items[0]" in str(caught.value)
    assert "Roe" not in str(caught.value)


@on_both_transports
async def test_failures_of_items_and_responses_are_values(transport):
    def partly(request):
        answer = score(request)
        good, other = answer.items
        empty = ResponseOutcome(error=ErrorInfo(code=ErrorCode.EMPTY_RESPONSE, message="is empty"))
        result = replace(good.result, ranking=((0,),), responses=(good.result.responses[0], empty))
        failed = ErrorInfo(code=ErrorCode.ENGINE_FAILURE, message="out of memory", retryable=True)
        return replace(answer, items=(replace(good, result=result), replace(other, result=None, error=failed)))

    with serving(Oracle(score=partly), transport) as url:
        async with AsyncClient(url) as client:
            first, second = (await client.score([item("a"), item("b")])).items
    assert first.result.responses[1].error.code is ErrorCode.EMPTY_RESPONSE
    assert first.result.responses[1].scores is None
    assert second.error.retryable
    assert second.result is None


def first_scores(answer, **changes):
    """The answer with the scores of its first response changed."""
    first = answer.items[0]
    outcome = first.result.responses[0]
    changed = replace(outcome, scores=replace(outcome.scores, **changes))
    return with_result(answer, responses=(changed, *first.result.responses[1:]))


def with_result(answer, **changes):
    first = answer.items[0]
    return replace(answer, items=(replace(first, result=replace(first.result, **changes)), *answer.items[1:]))


def with_criterion(answer, **changes):
    criteria = answer.items[0].result.responses[0].scores.criteria
    return first_scores(answer, criteria=(replace(criteria[0], **changes), *criteria[1:]))


BROKEN = {
    "reward": lambda a: first_scores(a, reward=float("nan")),
    "proficiency": lambda a: first_scores(a, proficiency=float("inf")),
    "logit": lambda a: with_criterion(a, logit=float("-inf")),
    "probability": lambda a: with_criterion(a, probability=float("nan")),
    "an item too few": lambda a: replace(a, items=a.items[:1]),
    "items out of order": lambda a: replace(a, items=a.items[::-1]),
    "a response too few": lambda a: with_result(a, responses=a.items[0].result.responses[:1]),
    "a ranking of what is not there": lambda a: with_result(a, ranking=((0,), (2,))),
    "a ranking that forgets": lambda a: with_result(a, ranking=((0,),)),
    "neither scores nor error": lambda a: with_result(a, responses=(ResponseOutcome(), ResponseOutcome())),
    "neither result nor error": lambda a: replace(a, items=(replace(a.items[0], result=None), a.items[1])),
}


@on_both_transports
@pytest.mark.parametrize("what", BROKEN)
async def test_answers_that_no_caller_could_use_are_protocol_errors(what, transport):
    oracle = Oracle(score=lambda request: BROKEN[what](score(request)))
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            with pytest.raises(ProtocolError):
                await client.score([item("a"), item("b")])
    assert len(oracle.seen) == 1


async def test_a_ranking_that_is_broken_is_a_protocol_error():
    transport = MockTransport(score=lambda request: first_scores(score(request), reward=float("nan")))
    with pytest.raises(ProtocolError, match="finite"):
        await AsyncClient(transport=transport).rank("q", ["good"], rubric=item("a").rubric)


# Named rubrics.

A, B = "a" * 64, "b" * 64


def named(request, sha256=A, version="1"):
    """The scores of a request by named rubrics, in answers of services that do not list rubrics yet."""
    answer = score(
        replace(request, items=tuple(replace(each, rubric=RUBRIC, rubric_id=None) for each in request.items))
    )
    ref = RubricRef(id="strict", version=version, sha256=sha256)
    items = (replace(each, result=replace(each.result, rubric=ref)) for each in answer.items)
    return replace(answer, items=tuple(items))


def listed(request, sha256=A, version="1"):
    used = UsedRubric(name=request.items[0].rubric_id, id="strict", version=version, sha256=sha256)
    return replace(named(request, sha256, version), rubrics=(used,))


def strict(count=1, name="strict"):
    return [replace(item(str(n), rubric=None), rubric_id=name) for n in range(count)]


@on_both_transports
@pytest.mark.parametrize("answering", [named, listed], ids=["an older service", "a service"])
async def test_client_refuses_an_answer_by_another_rubric_whatever_the_service_knows_of_pins(transport, answering):
    with serving(Oracle(score=answering), transport) as url:
        async with AsyncClient(url) as client:
            expected = (RubricPin(name="strict", sha256=A),)
            assert (await client.score(strict(), expected_rubrics=expected)).items[0].result
            other = (RubricPin(name="strict", sha256=B),)
            with pytest.raises(RevisionMismatchError, match="strict@1 is another rubric"):
                await client.score(strict(), expected_rubrics=other)
            with pytest.raises(RevisionMismatchError, match="strict@1 is another rubric"):
                await client.rank("Why?", ["good", "bad"], rubric_id="strict", expected_rubrics=other)


async def test_requests_without_pins_are_those_that_older_services_take():
    transport = MockTransport(score=score)
    await AsyncClient(transport=transport).score([item("a")])
    ranked = RankRequest(prompt="Why?", responses=("good",), rubric=RUBRIC)
    for request in (transport.calls[0], ranked):
        assert "expected_rubrics" not in json.loads(_encoded(request))
        pinned = replace(request, expected_rubrics=(RubricPin(name="strict", sha256=A),))
        assert json.loads(_encoded(pinned))["expected_rubrics"] == [{"name": "strict", "sha256": A}]


@pytest.mark.parametrize("given", [{"rubric": RUBRIC}, {"rubric_id": "strict"}, {"base_rubric_id": "strict"}], ids=str)
async def test_pins_are_sent_where_a_rubric_is_named_and_nowhere_else(given):
    transport, pins = MockTransport(score=score), [RubricPin(name="strict", sha256=A)]
    client = AsyncClient(transport=transport)
    await client.rank("Why?", ["good"], expected_rubrics=pins, **given)
    await client.score([item("a"), replace(item("b", rubric=None), **given)], expected_rubrics=pins)
    assert [call.expected_rubrics for call in transport.calls] == [() if "rubric" in given else tuple(pins)] * 2


@pytest.mark.parametrize(
    ("name", "second", "said"),
    [
        ("strict@1", {"sha256": B}, "strict@1"),
        ("strict", {"sha256": B}, "strict"),
        ("strict", {"sha256": B, "version": "2"}, "strict"),
    ],
)
async def test_chunks_by_different_rubrics_of_one_name_are_refused(name, second, said):
    def answer(request):
        return listed(request) if request.items[0].id == "0" else listed(request, **second)

    with pytest.raises(MixedRubricsError, match=f"different rubrics of the name {said};") as caught:
        await AsyncClient(transport=MockTransport(score=answer)).score(strict(70, name))
    assert caught.value.partial == ()


async def test_chunks_by_one_rubric_name_it_once():
    answer = await AsyncClient(transport=MockTransport(score=listed)).score(strict(130))
    assert [(used.name, used.sha256) for used in answer.rubrics] == [("strict", A)]
