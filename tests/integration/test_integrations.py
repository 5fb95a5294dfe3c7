"""The adapters against a real service, called by the frameworks' own code where it is at hand."""

import asyncio
import functools
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import frameworks
from promedical_client import (
    AsyncClient,
    DeadlineError,
    ErrorCode,
    InvalidRequestError,
    Message,
    MixedFingerprintsError,
    MockTransport,
    PromedicalError,
    ProtocolError,
    ScoreItem,
    TooLargeError,
    UnavailableError,
    WeightsSpec,
    judged_by,
)
from promedical_client.integrations import Grader, UnscoredError, openrlhf, shared_grader, slime, trl, verifiers, verl
from promedical_client.integrations.ms_swift import PromedicalORM

QUESTION, ANSWERS = "How much paracetamol a day?", ["At most 4 g.", "As much as you like.", "Ask a doctor."]
CRITERIA = [
    {"id": "limit", "text": "Names a limit.", "dimension": "proficiency"},
    {"id": "harm", "text": "Encourages an overdose.", "dimension": "safety"},
]
LABEL = json.dumps(CRITERIA)
SPECIAL = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def grader(fake_server):
    return Grader(fake_server.grpc_url, gather_s=0.2)


@pytest.fixture
async def native(fake_server):
    """The rewards of the answers as the native API says."""
    async with AsyncClient(fake_server.grpc_url) as oracle:
        rubric = Grader().exchange(QUESTION, "x", LABEL).rubric
        prompt = (Message(role="user", content=QUESTION),)
        item = ScoreItem(id="a", prompt=prompt, responses=tuple(ANSWERS), rubric=rubric)
        outcome = (await oracle.score([item])).items[0]
    return [response.scores.reward for response in outcome.result.responses]


def mocked(**changes):
    """A grader over a mock, and the mock."""
    transport = MockTransport(score=judged_by(lambda response, _: 0.9 if "4 g" in response else 0.2))
    return Grader("mock://", transport=transport, gather_s=0.0, **changes), transport


async def test_item_over_a_limit_is_a_response_that_cannot_be_scored_also_alone():
    def never(_):
        raise TooLargeError("an item has 3 criteria; the limit is 2")

    oracle = Grader("mock://", transport=MockTransport(score=never), gather_s=0.0)
    assert await trl.trl_reward([QUESTION], ["4 g."], rubric=[LABEL], grader=oracle) == [None]
    extra = {"prompt": QUESTION}
    told = await verl.compute_score("4 g.", LABEL, extra, unscored_reward=-1.5, grader=oracle)
    assert (told["score"], told["scored"]) == (-1.5, 0.0)
    with pytest.raises(UnscoredError, match="the limit is 2"):
        await slime.custom_rm(ARGS, sample("4 g."), grader=oracle)


# TRL


def calculated(reward, prompts, completions, **columns):
    """TRL's own way to the rewards of a batch, and the metrics that were logged on it."""
    trainer_module = pytest.importorskip("trl.trainer.grpo_trainer")
    from accelerate import PartialState
    from trl.trainer.utils import shutdown_event_loop_in_daemon, start_event_loop_in_daemon

    PartialState()  # as the trainer's constructor makes it; TRL's logger asks for it
    thread, loop, ready = start_event_loop_in_daemon(name="rewards")
    ready.wait()
    metrics = {}
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", is_main_process=False),
        args=SimpleNamespace(report_to=[]),
        state=SimpleNamespace(global_step=0),
        environments=None,
        reward_funcs=[reward],
        reward_processing_classes=[None],
        reward_func_names=["oracle"],
        async_loop=loop,
        _log_completion_extra=lambda *_: None,
        _log_metric=metrics.__setitem__,
    )
    inputs = [{"prompt": p, **{k: v[i] for k, v in columns.items()}} for i, p in enumerate(prompts)]
    try:
        method = trainer_module.GRPOTrainer._calculate_rewards
        rewards = getattr(method, "__wrapped__", method)(trainer, inputs, prompts, completions, None)
    finally:
        shutdown_event_loop_in_daemon(thread, loop)
        loop.close()
        PartialState._reset_state()
    return [None if torch.isnan(reward) else float(reward) for reward in rewards[:, 0]], metrics


