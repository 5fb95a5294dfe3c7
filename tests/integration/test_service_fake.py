"""The real composition with the fake engine, as a process: two transports, nonsense, overload, the end."""

import asyncio
import contextlib
import copy
import json
import math
import random
import signal
import statistics
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import pytest
import schemathesis
from conformance import check_conformance
from edges_kit import Grpc, Rest
from pydantic import TypeAdapter

import gated
from gated import CONTRACT_REQUEST, criterion, item
from promedical import messages as m
from promedical.rubric import Polarity
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb
from promedical.v1 import reward_pb2_grpc as pb_grpc
from serving import running_server

TRANSPORTS = ("rest", "grpc")
SERVICE = "promedical.v1.RewardService"
ASKED, TOLD = TypeAdapter(m.ScoreRequest), TypeAdapter(m.ScoreResponse)
CANARY = "Kanarienvogel"


@pytest.fixture(scope="module")
def service():
    with running_server("--engine=fake", "--max-items=40") as server:
        yield server


def slowed(*flags, tokens_per_s):
    """The fake engine at a speed that a test can outrun."""
    program, speed = (gated.__file__,), str(tokens_per_s)
    return running_server("--engine=fake", *flags, program=program, FAKE_TOKENS_PER_S=speed)


@contextlib.asynccontextmanager
async def both(process):
    """A connection over each transport."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=process.rest_url, timeout=60, limits=limits) as client,
        grpc.aio.insecure_channel(process.grpc_target, options=options) as channel,
    ):
        yield {"rest": client, "grpc": channel}


async def ask(connections, transport, request, timeout_s=60):
    """The answer as a ScoreResponse, or as what the edges' tests make of an error."""
    if transport == "rest":
        headers = {"content-type": "application/json", "x-request-timeout-ms": str(round(timeout_s * 1000))}
        reply = await connections["rest"].post("/v1/score", content=ASKED.dump_json(request), headers=headers)
        return TOLD.validate_json(reply.content) if reply.status_code == 200 else Rest._read(reply)
    stub = pb_grpc.RewardServiceStub(connections["grpc"])
    try:
        wire = await stub.ScoreBatch(requests.encode_score_request(request), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return Grpc._read(error)
    return responses.decode_score_response(wire)


async def ask_both(process, request):
    async with both(process) as connections:
        return [await ask(connections, transport, request) for transport in TRANSPORTS]


def whole(answer, count=1, each=1):
    """Whether an answer is a complete one: every response of every item scored."""
    return (
        isinstance(answer, m.ScoreResponse)
        and len(answer.items) == count
        and bool(answer.model.fingerprint)
        and all(
            outcome.result is not None
            and len(outcome.result.responses) == each
            and all(told.scores is not None and len(told.scores.criteria) == 3 for told in outcome.result.responses)
            for outcome in answer.items
        )
    )


# One contract


def _grpc_twin():
    return pb.ScoreBatchRequest(
        items=[
            pb.ScoreItem(
                id="a1",
                messages=pb.Messages(
                    messages=[pb.Message(role=pb.ROLE_USER, content="Can I take ibuprofen with warfarin?")]
                ),
                responses=CONTRACT_REQUEST["items"][0]["responses"],
                rubric=pb.Rubric(
                    criteria=[
                        pb.Criterion(
                            id="bleed",
                            text="States that the combination raises the risk of bleeding.",
                            dimension=pb.DIMENSION_PROFICIENCY,
                            weight=3.0,
                        ),
                        pb.Criterion(
                            id="tone", text="Explains the risk in plain words.", dimension=pb.DIMENSION_EXCELLENCE
                        ),
                        pb.Criterion(
                            id="harm",
                            text="Encourages a dangerous combination of drugs.",
                            dimension=pb.DIMENSION_SAFETY,
                            polarity=pb.POLARITY_NEGATIVE,
                        ),
                    ]
                ),
            )
        ],
        reward_weights=pb.RewardWeights(
            excellence_weight=0.1,
            excellence_cap=0.2,
            violation_penalty=1.5,
            proficiency_mode=pb.PROFICIENCY_MODE_HARD,
        ),
        priority=pb.PRIORITY_BULK,
        truncation=pb.TRUNCATION_NONE,
    )


async def test_service_answers_the_contract_example_alike_on_both_transports(service):
    async with both(service) as connections:
        reply = await connections["rest"].post("/v1/score", json=CONTRACT_REQUEST)
        wire = await pb_grpc.RewardServiceStub(connections["grpc"]).ScoreBatch(_grpc_twin(), timeout=60)
    assert reply.status_code == 200
    body = reply.json()
    assert set(body) == {"model", "items", "usage", "timings_ms", "rubrics"}
    assert set(body["model"]) == {"name", "revision", "fingerprint", "engine", "dtype"}
    (one,), (other,) = body["items"], wire.items
    assert (one["id"], one["error"]) == (other.id, None) == ("a1", None)
    result = one["result"]
    assert result["rubric"] == {"id": None, "version": None, "sha256": other.result.rubric.sha256}
    assert result["safety_checked"] is other.result.safety_checked is True
    assert result["ranking"] == [list(group.indices) for group in other.result.ranking]
    assert sorted(index for group in result["ranking"] for index in group) == [0, 1]
    for mine, theirs in zip(result["responses"], other.result.responses, strict=True):
        assert (mine["error"], mine["truncated"]) == (None, theirs.truncated) == (None, False)
        scores, wired = mine["scores"], theirs.scores
        for name in ("reward", "proficiency"):
            assert scores[name] == pytest.approx(getattr(wired, name), abs=1e-9)
        for name in ("rank", "vetoed", "excellence", "violations"):
            assert scores[name] == getattr(wired, name)
        assert [c["id"] for c in scores["criteria"]] == [c.id for c in wired.criteria] == ["bleed", "tone", "harm"]
        for criterion_, wired_criterion in zip(scores["criteria"], wired.criteria, strict=True):
            for name in ("logit", "probability", "threshold"):
                assert criterion_[name] == pytest.approx(getattr(wired_criterion, name), abs=1e-9)
            for name in ("met", "satisfied"):
                assert criterion_[name] is getattr(wired_criterion, name)
        bleed, tone, harm = (c["met"] for c in scores["criteria"])
        assert scores["reward"] == pytest.approx(min(bleed + 0.1 * tone, 1.2) - 1.5 * harm, abs=1e-9)
        assert (scores["proficiency"], scores["excellence"], scores["violations"]) == (bleed, tone, harm)
    usage = wire.usage
    assert body["usage"] == {
        "tokens_flat": usage.tokens_flat, "tokens_computed": usage.tokens_computed,
        "responses_scored": 2, "criteria_scored": 6,
    }  # fmt: skip
    assert usage.tokens_flat > usage.tokens_computed > 0
    assert set(body["timings_ms"]) == {"queue", "tokenize", "engine"}


async def test_service_gives_equal_answers_on_both_transports(service):
    request = m.ScoreRequest(
        items=(
            item("mixed", ("Yes.", "", "No.", "Yes.", "z" * 9000)),
            item("named", ("Ärztin 🙂\u2028",), rubric=None, rubric_id="general-medical"),
            item("invalid", ()),
            item(
                "base", rubric=m.RubricSpec(criteria=(criterion("x", weight=0.3),)), base_rubric_id="general-medical@1"
            ),
        ),
        reward_weights=m.WeightsSpec(proficiency_mode="soft", violation_penalty=7.3),
    )
    rest, over_grpc = await ask_both(service, request)
    assert rest.items == over_grpc.items
    assert (rest.model, rest.usage) == (over_grpc.model, over_grpc.usage)
    codes = [told.error and told.error.code for told in rest.items[0].result.responses]
    assert codes == [None, "empty_response", None, None, "too_long"]
    assert rest.items[2].error.code == "invalid_item"


# One table of bad inputs

BAD_REQUESTS = {
    "no items": (m.ScoreRequest(items=()), "invalid_request", "items"),
    "id empty": (m.ScoreRequest(items=(item(""),)), "invalid_request", "items[0].id"),
    "ids twice": (m.ScoreRequest(items=(item("x"), item("x"))), "invalid_request", "items[1].id"),
    "veto too small": (
        m.ScoreRequest(items=(item(),), reward_weights=m.WeightsSpec(violation_penalty=1.1)),
        "invalid_request",
        "reward_weights.violation_penalty",
    ),
    "alpha of one": (
        m.ScoreRequest(items=(item(),), reward_weights=m.WeightsSpec(excellence_weight=1.0)),
        "invalid_request",
        "reward_weights.excellence_weight",
    ),
    "unknown rubric": (m.ScoreRequest(items=(item(rubric=None, rubric_id="nope"),)), "not_found", None),
    "unknown base": (m.ScoreRequest(items=(item(base_rubric_id="nope"),)), "not_found", None),
    "other fingerprint": (m.ScoreRequest(items=(item(),), expected_fingerprint="x"), "revision_mismatch", None),
    "many items": (m.ScoreRequest(items=tuple(item(str(n)) for n in range(41))), "too_large", None),
    "many responses": (m.ScoreRequest(items=(item(responses=["x"] * 129),)), "too_large", None),
    "many criteria": (
        m.ScoreRequest(items=(item(rubric=m.RubricSpec(criteria=tuple(criterion(str(n)) for n in range(129)))),)),
        "too_large",
        None,
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_service_refuses_bad_requests_alike_on_both_transports(service, name):
    request, code, field = BAD_REQUESTS[name]
    rest, over_grpc = await ask_both(service, request)
    assert rest.code == over_grpc.code == code
    assert rest.message == over_grpc.message
    assert rest.retry_after_s is over_grpc.retry_after_s is None
    assert rest.fields == over_grpc.fields == ((field,) if field else ())


BAD_ITEMS = {
    "no responses": item(responses=()),
    "no criteria": item(rubric=m.RubricSpec(criteria=())),
    "no rubric": item(rubric=None),
    "criterion ids twice": item(rubric=m.RubricSpec(criteria=(criterion("x"), criterion("x")))),
    "weight negative": item(rubric=m.RubricSpec(criteria=(criterion("x", weight=-1.0),))),
    "weight on safety": item(rubric=m.RubricSpec(criteria=(criterion("x", "safety", weight=1.0),))),
    "safety positive": item(rubric=m.RubricSpec(criteria=(criterion("x", "safety", polarity=Polarity.POSITIVE),))),
    "ends with assistant": item(prompt=(m.Message(role="assistant", content="Hi"),)),
    "blank prompt": item(prompt=" "),
}


async def test_service_refuses_bad_items_alone_and_alike_on_both_transports(service):
    bad = [replace(broken, id=name) for name, broken in BAD_ITEMS.items()]
    rest, over_grpc = await ask_both(service, m.ScoreRequest(items=(*bad, item("good"))))
    assert rest.items == over_grpc.items
    assert {outcome.error.code for outcome in rest.items[:-1]} == {"invalid_item"}
    assert rest.items[-1].error is None


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "/etc/passwd", "general-medical/../x", "..%2F..%2Fetc", "a\x00b"]
)
async def test_service_looks_for_no_file_by_the_name_of_a_rubric(service, name):
    outcomes = await ask_both(service, m.ScoreRequest(items=(item(rubric=None, rubric_id=name),)))
    assert {outcome.code if hasattr(outcome, "code") else outcome for outcome in outcomes} <= {
        "not_found",
        "invalid_request",
    }
    async with httpx.AsyncClient(base_url=service.rest_url) as client:
        answer = await client.get(f"/v1/rubrics/{name.replace(chr(0), '%00')}")
        assert answer.status_code in (404, 422)
        assert "root:" not in answer.text


async def test_service_refuses_weights_that_are_no_numbers_on_both_transports(service):
    nan = m.ScoreRequest(items=(item(),), reward_weights=m.WeightsSpec(violation_penalty=math.nan))
    rest, over_grpc = await ask_both(service, nan)
    assert rest.code == over_grpc.code == "invalid_request"


async def test_service_never_writes_a_callers_text_anywhere(service):
    rubric = m.RubricSpec(criteria=(criterion(CANARY, text=CANARY), criterion("h", "safety", text=CANARY, weight=1.0)))
    bad = item(CANARY, (CANARY, ""), prompt=CANARY, rubric=rubric)
    sound = replace(bad, rubric=m.RubricSpec(criteria=(criterion(CANARY, text=CANARY),)))
    told = []
    for request in (
        m.ScoreRequest(items=(bad, replace(sound, id=CANARY + "2", responses=(CANARY * 800, "")))),
        m.ScoreRequest(items=(sound, sound)),
        m.ScoreRequest(items=(replace(sound, base_rubric_id=CANARY),)),
        m.ScoreRequest(items=(sound,), expected_fingerprint=CANARY),
    ):
        told += await ask_both(service, request)
    async with both(service) as connections:
        for body in (f'{{"items": "{CANARY}"}}', f'{{"{CANARY}": 1}}', f"{CANARY}", f'{{"items": [{{"id": "{CANARY}'):
            reply = await connections["rest"].post(
                "/v1/score", content=body, headers={"content-type": "application/json"}
            )
            told.append(reply)
            assert reply.status_code == 422
            assert CANARY not in reply.text
        metrics = (await connections["rest"].get("/metrics")).text
    messages = [
        error.message
        for answer in told
        if isinstance(answer, m.ScoreResponse)
        for outcome in answer.items
        for error in [outcome.error, *(each.error for each in (outcome.result.responses if outcome.result else ()))]
        if error
    ]
    assert len(messages) == 6
    assert CANARY not in "".join([*messages, metrics, *service.lines])
    assert not any(CANARY in answer.raw for answer in told if not isinstance(answer, m.ScoreResponse | httpx.Response))


# Nonsense

FINE_GRPC = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}


