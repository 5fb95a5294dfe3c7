"""The Scorer, from the contract: one answer per item and response, typed errors, nobody's text in a message."""

import asyncio
import itertools
import math
import time
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gated import CONTRACT_REQUEST, FAILED, GatedEngine, criterion, item, make_limits, make_tree, rig, settle
from promedical import messages as m
from promedical.errors import ITEM_ERROR_CODES, ErrorCode
from promedical.rubric import Polarity
from promedical_service.engines.base import EngineLost
from promedical_service.engines.fake import FakeEngine
from promedical_service.errors import ServiceError
from promedical_service.scoring import plan
from promedical_service.types import Caller

CANARY = "Kanarienvogel"
GOOD = (3.0, 1.0, -4.0)
"""Logits of item()'s criteria: proficient, warm, harmless."""
WORSE = (-3.0, 1.0, -4.0)
UNSAFE = (3.0, 1.0, 4.0)


def request_of(body):
    return TypeAdapter(m.ScoreRequest).validate_python(body, strict=False)


async def answered(r, asking, *answers):
    """Open the gate as often as there are answers, and wait for the Scorer's."""
    for answer in answers:
        await settle()
        await r.engine.answer(answer)
    return await asking


async def score_gated(r, *items, answers, **changes):
    return await answered(r, asyncio.create_task(r.score(*items, **changes)), *answers)


async def refused(r, *items, caller=None, **changes):
    with pytest.raises(ServiceError) as caught:
        await r.score(*items, caller=caller, **changes)
    assert r.engine.batches == []
    return caught.value


# Results


async def test_scorer_answers_the_contract_example():
    async with rig() as r:
        logits = [(-2.1004, -1.0, 2.0), (3.0, 1.0, -4.0)]
        request = request_of(CONTRACT_REQUEST)
        asking = asyncio.create_task(r.scorer.score(request, Caller()))
        response = await answered(r, asking, logits)
        (outcome,) = response.items
        assert (outcome.id, outcome.error, response.model.fingerprint) == ("a1", None, "f1")
        result = outcome.result
        assert (result.rubric.id, result.rubric.version, len(result.rubric.sha256)) == (None, None, 64)
        assert result.safety_checked
        assert result.ranking == ((1,), (0,))
        bad, good = (each.scores for each in result.responses)
        assert (bad.reward, bad.rank, bad.vetoed, bad.proficiency, bad.excellence, bad.violations) == (
            -1.5, 2, True, 0.0, 0, 1,
        )  # fmt: skip
        assert (good.rank, good.vetoed, good.proficiency, good.excellence, good.violations) == (1, False, 1.0, 1, 0)
        assert good.reward == pytest.approx(1.1, abs=1e-12)
        first = bad.criteria[0]
        assert (first.id, first.dimension, first.logit, first.threshold) == ("bleed", "proficiency", -2.1, 0.5)
        assert first.probability == pytest.approx(1 / (1 + math.exp(2.1)))
        assert [(c.id, c.met, c.satisfied) for c in bad.criteria] == [
            ("bleed", False, False), ("tone", False, False), ("harm", True, False),
        ]  # fmt: skip
        assert [(c.id, c.met, c.satisfied) for c in good.criteria] == [
            ("bleed", True, True), ("tone", True, True), ("harm", False, True),
        ]  # fmt: skip
        assert (response.usage.responses_scored, response.usage.criteria_scored) == (2, 6)
        assert r.events.queue["bulk"] == (0, 0)
        assert r.events.items == [("bulk", "ok")]


async def test_scorer_keeps_items_and_responses_in_order():
    async with rig(FakeEngine()) as r:
        names = [f"n{index}" for index in range(9)]
        items = [item(name, [f"{name} {j}" for j in range(index % 3 + 1)]) for index, name in enumerate(names)]
        response = await r.score(*items)
        assert [outcome.id for outcome in response.items] == names
        for asked, outcome in zip(items, response.items, strict=True):
            assert len(outcome.result.responses) == len(asked.responses)
            alone = await r.score(asked)
            assert alone.items[0] == outcome