def test_trl_logs_the_rewards_of_the_native_api(grader, native):
    reward = functools.partial(trl.trl_reward, grader=grader)
    prompts = [[{"role": "user", "content": QUESTION}]] * 4
    completions = [[{"role": "assistant", "content": text}] for text in [*ANSWERS, ""]]
    told, metrics = calculated(reward, prompts, completions, rubric=[LABEL] * 4)
    assert told == [*(pytest.approx(reward, abs=1e-6) for reward in native), None]
    assert metrics["oracle/unscored"] == 0.25
    assert {"oracle/vetoed", "oracle/proficiency", "oracle/excellence"} <= metrics.keys()


def test_trl_trainer_trains_on_the_oracle(fake_server, tmp_path):
    """In a process of its own: TRL leaves its event loop open."""
    pytest.importorskip("trl")
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("trl_run.py")), str(tmp_path)]
    environ = os.environ | {"PROMEDICAL_URL": fake_server.grpc_url}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    logged = json.loads(done.stdout.splitlines()[-1])
    assert len(logged) == 2
    assert all(math.isfinite(row["rewards/trl_reward/mean"]) and "oracle/unscored" in row for row in logged)


async def test_trl_reward_sends_a_group_as_one_item():
    oracle, transport = mocked()
    completions = ["<think>\nHm.\n</think>\n\nAt most 4 g.<|im_end|>", "No idea."]
    prompts = [SPECIAL.format(QUESTION)] * 2 + [QUESTION]
    told = await trl.trl_reward(prompts, [*completions, "4 g."], rubric=[CRITERIA] * 3, grader=oracle)
    (request,) = transport.calls
    assert [(item.prompt[0].content, len(item.responses)) for item in request.items] == [(QUESTION, 3)]
    assert request.items[0].responses[0] == "At most 4 g."
    assert len(told) == 3


async def test_trl_reward_takes_a_rubrics_name_where_a_sample_has_no_criteria():
    oracle, transport = mocked()
    columns = {"rubric": [CRITERIA, None], "rubric_id": ["house", "house"]}
    await trl.trl_reward([QUESTION] * 2, ANSWERS[:2], **columns, grader=oracle)
    assert [item.rubric_id for item in transport.calls[0].items] == [None, "house"]


async def test_trl_reward_gives_none_to_a_sample_that_was_not_scored_and_raises_for_a_call_that_was_not_answered():
    oracle, transport = mocked(rubric_id="unknown-to-the-mock")
    assert await trl.trl_reward([QUESTION], ["4 g."], grader=oracle) == [None]
    transport._score = lambda _: (_ for _ in ()).throw(UnavailableError("gone", retryable=False))
    with pytest.raises(UnavailableError):
        await trl.trl_reward([QUESTION], ["4 g."], grader=oracle)


@pytest.mark.parametrize("number", [math.nan, math.inf])
async def test_adapters_refuse_numbers_that_are_not_finite(number):
    def broken(request):
        answer = judged_by(lambda *_: 0.9)(request)
        object.__setattr__(answer.items[0].result.responses[0].scores, "reward", number)
        return answer

    oracle = Grader("mock://", transport=MockTransport(score=broken))
    with pytest.raises(ProtocolError, match="not finite"):
        await trl.trl_reward([QUESTION], ["4 g."], rubric=[CRITERIA], grader=oracle)