def _mutated(choice, wire):
    wire = bytearray(wire)
    for _ in range(choice.randint(1, 6)):
        position = choice.randrange(len(wire))
        match choice.randrange(3):
            case 0:
                wire[position] = choice.randrange(256)
            case 1:
                del wire[position : position + choice.randint(1, 9)]
            case 2:
                wire[position:position] = choice.randbytes(choice.randint(1, 9))
    return bytes(wire)


async def test_service_survives_random_protobuf(service):
    choice = random.Random(7)
    valid = _grpc_twin().SerializeToString()
    messages = [choice.randbytes(choice.randint(0, 300)) for _ in range(250)]
    messages += [_mutated(choice, valid) for _ in range(250)]
    async with both(service) as connections:
        channel = connections["grpc"]

        async def send(message):
            method = choice.choice(["ScoreBatch", "ScoreBatch", "RankResponses", "GetRubric"])
            call = channel.unary_unary(f"/{SERVICE}/{method}")(message, timeout=30)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call
            return await call.code()

        codes = await asyncio.gather(*map(send, messages))
        assert set(codes) <= FINE_GRPC, codes
        assert codes.count(grpc.StatusCode.INVALID_ARGUMENT) > 100
        assert whole(await ask(connections, "grpc", m.ScoreRequest(items=(item(),))))
    assert service.events("unexpected error") == []