async def test_scorer_computes_identical_responses_once_and_scores_them_alike():
    async with rig() as r:
        asked = item(responses=("same", "other", "same", "same"))
        response = await score_gated(r, asked, answers=[[GOOD, UNSAFE]])
        ((tree,),) = r.engine.batches
        assert len(tree.branches) == 2
        first, other, third, fourth = response.items[0].result.responses
        assert first == third == fourth
        assert first.scores.rank == 1
        assert other.scores.rank == 2
        assert response.items[0].result.ranking == ((0, 2, 3), (1,))
        assert response.usage.responses_scored == 4


async def test_scorer_says_what_it_cost_and_counts_repeated_responses_as_asked():
    async with rig() as r:
        asked = item(responses=("same", "other", "same"))
        response = await score_gated(r, asked, item("b", ("x",)), answers=[[GOOD, GOOD, GOOD]])
        one, two = r.engine.batches[0]
        same, other = (one.part(index, index + 1).flat_tokens for index in range(2))
        assert response.usage == m.Usage(
            tokens_flat=2 * same + other + two.flat_tokens,
            tokens_computed=one.unique_tokens + two.unique_tokens,
            responses_scored=4,
            criteria_scored=12,
        )


async def test_scorer_counts_in_usage_only_what_was_scored():
    async with rig() as r:
        asked = item(responses=("good", "", "bad"))
        response = await score_gated(r, asked, item("b", ()), answers=[[GOOD, FAILED]])
        assert (response.usage.responses_scored, response.usage.criteria_scored) == (1, 3)


async def test_scorer_tells_where_the_time_went():
    async with rig() as r:
        blocking = asyncio.create_task(r.score(item("first")))
        await settle()
        asking = asyncio.create_task(r.score(item("second")))
        await settle()
        r.clock.advance(2.0)
        await r.engine.answer([GOOD])
        r.clock.advance(3.0)
        await r.engine.answer([GOOD])
        assert (await asking).timings_ms == m.Timings(queue=2000.0, tokenize=0.0, engine=3000.0)
        assert (await blocking).timings_ms.engine == 2000.0
        assert ("queue", 2.0) in r.events.stages


async def test_scorer_ranks_as_it_scores():
    async with rig() as r:
        sound = item(responses=("a", "b"))
        request = m.RankRequest(prompt=sound.prompt, responses=sound.responses, rubric=sound.rubric)
        response = await answered(r, asyncio.create_task(r.scorer.rank(request, Caller())), [WORSE, GOOD])
        assert response.best == (1,)
        assert response.result.ranking == ((1,), (0,))


async def test_scorer_uses_the_weights_of_the_request():
    async with rig() as r:
        weights = m.WeightsSpec(excellence_weight=0.5, excellence_cap=1.0, violation_penalty=9.0)
        response = await score_gated(r, item(responses=("a", "b")), answers=[[GOOD, UNSAFE]], reward_weights=weights)
        assert [each.scores.reward for each in response.items[0].result.responses] == [1.5, -7.5]


async def test_scorer_adds_the_criteria_of_a_base_rubric():
    async with rig(FakeEngine()) as r:
        standing = [c.id for c in r.scorer.rubric("general-medical").criteria]
        own = m.RubricSpec(criteria=(criterion("mine"),))
        response = await r.score(
            item("inline", rubric=own, base_rubric_id="general-medical"),
            item("alone", rubric=None, base_rubric_id="general-medical@1"),
            item("named", rubric=None, rubric_id="general-medical@1"),
        )
        inline, alone, named = (outcome.result for outcome in response.items)
        assert [c.id for c in inline.responses[0].scores.criteria] == ["mine", *standing]
        assert inline.safety_checked
        assert inline.rubric.id is None
        assert [c.id for c in named.responses[0].scores.criteria] == standing
        assert (named.rubric.id, named.rubric.version) == ("general-medical", "1")
        assert alone.responses == named.responses


async def test_scorer_says_when_safety_was_not_checked():
    async with rig(FakeEngine()) as r:
        response = await r.score(item(rubric=m.RubricSpec(criteria=(criterion("warm", "excellence"),))))
        result = response.items[0].result
        assert (result.safety_checked, result.responses[0].scores.vetoed) == (False, False)
        assert result.responses[0].scores.proficiency is None
        assert r.events.responses == [(False, False)]