async def test_adapters_name_the_sample_whose_criteria_cannot_be_read_and_quote_nothing():
    oracle, transport = mocked()
    label = "The answer is B."
    assert (await trl.trl_reward([QUESTION] * 2, ANSWERS[:2], rubric=[LABEL, label], grader=oracle))[1] is None
    assert len(transport.calls) == 1
    told = oracle.samples([QUESTION] * 2, ANSWERS[:2], [LABEL, label])[1]
    assert (told.code, told.retryable) == (ErrorCode.INVALID_ITEM, False)
    assert told.message.startswith("completions[1].label: expected criteria")
    assert "answer is B" not in told.message


# verl


@frameworks.needs("verl")
async def test_verl_manager_gets_the_rewards_of_the_native_api(grader, native):
    compute = functools.partial(verl.compute_score, grader=grader)
    manager = frameworks.verl_naive_manager(compute, asyncio.get_running_loop())
    told = await asyncio.gather(*(manager.run_single(_verl_data(answer)) for answer in ANSWERS))
    assert [sample["reward_score"] for sample in told] == native
    assert len({tuple(sample["reward_extra_info"]) for sample in told}) == 1
    await grader.aclose()


def _verl_data(answer):
    item = SimpleNamespace(
        batch={"responses": _Ids(answer), "attention_mask": _Mask([1] * len(answer))},
        non_tensor_batch={
            "data_source": "medical",
            "reward_model": {"ground_truth": LABEL},
            "extra_info": {"prompt": [{"role": "user", "content": QUESTION}]},
        },
    )
    return _Batch([item])


class _Batch(list):
    def __getitem__(self, place):
        return _Batch(super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)


class _Ids(list):
    def __init__(self, text):
        super().__init__(map(ord, text))

    shape = property(lambda self: (len(self),))


class _Mask(list):
    def __getitem__(self, place):
        return _Mask(super().__getitem__(place))

    def sum(self):
        return sum(self)


async def test_verl_keys_are_the_same_for_what_was_not_scored():
    oracle, _ = mocked()
    info = {"prompt": QUESTION}
    good = await verl.compute_score("4 g.", LABEL, info, grader=oracle, data_source="x", reward_router_address="y")
    bad = await verl.compute_score("4 g.", "unknown", info, grader=oracle, unscored_reward=-1.5)
    assert list(good) == list(bad)
    assert (good["scored"], bad["scored"], bad["score"]) == (1.0, 0.0, -1.5)
    assert all(type(value) is float for value in [*good.values(), *bad.values()])


async def test_verl_raises_unless_told_what_a_failure_is_worth():
    oracle, _ = mocked()
    with pytest.raises(UnscoredError) as caught:
        await verl.compute_score("4 g.", "unknown", {"prompt": QUESTION}, grader=oracle)
    assert caught.value.error.code is ErrorCode.INVALID_ITEM


# OpenRLHF


@frameworks.needs("openrlhf")
async def test_openrlhf_executor_gets_the_rewards_of_the_native_api(grader, native, tmp_path):
    (tmp_path / "reward.py").write_text("from promedical_client.integrations.openrlhf import reward_func\n")
    executor = frameworks.openrlhf_executor(str(tmp_path / "reward.py"))
    assert executor.reward_func is openrlhf.reward_func
    executor.reward_func = functools.partial(openrlhf.reward_func, grader=grader)
    prompt = SPECIAL.format(QUESTION)
    asked = [executor._fetch_rewards_via_func([f"{prompt}{a}<|im_end|>"], [prompt], [LABEL]) for a in ANSWERS]
    told = [reply for (reply,) in await asyncio.gather(*asked)]
    assert [reply["rewards"] for reply in told] == [[reward] for reward in native]
    grader.close()


def test_openrlhf_threads_share_one_call():
    oracle, transport = mocked()
    oracle._gatherers._build = functools.partial(_gatherer_of, oracle, 3)
    ask = functools.partial(openrlhf.reward_func, prompts=[QUESTION], labels=[LABEL], grader=oracle)
    with ThreadPoolExecutor(3) as threads:
        told = list(threads.map(lambda answer: ask([QUESTION + answer]), ANSWERS))
    oracle.close()
    (request,) = transport.calls
    assert len(request.items[0].responses) == len(told) == 3


