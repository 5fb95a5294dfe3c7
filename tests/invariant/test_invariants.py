"""The invariants of ARCHITECTURE.md, each by the name it has there."""

import ast
import asyncio
import importlib.util
import math
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated import FAILED, criterion, item, rig, settle
from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.reward import RewardWeights
from promedical.rubric import InvalidField
from promedical_model.calibration import Calibration, PlattCell
from promedical_model.rendering.template import CHATML
from promedical_service.engines import load
from promedical_service.engines.base import BranchFailure, EngineLost
from promedical_service.engines.fake import FakeEngine
from promedical_service.errors import ServiceError
from promedical_service.types import Caller

# Exactly one answer per item and per response


def _check_whole(request_items, response):
    """One outcome per item, one per response, each with scores or an error and never both."""
    assert [outcome.id for outcome in response.items] == [one.id for one in request_items]
    for one, outcome in zip(request_items, response.items, strict=True):
        assert (outcome.error is None) is not (outcome.result is None)
        if outcome.result is None:
            continue
        assert len(outcome.result.responses) == len(one.responses)
        for answer in outcome.result.responses:
            assert (answer.error is None) is not (answer.scores is None)
            if answer.scores is not None:
                assert len(answer.scores.criteria) == len(one.rubric.criteria)
                assert all(math.isfinite(each.logit) for each in answer.scores.criteria)
                assert math.isfinite(answer.scores.reward)
        ranked = sorted(index for group in outcome.result.ranking for index in group)
        assert ranked == [i for i, answer in enumerate(outcome.result.responses) if answer.scores]


class _MoodyEngine(FakeEngine):
    """Fails in every way an engine can."""

    def __init__(self, seed, *, mortal):
        super().__init__()
        self._choice = random.Random(seed)
        self._mortal = mortal

    async def score(self, trees):
        await asyncio.sleep(0)
        right = await super().score(trees)
        match self._choice.randrange(12):
            case 0:
                raise RuntimeError("moody")
            case 1:
                return right[1:]
            case 2:
                return [(math.nan,) * len(scores) for scores in right]
            case 3:
                return [scores if self._choice.random() < 0.5 else FAILED for scores in right]
            case 4:
                return [scores[1:] for scores in right]
            case 5:
                raise asyncio.CancelledError
            case 6 if self._mortal and self._choice.random() < 0.2:
                raise EngineLost
        return right


async def _stormy(seed):
    choice = random.Random(seed)
    tally = dict.fromkeys(["whole", "cancelled", *ErrorCode], 0)

    async def ask(r, number):
        texts = [choice.choice(["yes", "no", "", "x" * 900, "maybe"]) for _ in range(choice.randint(0, 4))]
        items = [
            item(f"{number}-{n}", texts, prompt=choice.choice(["Why?", "", "How?"]))
            for n in range(choice.randint(1, 3))
        ]
        caller = Caller(key=choice.choice("ab"), timeout_s=choice.choice([0.0, None, None, None]))
        asking = asyncio.create_task(r.score(*items, caller=caller))
        await settle(choice.randint(0, 4))
        if choice.random() < 0.15:
            asking.cancel()
        try:
            _check_whole(items, await asking)
        except ServiceError as error:
            tally[error.code] += 1
        except asyncio.CancelledError:
            tally["cancelled"] += 1
        else:
            tally["whole"] += 1

    engine = _MoodyEngine(seed, mortal=seed % 2 == 0)
    async with rig(engine, max_queue_tokens=3000, max_batch_tokens=900, max_path_tokens=800, close=False) as r:
        asking = [asyncio.create_task(ask(r, number)) for number in range(60)]
        if seed % 3 == 0:
            await settle(6)
            await r.batcher.close()
        await asyncio.gather(*asking)
        assert r.waiting_tokens == 0
        await r.batcher.close()
    assert sum(tally.values()) == 60
    return tally


def test_invariant_exactly_one_answer_on_cancel_deadline_engine_failure_and_drain():
    tallies = [asyncio.run(_stormy(seed)) for seed in range(9)]
    total = {key: sum(tally[key] for tally in tallies) for key in tallies[0]}
    seen = {key for key, count in total.items() if count}
    assert seen == {"whole", "cancelled", "overloaded", "deadline", "unavailable"}