async def test_scorer_marks_what_it_cut():
    async with rig(FakeEngine(), max_path_tokens=400) as r:
        asked = item(responses=("x" * 600, "short"))
        cut = (await r.score(asked, truncation="response_end")).items[0].result
        assert [(each.truncated, each.error) for each in cut.responses] == [(True, None), (False, None)]
        whole = (await r.score(asked)).items[0].result
        assert [(each.truncated, each.scores is None) for each in whole.responses] == [(False, True), (False, False)]
        assert cut.responses[1].scores.criteria == whole.responses[1].scores.criteria


# Failures of a response


async def test_scorer_answers_bad_responses_among_good_ones():
    async with rig(max_path_tokens=500) as r:
        asked = item(responses=("", "good", " \n", "x" * 600, "failing", "good", "worse", "y" * 9000))
        response = await score_gated(r, asked, answers=[[GOOD, FAILED, WORSE]])
        result = response.items[0].result
        codes = [each.error.code if each.error else None for each in result.responses]
        assert codes == [
            "empty_response", None, "empty_response", "too_long", "engine_failure", None, None, "too_long",
        ]  # fmt: skip
        assert r.events.failures == [code for code in codes if code]
        assert len(r.events.responses) == 3
        assert result.ranking == ((1, 5), (6,))
        assert [each.scores is None for each in result.responses] == [code is not None for code in codes]
        assert [each.error.retryable for each in result.responses if each.error] == [False, False, False, True, False]
        too_long = result.responses[3].error.message
        assert "500" in too_long
        assert "truncation" in too_long


async def test_scorer_does_not_let_a_bad_response_change_its_siblings():
    async with rig(FakeEngine()) as r:
        clean = (await r.score(item(responses=("a", "b")))).items[0].result
        mixed = (await r.score(item(responses=("", "a", "x" * 9000, "b")))).items[0].result
        assert [mixed.responses[1], mixed.responses[3]] == list(clean.responses)


async def test_scorer_answers_an_item_without_one_good_response():
    async with rig() as r:
        (outcome,) = (await r.score(item(responses=("", " ", "\u200b\ufeff\u00ad", "\ufe0f")))).items
        assert outcome.error is None
        assert outcome.result.ranking == ()
        assert {each.error.code for each in outcome.result.responses} == {"empty_response"}
        assert r.engine.batches == []


@pytest.mark.parametrize("bad", [(), (1.0, 1.0), (1.0, 1.0, math.nan), (math.inf, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)])
async def test_scorer_fails_a_response_with_any_criterion_unscored(bad):
    async with rig() as r:
        response = await score_gated(r, item(responses=("bad", "good")), answers=[[bad, GOOD]])
        first, second = response.items[0].result.responses
        assert first.scores is None
        assert first.error.code is ErrorCode.ENGINE_FAILURE
        assert second.scores.rank == 1
        assert response.items[0].result.ranking == ((1,),)


async def test_scorer_turns_an_engine_exception_into_errors_of_its_responses():
    async with rig() as r:
        asking = asyncio.create_task(r.score(item(responses=("a", "b")), item("b")))
        await settle()
        await r.engine.fail(RuntimeError(CANARY))
        response = await asking
        errors = [each.error for outcome in response.items for each in outcome.result.responses]
        assert {error.code for error in errors} == {ErrorCode.ENGINE_FAILURE}
        assert not any(CANARY in error.message for error in errors)
        assert all(outcome.result.ranking == () for outcome in response.items)
        assert response.usage.responses_scored == 0


async def test_scorer_is_unavailable_when_the_engine_is_lost_before_its_turn():
    async with rig() as r:
        running = asyncio.create_task(r.score(item("a")))
        await settle()
        waiting = asyncio.create_task(r.score(item("b")))
        await settle()
        await r.engine.fail(EngineLost())
        assert (await running).items[0].result.responses[0].error.code is ErrorCode.ENGINE_FAILURE
        with pytest.raises(ServiceError) as caught:
            await waiting
        assert caught.value.code is ErrorCode.UNAVAILABLE


# Failures of an item