def _gatherer_of(oracle, size):
    """Asks when so many are together, however long that takes."""
    from promedical.interop.gathering import Gatherer

    return Gatherer(lambda _, exchanges: oracle.grade(exchanges), window_s=60.0, max_size=size)


def test_openrlhf_raises_for_what_was_not_scored_unless_told_what_that_is_worth():
    oracle, _ = mocked()
    ask = functools.partial(openrlhf.reward_func, [QUESTION + "4 g."] * 2, [QUESTION] * 2, grader=oracle)
    with pytest.raises(UnscoredError):
        ask([LABEL, "unknown"])
    told = ask([LABEL, "unknown"], unscored_reward=-1.5)
    assert told["rewards"][0] == pytest.approx(-0.5)  # names a limit, and 0.9 of harm
    assert (told["rewards"][1], told["scores"][1]) == (-1.5, 0.0)
    assert told["extra_logs"]["scored"] == [1.0, 0.0]
    assert math.isnan(told["extra_logs"]["violations"][1])
    oracle.close()


# slime: signatures of slime/rollout/rm_hub/__init__.py, Sample of slime/utils/types.py


def sample(answer, label=LABEL, group=0):
    return SimpleNamespace(
        prompt=[{"role": "user", "content": QUESTION}],
        response=answer,
        label=label,
        group_index=group,
        remove_sample=False,
    )


ARGS = SimpleNamespace(reward_key=None)


async def test_slime_gets_the_rewards_of_the_native_api(grader, native):
    samples = [sample(answer) for answer in ANSWERS]
    assert await slime.group_rm(ARGS, samples, grader=grader) == native
    assert await asyncio.gather(*(slime.custom_rm(ARGS, one, grader=grader) for one in samples)) == native
    keyed = await slime.custom_rm(SimpleNamespace(reward_key="reward"), samples[0], grader=grader)
    assert keyed["reward"] == native[0]
    await grader.aclose()


async def test_slime_takes_what_was_not_scored_out_of_the_loss_and_leaves_the_baseline(grader, native):
    samples = [sample(answer) for answer in [*ANSWERS, " "]]
    told = await slime.group_rm(ARGS, samples, grader=grader)
    assert [one.remove_sample for one in samples] == [False, False, False, True]
    assert sum(told) / 4 == pytest.approx(sum(native) / 3)
    await grader.aclose()


async def test_slime_raises_where_nothing_of_a_group_was_scored():
    oracle, _ = mocked()
    with pytest.raises(UnscoredError):
        await slime.custom_rm(ARGS, sample("4 g.", "unknown"), grader=oracle)
    with pytest.raises(UnscoredError):
        await slime.group_rm(ARGS, [sample("4 g."), sample("4 g.", "unknown", group=1)], grader=oracle)


# ms-swift


@frameworks.needs("swift")
def test_ms_swift_gets_the_rewards_of_the_native_api_in_a_new_event_loop_each_step(fake_server, native):
    orm = PromedicalORM(grader=Grader(fake_server.grpc_url))
    compute = frameworks.swift_rewards()
    rows = [_SwiftSample(answer) for answer in [*ANSWERS, " "]]
    for _ in range(2):
        told = compute(rows, [orm], None, device="cpu")
        assert told[:3, 0].tolist() == [pytest.approx(reward, abs=1e-6) for reward in native]
        advantages, _ = frameworks.swift_advantages()(told, torch.ones(1), num_generations=4)
        assert advantages[3] == pytest.approx(0, abs=1e-6)  # the blank answer is neither rewarded nor punished


async def test_ms_swift_raises_where_nothing_of_a_group_was_scored_unless_told_what_that_is_worth():
    oracle, _ = mocked()
    rows = {
        "completions": ["4 g.", "4 g."],
        "messages": [[{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "4 g."}]] * 2,
        "rubric": [LABEL, "unknown"],
    }
    with pytest.raises(UnscoredError):
        await PromedicalORM(grader=oracle)(**rows)
    told = await PromedicalORM(grader=oracle, unscored_reward=-1.5)(**rows)
    assert told == [pytest.approx(-0.5), -1.5]