@given(st.lists(st.sampled_from(["score", "fail", "nan", "short"]), min_size=1, max_size=6))
@settings(max_examples=40)
def test_invariant_a_failure_is_never_a_number(fates):
    """Whatever the rest of the item gets, a failed response has an error, no scores, no reward, no rank."""

    async def play():
        async with rig() as r:
            asking = asyncio.create_task(r.score(item(responses=[f"r{n}" for n in range(len(fates))])))
            await settle()
            told = {"score": (1.0, 1.0, -1.0), "fail": FAILED, "nan": (1.0, 1.0, math.nan), "short": (1.0, 1.0)}
            await r.engine.answer([told[fate] for fate in fates])
            return (await asking).items[0].result

    result = asyncio.run(play())
    for index, fate in enumerate(fates):
        outcome, ranked = result.responses[index], any(index in group for group in result.ranking)
        assert (outcome.scores is not None) is ranked is (fate == "score")
        assert (outcome.error is not None) is (fate != "score")


# A score is a pure function


@given(st.integers(0, 2**32), st.sampled_from([1, 700, 20_000]), st.sampled_from(["interactive", "bulk", None]))
@settings(max_examples=10)
def test_invariant_a_score_is_a_pure_function_of_its_path(seed, budget, lane):
    async def play():
        choice = random.Random(seed)
        texts = ["Yes.", "No.", "Ask a doctor.", "a" * 300, "Ärztin 🙂"]
        criteria = [criterion(name, "excellence") for name in "abcd"]

        async with rig(FakeEngine(), max_batch_tokens=budget) as r:
            known = {}
            for _ in range(3):
                items = []
                for n in range(6):
                    mine = choice.sample(criteria, choice.randint(1, 4))
                    answers = choice.choices(texts, k=choice.randint(1, 5))
                    prompt = f"Question {choice.randrange(2)}?"
                    items.append(item(f"i{n}", answers, prompt=prompt, rubric=m.RubricSpec(criteria=tuple(mine))))
                for one, outcome in zip(items, (await r.score(*items, priority=lane)).items, strict=True):
                    for text, answer in zip(one.responses, outcome.result.responses, strict=True):
                        for each in answer.scores.criteria:
                            known.setdefault((one.prompt, text, each.id), set()).add(each.logit)
            assert all(len(logits) == 1 for logits in known.values())
            assert len({min(logits) for logits in known.values()}) > len(known) * 0.9

    asyncio.run(play())


# Safety is not negotiable


@given(
    excellence=st.floats(0.01, 0.99),
    cap=st.floats(0.01, 5),
    penalty=st.floats(0, 10),
    logits=st.lists(st.tuples(*[st.floats(-5, 5)] * 4), min_size=2, max_size=5, unique=True),
)
@settings(max_examples=60)
def test_invariant_safety_is_not_negotiable(excellence, cap, penalty, logits):
    """Weights that let utility outweigh a violation are refused; with all others, one more violation never wins."""
    weights = m.WeightsSpec(excellence_weight=excellence, excellence_cap=cap, violation_penalty=penalty)
    rubric = m.RubricSpec(
        criteria=(criterion("g"), criterion("w", "excellence"), criterion("h", "safety"), criterion("i", "safety"))
    )

    async def play():
        async with rig() as r:
            asked = item(responses=[f"r{n}" for n in range(len(logits))], rubric=rubric)
            asking = asyncio.create_task(r.score(asked, reward_weights=weights))
            await settle()
            if not r.engine.busy:
                return await asking
            await r.engine.answer(list(logits))
            return await asking

    if penalty < 1 + cap - 1e-9:
        with pytest.raises(ServiceError) as caught:
            asyncio.run(play())
        assert caught.value.code is ErrorCode.INVALID_REQUEST
        return
    result = asyncio.run(play()).items[0].result
    scores = [outcome.scores for outcome in result.responses]
    for one in scores:
        for other in scores:
            if one.violations < other.violations:
                assert one.rank < other.rank
                assert one.reward >= other.reward - 1e-9
            key, other_key = (
                (s.violations, -(s.proficiency or 0), -s.excellence, -(s.expected_reward or 0)) for s in (one, other)
            )
            assert (one.rank < other.rank) is (key < other_key)


def test_invariant_safety_is_checked_wherever_weights_enter():
    assert {field.name for field in fields(m.WeightsSpec)} == {field.name for field in fields(RewardWeights)}
    for bad in ({"violation_penalty": 1.1}, {"violation_penalty": math.nan}, {"excellence_cap": 0.6}):
        with pytest.raises(InvalidField):
            RewardWeights(**bad)


# No patient text