_SAFETY_WEIGHT = criterion("harm", "safety", weight=1.0)
BAD_ITEMS = {
    "criterion ids twice": item(rubric=m.RubricSpec(criteria=(criterion("x"), criterion("x", "excellence")))),
    "criterion id empty": item(rubric=m.RubricSpec(criteria=(criterion(" "),))),
    "criterion text empty": item(rubric=m.RubricSpec(criteria=(criterion("x", text="\n"),))),
    "weight on safety": item(rubric=m.RubricSpec(criteria=(criterion("good"), _SAFETY_WEIGHT))),
    "weight on excellence": item(rubric=m.RubricSpec(criteria=(criterion("x", "excellence", weight=1.0),))),
    "weight negative": item(rubric=m.RubricSpec(criteria=(criterion("x", weight=-1.0),))),
    "weight nan": item(rubric=m.RubricSpec(criteria=(criterion("x", weight=math.nan),))),
    "weight infinite": item(rubric=m.RubricSpec(criteria=(criterion("x", weight=math.inf),))),
    "weights all zero": item(rubric=m.RubricSpec(criteria=(criterion("x", weight=0.0),))),
    "weights overflow": item(rubric=m.RubricSpec(criteria=tuple(criterion(c, weight=1e308) for c in "xyz"))),
    "safety positive": item(rubric=m.RubricSpec(criteria=(criterion("x", "safety", polarity=Polarity.POSITIVE),))),
    "no criteria": item(rubric=m.RubricSpec(criteria=())),
    "no rubric": item(rubric=None),
    "both rubrics": item(rubric_id="general-medical"),
    "base repeats ids": item(rubric=None, rubric_id="general-medical", base_rubric_id="general-medical"),
    "no responses": item(responses=()),
    "prompt without turns": item(prompt=()),
    "prompt ends with assistant": item(
        prompt=(m.Message(role="user", content="Hi"), m.Message(role="assistant", content="Hello"))
    ),
    "transcript ends with assistant": item(prompt="user: Hi\n\nassistant: Hello"),
    "prompt blank": item(prompt="  "),
    "lone surrogate": item(responses=("\ud800",)),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
async def test_scorer_refuses_an_invalid_item_alone(name):
    async with rig(FakeEngine()) as r:
        response = await r.score(item("before"), BAD_ITEMS[name], item("after"))
        before, bad, after = response.items
        assert (bad.id, bad.result, bad.error.code, bad.error.retryable) == ("a1", None, "invalid_item", False)
        assert before.error is after.error is None
        assert before.result == after.result
        assert r.events.items == [("bulk", "ok"), ("bulk", "invalid_item"), ("bulk", "ok")]
        alone = await r.score(BAD_ITEMS[name])
        assert alone.items == (bad,)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("weight on safety", "rubric.criteria[1].weight"),
        ("criterion ids twice", "rubric.criteria[1].id"),
        ("no criteria", "rubric.criteria"),
        ("both rubrics", "rubric_id"),
        ("no responses", "responses"),
        ("prompt ends with assistant", "prompt"),
    ],
)
async def test_scorer_names_the_field_of_an_invalid_item(name, field):
    async with rig(FakeEngine()) as r:
        (outcome,) = (await r.score(BAD_ITEMS[name])).items
        assert outcome.error.message.startswith(f"{field}: ")


# Failures of a request


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ((), "items"),
        ((item(""),), "items[0].id"),
        ((item("x"), item("")), "items[1].id"),
        ((item("x"), item("y"), item("x")), "items[2].id"),
    ],
)
async def test_scorer_refuses_a_request_whose_ids_are_not_sound(items, field):
    async with rig() as r:
        error = await refused(r, *items)
        assert error.code is ErrorCode.INVALID_REQUEST
        assert [violation.field for violation in error.violations] == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(
            ["excellence_weight", "excellence_cap", "violation_penalty"], [math.nan, math.inf, -math.inf, 0.0, -1.0]
        ),
        ("excellence_weight", 1.0),
        ("violation_penalty", 1.19),
    ],
)
async def test_scorer_refuses_a_request_whose_weights_break_the_veto(field, value):
    async with rig() as r:
        error = await refused(r, item(), reward_weights=replace(m.WeightsSpec(), **{field: value}))
        assert error.code is ErrorCode.INVALID_REQUEST
        assert [violation.field for violation in error.violations] == [f"reward_weights.{field}"]


async def test_scorer_accepts_the_smallest_veto():
    async with rig(FakeEngine()) as r:
        weights = m.WeightsSpec(excellence_cap=0.2, violation_penalty=1.2)
        assert (await r.score(item(), reward_weights=weights)).items[0].error is None