class _SwiftSample:
    def __init__(self, answer):
        self.messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": answer}]

    def to_reward_row(self):
        return {"messages": self.messages, "prompt_id": "p", "rubric": LABEL}


# verifiers


@frameworks.needs("verifiers")
async def test_verifiers_gets_the_rewards_of_the_native_api(grader, native):
    invoke_all = frameworks.verifiers_invoke_all()

    async def reward(task, trace):
        return await verifiers.promedical_reward(task, trace, grader=grader)

    told = [
        invoke_all([reward], {"task": SimpleNamespace(rubric=LABEL), "trace": _trace(answer)}) for answer in ANSWERS
    ]
    assert await asyncio.gather(*told) == [[reward] for reward in native]
    await grader.aclose()


def _trace(answer):
    messages = [SimpleNamespace(role="user", content=QUESTION), SimpleNamespace(role="assistant", content=answer)]
    return SimpleNamespace(messages=messages)


async def test_verifiers_raises_for_what_was_not_scored():
    oracle, _ = mocked()
    with pytest.raises(UnscoredError):
        await verifiers.promedical_reward(SimpleNamespace(rubric_id="unknown"), _trace("4 g."), grader=oracle)


# The grader


async def test_grader_asks_singles_of_one_loop_together():
    oracle, transport = mocked()
    exchanges = [oracle.exchange(QUESTION, answer, LABEL) for answer in ANSWERS]
    await asyncio.gather(*map(oracle.grade_one, exchanges))
    (request,) = transport.calls
    assert (len(request.items), request.priority) == (1, "bulk")


async def test_grader_raises_for_a_service_that_is_not_there(unused_tcp_port):
    oracle = Grader(f"http://127.0.0.1:{unused_tcp_port}", timeout_s=1.0)
    with pytest.raises(PromedicalError):
        await oracle.closing(oracle.grade_one(oracle.exchange(QUESTION, "4 g.")))


async def test_grader_asks_with_its_weights_and_its_pin():
    weights = WeightsSpec(violation_penalty=3.0)
    oracle, transport = mocked(reward_weights=weights, expected_fingerprint="f", base_rubric_id="base")
    await oracle.grade([oracle.exchange(QUESTION, "no", LABEL)])
    (request,) = transport.calls
    assert (request.reward_weights, request.expected_fingerprint) == (weights, "f")
    assert request.items[0].base_rubric_id == "base"


async def test_grader_answers_nothing_with_nothing():
    oracle, transport = mocked()
    assert (await oracle.grade([]), transport.calls) == ([], [])


def limited(most, *, too_long=(), **changes):
    """A grader over a mock that refuses items of more than so many responses, and these responses at all."""
    oracle, transport = mocked(**changes)
    score = transport._score

    def refusing(request):
        for item in request.items:
            if len(item.responses) > most or not set(item.responses).isdisjoint(too_long):
                raise TooLargeError(f"the limit is {most}")
        return score(request)

    transport._score = refusing
    return oracle, transport


NUMBERED = [f"{'4 g' if n % 3 else 'no'} {n}" for n in range(40)]


@pytest.mark.parametrize("most", [1, 16, 39])
async def test_grader_divides_a_group_that_is_too_large_for_the_service_and_loses_no_response(most):
    oracle, transport = limited(most)
    questions = [QUESTION, "Another?"]
    exchanges = [oracle.exchange(question, answer, LABEL) for answer in NUMBERED for question in questions]
    exchanges.insert(7, oracle.exchange("A third?", "4 g.", LABEL))
    graded = await oracle.graded(exchanges)
    whole, _ = mocked()
    told, expected = [[one.reward for one in grades] for grades in (graded.grades, await whole.grade(exchanges))]
    assert told == expected
    assert graded.model.fingerprint == "mock"
    answered = [request for request in transport.calls if all(len(item.responses) <= most for item in request.items)]
    scored = [text for request in answered for item in request.items for text in item.responses]
    assert sorted(scored) == sorted(exchange.response for exchange in exchanges), "each is scored once"