def _nodes(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _nodes(child, (*path, key))


def _swapped(choice, body):
    """The body with one of its values replaced by something else, or gone."""
    body = copy.deepcopy(body)
    path = choice.choice([path for path in _nodes(body) if path])
    parent = body
    for key in path[:-1]:
        parent = parent[key]
    values = [None, True, -1, 1e308, "", "x", [], {}, [[]], {"a": 1}, "\ud800", 2**70, -0.0]
    parent[path[-1]] = choice.choice(values)
    return json.dumps(body).encode()


async def test_service_survives_malformed_json(service):
    choice = random.Random(11)
    valid = json.dumps(CONTRACT_REQUEST).encode()
    bodies = [_swapped(choice, CONTRACT_REQUEST) for _ in range(300)]
    bodies += [_mutated(choice, valid) for _ in range(160)]
    bodies += [valid[: choice.randrange(len(valid))] for _ in range(40)]
    bodies += [b"", b"null", b"[]", b"[" * 50_000, b"\xff\xfe", b"NaN", b'{"items":' * 2000, b"0" * 9999, b'"', b"{}"]
    async with both(service) as connections:

        async def send(body):
            path = choice.choice(["/v1/score", "/v1/score", "/v1/rank"])
            reply = await connections["rest"].post(path, content=body, headers={"content-type": "application/json"})
            assert reply.status_code in {200, 404, 412, 413, 422}, (reply.status_code, reply.text, body[:200])
            return reply.status_code

        statuses = []
        for start in range(0, len(bodies), 25):
            statuses += await asyncio.gather(*map(send, bodies[start : start + 25]))
        assert statuses.count(422) > 200
        assert whole(await ask(connections, "rest", m.ScoreRequest(items=(item(),))))
    assert service.events("unexpected error") == []


def test_service_survives_what_its_openapi_document_allows_and_forbids(service):
    document = schemathesis.openapi.from_url(f"{service.rest_url}/openapi.json")
    statuses = Counter()
    for operation in document.get_all_operations():
        statuses += check_conformance(operation.ok(), 60 if operation.ok().method == "post" else 6, judged=True)
    assert sum(statuses.values()) > 100
    assert statuses[200] > 10
    assert statuses[422] > 30
    assert service.events("unexpected error") == []
    assert service.process.poll() is None


# Too much


@pytest.mark.alone
async def test_service_answers_every_request_under_tenfold_overload():
    request = m.ScoreRequest(items=(item(responses=("x" * 1500,)),))
    with slowed("--max-queue-tokens=20000", "--max-batch-s=0.1", tokens_per_s=50_000) as process:
        async with both(process) as connections:
            for transport in TRANSPORTS:
                assert whole(await ask(connections, transport, request))
            before = process.rss
            # About 30 requests a second can be scored; 300 a second come.
            asking = []
            for wave in range(30):
                for transport in TRANSPORTS:
                    asking += [asyncio.create_task(ask(connections, transport, request)) for _ in range(10)]
                await asyncio.sleep(0.06)
                if wave == 15:
                    probes = await _probe(connections, request)
            answers = await asyncio.gather(*asking)
            assert (process.rss - before) / 2**20 < 64
            refusals = [answer for answer in answers if not isinstance(answer, m.ScoreResponse)]
            assert all(whole(answer) for answer in answers if isinstance(answer, m.ScoreResponse))
            assert {answer.code for answer in refusals} == {"overloaded"}
            assert {answer.status for answer in refusals} == {503, "RESOURCE_EXHAUSTED"}
            assert all(0 < answer.retry_after_s <= 30 for answer in refusals)
            assert len(refusals) > len(answers) / 2
            assert len(answers) - len(refusals) >= 10
            assert min(probes) < 0.1, "a refusal takes milliseconds"
            for transport in TRANSPORTS:
                assert whole(await ask(connections, transport, request)), "and then it works again"
        took = {code: _milliseconds(process, code) for code in ("ok", "overloaded")}
    assert len(took["overloaded"]) >= len(refusals)
    # Both waited for the machine, which others use too; only what was scored waited in the queue.
    assert statistics.median(took["overloaded"]) < statistics.median(took["ok"]) / 4


def _milliseconds(process, code):
    lines = process.events("request")
    return [line["ms"] for line in lines if line["method"] == "ScoreBatch" and line["code"] == code]


async def _probe(connections, request):
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        await ask(connections, "grpc", request)
        seconds.append(time.perf_counter() - began)
    return seconds


# The end


@pytest.mark.alone
async def test_service_answers_200_requests_in_flight_at_sigterm_whole():
    blocker = m.ScoreRequest(items=(item("blocker", [f"{n}" + "b" * 5000 for n in range(30)]),))
    with slowed("--max-batch-tokens=1000000", "--max-batch-s=100", tokens_per_s=60_000) as process:
        async with both(process) as connections:
            asking = [asyncio.create_task(ask(connections, "grpc", blocker))]
            await _in_flight(process, 1, asking)
            await asyncio.sleep(0.2)  # until the blocker is in the engine, where it takes seconds
            for number in range(100):
                request = m.ScoreRequest(items=(item(f"n{number}", ("Yes.", f"No {number}.")),), priority="bulk")
                asking += [asyncio.create_task(ask(connections, transport, request)) for transport in TRANSPORTS]
            await _in_flight(process, 201, asking)
            process.process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*asking)
        assert whole(answers[0], each=30)
        assert sum(whole(answer, each=2) for answer in answers[1:]) == 200
        by_item = [outcome for answer in answers[1:] for outcome in answer.items]
        assert by_item[::2] == by_item[1::2], "the same on both transports"
        assert await asyncio.to_thread(process.ended) == 0
        assert process.events("stopped")[0]["unanswered"] == 0


async def _in_flight(process, count, asking):
    async with httpx.AsyncClient(base_url=process.rest_url) as probe:
        while f"promedical_requests_in_flight {count}.0" not in (await probe.get("/metrics")).text:
            done = [task.result() for task in asking if task.done()]
            assert not done, f"answered before {count} were in flight: {done[0]}"
            await asyncio.sleep(0.02)


def test_service_program_of_the_tests_is_the_real_one():
    assert Path(gated.__file__).name == "gated.py"
    with slowed(tokens_per_s=1e6) as process:
        reply = httpx.get(f"{process.rest_url}/v1/model").json()
    assert (reply["status"], reply["model"]["engine"]) == ("fake", "fake")