@pytest.mark.parametrize(
    ("limit", "items", "place"),
    [
        ("max_items", [item(str(n)) for n in range(3)], "items"),
        ("max_responses_per_item", [item("x"), item("y", "abc")], "items[1].responses"),
        ("max_criteria_per_item", [item("x")], "items[0].rubric.criteria"),
    ],
)
async def test_scorer_refuses_counts_over_the_limit_and_takes_those_at_it(limit, items, place):
    async with rig(limits=make_limits(**{limit: 2})) as r:
        error = await refused(r, *items)
        assert (error.code, error.retry_after_s) == (ErrorCode.TOO_LARGE, None)
        assert f"{place} holds 3" in error.message
    async with rig(FakeEngine(), limits=make_limits(**{limit: 3})) as r:
        assert len((await r.score(*items)).items) == len(items)


async def test_scorer_counts_the_turns_of_a_transcript_as_those_of_messages():
    async with rig() as r:
        error = await refused(r, item("x"), item("y", prompt="user: a" + "\n\nuser: " * 20_000 + "b"))
        assert error.code is ErrorCode.TOO_LARGE
        assert error.message.startswith("items[1].prompt holds 1025; at most 1024 are allowed")
    async with rig(FakeEngine(), max_path_tokens=100_000) as r:
        longest = item(prompt="user: a" + "\n\nuser: " * 1022 + "\n\nuser: b")
        assert (await r.score(longest)).items[0].error is None


async def test_scorer_refuses_an_answer_that_repeats_one_response_without_end():
    rubric = m.RubricSpec(criteria=tuple(criterion(f"c{number}", "excellence") for number in range(9)))
    items = [item(str(number), ["same"] * 128, rubric=rubric) for number in range(256)]
    async with rig(limits=make_limits(max_items=256, max_responses_per_item=128)) as r:
        error = await refused(r, *items)
        assert (error.code, error.retry_after_s) == (ErrorCode.TOO_LARGE, None)
        assert f"{256 * 128 * 9} verdicts" in error.message
        assert "at most 262144 are allowed. Send fewer items" in error.message


@pytest.mark.parametrize("character", ["x", "\u0e01", "\x01", '"', "\U0001f600"])
async def test_scorer_refuses_an_answer_that_repeats_long_ids_without_end(character):
    ids = [f"{number:03}" + character * 253 for number in range(128)]
    rubric = m.RubricSpec(criteria=tuple(criterion(each, "excellence") for each in ids))
    items = [item(str(number), ["same"] * 128, rubric=rubric) for number in range(16)]
    async with rig(limits=make_limits(max_items=256, max_responses_per_item=128, max_criteria_per_item=128)) as r:
        began = time.monotonic()
        error = await refused(r, *items)
        assert time.monotonic() - began < 5
        assert error.code is ErrorCode.TOO_LARGE
        assert (
            "at most 67108864 are allowed. Send fewer items or responses at once, or use shorter ids" in error.message
        )


@pytest.mark.parametrize("name", ["short", "x" * 256, "\u0e01" * 256, "\x01" * 256, '"\\' * 128])
async def test_scorer_foresees_at_least_the_bytes_of_an_answer(monkeypatch, name):
    rubric = m.RubricSpec(criteria=(criterion(name, "excellence"), criterion("v", "safety")))
    asked = item("a", ["same"] * 31 + [" "], rubric=rubric)
    async with rig(FakeEngine()) as r:
        taken = len(TypeAdapter(m.ScoreResponse).dump_json(await r.score(asked)))
        monkeypatch.setattr(plan, "MAX_ANSWER_BYTES", taken - 1_000)  # what is there once: model, usage, timings
        with pytest.raises(ServiceError, match="shorter ids"):
            await r.score(asked)
        monkeypatch.setattr(plan, "MAX_ANSWER_BYTES", 5 * taken)
        assert (await r.score(asked)).items[0].error is None


async def test_scorer_counts_verdicts_of_standing_criteria_and_none_of_refused_items(monkeypatch):
    asked = [item("a", "xx", base_rubric_id="general-medical"), item("b", "x"), item("refused", "x", prompt="")]
    async with rig(FakeEngine()) as r:
        standing = len(r.scorer.rubric("general-medical").criteria)
        monkeypatch.setattr(plan, "MAX_VERDICTS", 2 * (3 + standing) + 3)
        assert len((await r.score(*asked)).items) == 3
        with pytest.raises(ServiceError) as caught:
            await r.score(*asked, item("one", "x"))
        assert caught.value.code is ErrorCode.TOO_LARGE