async def test_grader_refuses_alone_the_response_that_is_too_large_and_scores_the_others():
    oracle, _ = limited(8, too_long=[NUMBERED[5]])
    grades = await oracle.grade([oracle.exchange(QUESTION, answer, LABEL) for answer in NUMBERED])
    failed = [index for index, grade in enumerate(grades) if not hasattr(grade, "reward")]
    assert failed == [5]
    assert (grades[5].code, grades[5].message) == (ErrorCode.INVALID_ITEM, "the limit is 8")


async def test_grader_asks_nothing_again_that_is_wrong_for_another_reason():
    oracle, transport = limited(8)
    grades = await oracle.grade([oracle.exchange(QUESTION, answer, "unknown") for answer in NUMBERED[:8]])
    assert {grade.code for grade in grades} == {ErrorCode.INVALID_ITEM}
    assert len(transport.calls) == 1


async def test_grader_refuses_a_divided_group_whose_oracle_changed_in_between():
    oracle, transport = limited(8)
    score, names = transport._score, iter(["f1", "f2", "f3"])

    def changing(request):
        answer = score(request)
        return replace(answer, model=replace(answer.model, fingerprint=next(names)))

    transport._score = changing
    exchanges = [oracle.exchange(QUESTION, answer, LABEL) for answer in NUMBERED[:10]]
    with pytest.raises(MixedFingerprintsError):
        await oracle.grade([oracle.exchange("Another?", "4 g.", LABEL), *exchanges])


async def test_grader_divides_within_the_time_of_one_call():
    oracle, transport = limited(1, timeout_s=0.2)
    refuse = transport._score

    async def slow(request):
        await asyncio.sleep(0.09)
        return refuse(request)

    transport._score = slow
    with pytest.raises(DeadlineError):
        await oracle.grade([oracle.exchange(QUESTION, answer, LABEL) for answer in NUMBERED])
    assert len(transport.calls) <= 3


async def test_grader_that_several_close_is_closed_by_the_last_of_them():
    oracle, transport = mocked()
    closed, first, second = [], asyncio.Event(), asyncio.Event()

    async def aclose():
        closed.append(True)

    transport.aclose = aclose
    works = [asyncio.create_task(oracle.closing(until.wait())) for until in (first, second)]
    await asyncio.sleep(0)
    first.set()
    await works[0]
    assert closed == []
    second.set()
    await works[1]
    assert closed == [True]


def test_shared_grader_is_one_per_settings_and_reads_the_environment(monkeypatch):
    monkeypatch.setenv("PROMEDICAL_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PROMEDICAL_CLIENT_RUBRIC_ID", "house@1")
    assert shared_grader() is shared_grader()
    assert shared_grader(rubric_id="other") is not shared_grader()
    assert shared_grader().exchange("p", "r").rubric == "house@1"
    assert shared_grader(rubric_id="other").exchange("p", "r").rubric == "other"


@pytest.mark.parametrize(
    "asked",
    [
        (5, "answer"),
        ([{"role": "user", "content": 5}], "answer"),
        ([{"role": [], "content": "x"}], "answer"),
        ("prompt", 5),
        ("prompt", None),
        ("prompt", [{"role": "assistant", "content": 5}]),
        ("prompt", "answer", [{"id": [], "text": 5, "dimension": {}}]),
        ("prompt", "answer", 5),
    ],
    ids=repr,
)
def test_grader_names_what_is_no_text(asked):
    with pytest.raises(InvalidRequestError, match=r"invalid_request: samples\[3\]\."):
        Grader("http://127.0.0.1:1").exchange(*asked, path="samples[3]")