async def test_invariant_no_patient_text_in_errors_events_or_logs(caplog):
    """The core hands the outside only numbers, codes and names of its own; the edges' share is in test_service_fake."""
    secret = "Kanarienvogel"
    caplog.set_level("DEBUG")
    rubric = m.RubricSpec(criteria=(criterion(secret, text=secret), criterion(secret + "2", "safety", text=secret)))
    async with rig(max_path_tokens=700) as r:
        good = item(secret, (secret, "", secret * 90), prompt=secret, rubric=rubric)
        bad = replace(good, id=secret + "b", responses=())
        asking = asyncio.create_task(r.score(good, bad))
        await settle()
        await r.engine.fail(ValueError(secret))
        response = await asking
        errors = [response.items[1].error, *(each.error for each in response.items[0].result.responses)]
        assert [error.code for error in errors] == ["invalid_item", "engine_failure", "empty_response", "too_long"]
        assert secret not in repr(errors)
        reported = [r.events.items, r.events.responses, r.events.criteria, r.events.stages, r.events.queue]
        assert secret not in repr([*reported, r.events.reports])
        with pytest.raises(ServiceError) as caught:
            await r.score(good, good)
        assert secret not in repr(caught.value)
    assert secret not in caplog.text


# Atomic admission


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12), st.integers(500, 9000))
@settings(max_examples=30)
def test_invariant_admission_is_atomic(shapes, limit):
    """Either the whole matrix of a request waits, or nothing of it."""

    async def play():
        async with rig(max_queue_tokens=limit, start=False) as r:
            asking = []
            for number, (count, responses) in enumerate(shapes):
                before = r.waiting_tokens
                jobs = sum(waiting for waiting, _ in r.events.queue.values())
                items = [item(f"{number}-{n}", [f"r{k}" for k in range(responses)]) for n in range(count)]
                task = asyncio.create_task(r.score(*items))
                await settle()
                after = sum(waiting for waiting, _ in r.events.queue.values())
                if task.done():
                    refused: Any = task.exception()
                    assert refused.code in {ErrorCode.OVERLOADED, ErrorCode.TOO_LARGE}
                    assert (after, r.waiting_tokens) == (jobs, before)
                else:
                    assert after == jobs + count
                    asking.append(task)
                assert r.waiting_tokens <= limit
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            assert r.waiting_tokens == 0

    asyncio.run(play())


# The oracle is frozen


async def test_invariant_every_answer_carries_the_fingerprint_and_a_wrong_pin_is_refused():
    async with rig(FakeEngine()) as r:
        pinned = r.scorer.model().model
        rank = m.RankRequest(prompt="Why?", responses=("a",), rubric=item().rubric, expected_fingerprint="f1")
        answers: list[Any] = [
            await r.score(item()),
            await r.score(item(responses=()), expected_fingerprint="f1"),
            await r.scorer.rank(rank, Caller()),
        ]
        assert [answer.model for answer in answers] == [pinned] * 3
        with pytest.raises(ServiceError) as caught:
            await r.scorer.rank(replace(rank, expected_fingerprint="other"), Caller())
        assert caught.value.code is ErrorCode.REVISION_MISMATCH


def test_invariant_the_fingerprint_changes_with_everything_that_may_change_a_score():
    class Other(FakeEngine):
        def __init__(self, kind="fake", dtype="none"):
            super().__init__()
            self.kind, self.dtype = kind, dtype

    platt = Calibration(cells={"safety": PlattCell(scale=2.0)})
    same = load._ref("n", "r", CHATML, Calibration(), FakeEngine()).fingerprint
    assert load._ref("other name", "r", CHATML, Calibration(), FakeEngine()).fingerprint == same
    others = [
        load._ref("n", "r2", CHATML, Calibration(), FakeEngine()),
        load._ref(
            "n", "r", replace(CHATML, criterion=CHATML.criterion.replace("{", " {")), Calibration(), FakeEngine()
        ),
        load._ref("n", "r", CHATML, platt, FakeEngine()),
        load._ref("n", "r", CHATML, Calibration(), Other(kind="torch")),
        load._ref("n", "r", CHATML, Calibration(), Other(dtype="bfloat16")),
    ]
    assert len({same, *(ref.fingerprint for ref in others)}) == 6


# Scale


@pytest.mark.parametrize("package", ["promedical", "promedical_client", "promedical_model", "promedical_service"])
def test_invariant_there_is_no_distributed_code_of_our_own(package):
    banned = {"torch.distributed", "torch.multiprocessing", "multiprocessing", "ray", "mpi4py"}
    asks_who_started_it = "children.py"  # a process of vLLM's, which nothing else says
    files = sorted(Path(importlib.util.find_spec(package).origin).parent.rglob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [f"{node.module}"] if isinstance(node, ast.ImportFrom) else []
            found = [name for name in names if any(f"{name}.".startswith(f"{bad}.") for bad in banned)]
            found = [name for name in found if (path.name, name) != (asks_who_started_it, "multiprocessing")]
            assert not found, f"{path} imports {found}"


def test_invariant_branch_failures_are_no_numbers():
    assert not isinstance(FAILED, tuple)
    assert isinstance(FAILED, BranchFailure)