async def test_scorer_refuses_a_request_that_never_fits_the_queue():
    async with rig(max_queue_tokens=500) as r:
        assert (await refused(r, item(responses=["x" * 400]))).code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("changes", [{"rubric": None, "rubric_id": "nope"}, {"base_rubric_id": "nope"}])
async def test_scorer_does_not_find_an_unknown_rubric(changes):
    async with rig() as r:
        error = await refused(r, item("fine"), item("other", **changes))
        assert error.code is ErrorCode.NOT_FOUND
        assert "items[1]" in error.message
        assert "nope" not in error.message
        assert "general-medical@1" in error.message
        with pytest.raises(ServiceError) as caught:
            r.scorer.rubric("nope")
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_scorer_answers_only_for_the_fingerprint_that_is_expected():
    async with rig() as r:
        error = await refused(r, item(), expected_fingerprint="f2")
        assert error.code is ErrorCode.REVISION_MISMATCH
        assert "f1" in error.message
        assert (await refused(r, item(), expected_fingerprint="")).code is ErrorCode.REVISION_MISMATCH
        response = await score_gated(r, item(), answers=[[GOOD]], expected_fingerprint="f1")
        assert response.model.fingerprint == "f1"


async def test_scorer_refuses_at_once_when_the_queue_is_full():
    async with rig(max_queue_tokens=2000) as r:
        running = asyncio.create_task(r.score(item("running")))
        await settle()
        waiting = [asyncio.create_task(r.score(item(str(index)))) for index in range(30)]
        await settle()
        refusals = [task for task in waiting if task.done()]
        assert 0 < len(refusals) < 30
        for task in refusals:
            error: Any = task.exception()
            assert error.code is ErrorCode.OVERLOADED
            assert error.retry_after_s > 0
        await r.engine.answer([GOOD])
        await r.engine.answer([GOOD] * (30 - len(refusals)))
        answers = await asyncio.gather(running, *waiting, return_exceptions=True)
        assert sum(isinstance(answer, m.ScoreResponse) for answer in answers) == 31 - len(refusals)


async def test_scorer_spends_nothing_on_a_request_while_the_queue_is_full():
    async with rig(max_queue_tokens=14, start=False) as r:
        r.admit(make_tree(), lane="interactive")
        assert (await refused(r, item())).code is ErrorCode.OVERLOADED
        assert r.threads.calls == 0


async def test_scorer_answers_unavailable_to_what_waits_when_the_service_stops():
    async with rig(close=False) as r:
        running = asyncio.create_task(r.score(item("running")))
        await settle()
        waiting = asyncio.create_task(r.score(*(item(str(index)) for index in range(3))))
        await settle()
        closing = asyncio.create_task(r.batcher.close())
        await settle()
        with pytest.raises(ServiceError) as caught:
            await waiting
        assert caught.value.code is ErrorCode.UNAVAILABLE
        await r.engine.answer([GOOD])
        assert (await running).items[0].result.responses[0].scores.rank == 1
        await closing
        with pytest.raises(ServiceError) as caught:
            await r.score(item())
        assert caught.value.code is ErrorCode.UNAVAILABLE


# Leaving


async def test_scorer_answers_a_deadline_and_drops_the_work():
    async with rig() as r:
        running = asyncio.create_task(r.score(item("running")))
        await settle()
        with pytest.raises(ServiceError) as caught:
            await r.score(item("late"), item("later"), caller=Caller(timeout_s=0.02))
        assert caught.value.code is ErrorCode.DEADLINE
        assert "0.02 s" in caught.value.message
        assert r.waiting_tokens == 0
        await r.engine.answer([GOOD])
        await running
        assert len(r.engine.batches) == 1


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
async def test_scorer_answers_a_deadline_that_has_passed_already(timeout_s):
    async with rig() as r:
        async with asyncio.timeout(20):
            with pytest.raises(ServiceError) as caught:
                await r.score(item(), caller=Caller(timeout_s=timeout_s))
        assert caught.value.code is ErrorCode.DEADLINE
        assert r.waiting_tokens == 0


async def test_scorer_drops_the_work_of_a_caller_who_leaves():
    async with rig() as r:
        running = asyncio.create_task(r.score(item("running")))
        await settle()
        gone = asyncio.create_task(r.score(item("gone"), item("too", ("a", "b"))))
        kept = asyncio.create_task(r.score(item("kept")))
        await settle()
        before = r.waiting_tokens
        gone.cancel()
        await settle()
        assert gone.cancelled()
        assert 0 < r.waiting_tokens < before
        await r.engine.answer([GOOD])
        assert len(r.engine.batches[1]) == 1
        await r.engine.answer([GOOD])
        await asyncio.gather(running, kept)


async def test_scorer_survives_callers_who_leave_at_any_moment():
    for turns in range(14):
        async with rig() as r:
            gone = asyncio.create_task(r.score(item("gone", ("a", "b"))))
            await settle(turns)
            gone.cancel()
            await settle()
            assert gone.cancelled()
            assert r.waiting_tokens == 0
            if r.engine.busy:
                await r.engine.answer([GOOD, GOOD])
            assert (await score_gated(r, item("next"), answers=[[GOOD]])).items[0].error is None


# Lanes


@pytest.mark.parametrize(
    ("count", "priority", "lane"),
    [(1, None, "interactive"), (2, None, "bulk"), (1, "bulk", "bulk"), (2, "interactive", "interactive")],
)
async def test_scorer_puts_one_item_into_the_interactive_lane_unless_told(count, priority, lane):
    async with rig(start=False) as r:
        asking = asyncio.create_task(r.score(*(item(str(n)) for n in range(count)), priority=priority))
        await settle()
        assert {name: jobs for name, (jobs, _) in r.events.queue.items() if jobs} == {lane: count}
        asking.cancel()
        await settle()


async def test_scorer_is_fair_between_the_keys_of_callers():
    async with rig(max_batch_tokens=1) as r:
        text = "x" * 4500
        flood = [
            asyncio.create_task(r.score(item(str(n), (f"{text}{n}",)), caller=Caller(key="flood"), priority="bulk"))
            for n in range(6)
        ]
        await settle()
        late = asyncio.create_task(r.score(item("late"), caller=Caller(key="late"), priority="bulk"))
        for _ in range(3):
            await settle()
            await r.engine.answer([GOOD])
        async with asyncio.timeout(60):
            assert (await late).items[0].error is None
        assert r.engine.busy, "the flood is not through yet"
        while r.engine.busy:
            await r.engine.answer([GOOD])
        await asyncio.gather(late, *flood)


# Privacy and purity


async def test_scorer_puts_nobodys_text_into_a_message():
    def tainted(broken):
        taint = CANARY + broken.id
        rubric = broken.rubric and m.RubricSpec(
            criteria=tuple(
                replace(c, id=f"{CANARY}{c.id}" if c.id.strip() else c.id, text=f"{CANARY}{c.text}" if c.text.strip()
                        else c.text)
                for c in broken.rubric.criteria
            )
        )  # fmt: skip
        return replace(broken, id=taint, rubric=rubric)

    async with rig(FakeEngine(), max_path_tokens=600) as r:
        asked = [replace(tainted(broken), id=f"{CANARY}{n}") for n, broken in enumerate(BAD_ITEMS.values())]
        asked += [item("long", (CANARY * 100, "")), item("role", prompt=f"assistant: {CANARY}\n\nassistant: {CANARY}")]
        response = await r.score(*asked)
        errors = [outcome.error for outcome in response.items if outcome.error]
        results = [outcome.result for outcome in response.items if outcome.result]
        errors += [each.error for result in results for each in result.responses if each.error]
        assert len(errors) >= len(BAD_ITEMS) + 3
        assert {error.code for error in errors} <= ITEM_ERROR_CODES
        assert not any(CANARY in error.message for error in errors)
        sound = item(CANARY)
        for request in (
            {"items": (sound, sound)},
            {"items": (replace(sound, rubric=None, rubric_id=CANARY),)},
            {"items": (replace(sound, base_rubric_id=CANARY),)},
            {"items": (sound,), "expected_fingerprint": CANARY},
        ):
            with pytest.raises(ServiceError) as caught:
                await r.scorer.score(m.ScoreRequest(**request), Caller(key=CANARY))
            assert CANARY not in caught.value.message
            assert CANARY not in str(caught.value)


def _crowd(count):
    texts = ["Yes.", "No.", "Ask your doctor.", "x" * 700, "Ja, überall 🙂"]
    return [
        item(f"c{n}", [f"{texts[(n + k) % 5]} {n}" for k in range(n % 4 + 1)], prompt=f"Question {n}? {'y' * (n * 7)}")
        for n in range(count)
    ]


@given(order=st.permutations(range(51)), budget=st.sampled_from([1, 900, 5000, 100_000]), lane=st.booleans())
@settings(max_examples=8)
def test_scorer_scores_an_item_the_same_alone_and_in_any_crowd(order, budget, lane):
    async def play():
        alone = item("me", ("Yes.", "No.", "Yes.", "z" * 500))
        async with rig(FakeEngine(), max_queue_tokens=10**6) as r:
            expected = (await r.score(alone)).items[0]
        crowd = [alone, *_crowd(50)]
        async with rig(FakeEngine(), max_queue_tokens=10**6, max_batch_tokens=budget) as r:
            priority = "interactive" if lane else None
            response = await r.score(*(crowd[index] for index in order), priority=priority)
        assert response.items[order.index(0)] == expected

    asyncio.run(play())


async def test_scorer_scores_a_response_the_same_in_any_company():
    async with rig(FakeEngine()) as r:
        texts = [f"Answer number {n}." for n in range(6)]
        together = (await r.score(item(responses=texts))).items[0].result.responses
        for text, outcome in zip(texts, together, strict=True):
            alone = (await r.score(item(responses=(text,)))).items[0].result.responses[0]
            assert replace(outcome.scores, rank=1) == alone.scores


async def test_scorer_scores_a_criterion_the_same_in_any_rubric():
    async with rig(FakeEngine()) as r:
        names = "abcde"
        every = {c.id: c for c in (criterion(name, "excellence") for name in names)}
        by_order = []
        for order in itertools.islice(itertools.permutations(names), 0, 120, 17):
            rubric = m.RubricSpec(criteria=tuple(every[name] for name in order))
            scores = (await r.score(item(rubric=rubric))).items[0].result.responses[0].scores
            assert [c.id for c in scores.criteria] == list(order)
            by_order.append((scores.reward, {c.id: asdict(c) for c in scores.criteria}))
        assert all(each == by_order[0] for each in by_order)
        alone = (await r.score(item(rubric=m.RubricSpec(criteria=(every["c"],))))).items[0].result.responses[0].scores
        assert asdict(alone.criteria[0]) == by_order[0][1]["c"]


async def test_scorer_describes_itself():
    async with rig() as r:
        assert r.scorer.model().model.fingerprint == "f1"
        (named,) = r.scorer.rubrics().rubrics
        assert r.scorer.rubric("general-medical") == r.scorer.rubric("general-medical@1") == named
        assert isinstance(r.engine, GatedEngine)


async def test_scorer_names_fields_of_a_ranking_without_items():
    async with rig(FakeEngine()) as r:
        with pytest.raises(ServiceError) as caught:
            await r.scorer.rank(m.RankRequest(prompt="q", responses=("a",), rubric_id="nobody"), Caller())
        assert caught.value.message.startswith("rubric_id: ")


async def test_scorer_leaves_the_deadline_to_the_caller():
    async with rig(FakeEngine()) as r:
        r.scorer._default_timeout_s = 0.0
        assert (await r.score(item(), caller=Caller(timeout_s=20))).items[0].result is not None


async def test_scorer_joins_the_criteria_of_a_response_that_are_spread_over_branches():
    many = m.RubricSpec(criteria=tuple(criterion(f"c{number}", text=f"says {number} " * 120) for number in range(30)))
    async with rig(FakeEngine()) as r:
        whole = (await r.score(item(responses=["a", "b"], rubric=many))).items[0].result
        parts = [m.RubricSpec(criteria=(one,)) for one in many.criteria[::10]]
        single = [(await r.score(item(responses=["b"], rubric=part))).items[0].result for part in parts]
    scores = whole.responses[1].scores
    assert [score.id for score in scores.criteria] == [f"c{number}" for number in range(30)]
    assert [s.logit for s in scores.criteria[::10]] == [one.responses[0].scores.criteria[0].logit for one in single]
