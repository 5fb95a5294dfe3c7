"""One table of cases, asked over both transports on real sockets."""

import asyncio
import dataclasses

import httpx
import pytest
from edges_kit import CRITERION, client_of, item, running, score_request, until

from promedical import messages as m
from promedical.errors import ERROR_TABLE
from promedical.rubric import InvalidField
from promedical_service.errors import ServiceError

TRANSPORTS = ("grpc", "rest")
RANK = m.RankRequest(prompt="Is it safe?", responses=("No.", "Yes."), rubric_id="house")
CALLS = {
    "ScoreBatch": score_request(),
    "RankResponses": RANK,
    "ListRubrics": None,
    "GetRubric": "house@1",
    "GetModel": None,
}

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.mark.parametrize("rpc", CALLS)
async def test_edges_answer_every_call_and_return_the_request_id(transport, rpc):
    async with running() as server, client_of(transport, server) as client:
        answer = await client.ask(rpc, CALLS[rpc], headers={"x-request-id": "trace-17"})
        assert (answer.code, answer.request_id) == ("ok", "trace-17")
        insane = await client.ask(rpc, CALLS[rpc], headers={"x-request-id": "no {braces} here"})
        assert len(insane.request_id) == 32


@pytest.mark.parametrize("code", ERROR_TABLE)
@pytest.mark.parametrize("rpc", ["ScoreBatch", "GetModel"])
async def test_edges_translate_every_code_by_the_table(transport, code, rpc):
    async with running() as server, client_of(transport, server) as client:
        server.oracle.error = ServiceError(code, "Do this instead", retry_after_s=2.5)
        answer = await client.ask(rpc, CALLS[rpc])
        row = ERROR_TABLE[code]
        assert answer.status == (row.grpc_status if transport == "grpc" else row.http_status)
        assert (answer.code, answer.message, answer.retry_after_s) == (code, "Do this instead", 2.5)
        assert answer.request_id


async def test_edges_name_the_field_of_an_invalid_request(transport):
    async with running() as server, client_of(transport, server) as client:
        server.oracle.error = InvalidField("reward_weights.excellence_cap", "is 0; expected above 0")
        answer = await client.ask("ScoreBatch", score_request())
        assert answer.code == "invalid_request"
        assert answer.fields == ("reward_weights.excellence_cap",)
        assert answer.message == "reward_weights.excellence_cap: is 0; expected above 0"


async def test_edges_answer_an_unforeseen_exception_with_a_fixed_message(transport):
    async with running() as server, client_of(transport, server) as client:
        server.oracle.error = RuntimeError("the prompt was: my secret")
        answer = await client.ask("ScoreBatch", score_request())
        assert answer.code == "internal"
        assert "secret" not in answer.raw
        assert "Traceback" not in answer.raw


async def test_edges_say_unavailable_until_the_oracle_is_loaded(transport):
    async with running(loaded=False) as server, client_of(transport, server) as client:
        answer = await client.ask("ScoreBatch", score_request())
        assert (answer.code, answer.retry_after_s) == ("unavailable", 1.0)
        server.may_load.set()
        await until(lambda: server.health.ready)
        assert (await client.ask("ScoreBatch", score_request())).code == "ok"


async def test_edges_say_unavailable_once_the_engine_is_lost(transport):
    async with running() as server, client_of(transport, server) as client:
        server.health.engine_lost()
        assert (await client.ask("ScoreBatch", score_request())).code == "unavailable"


async def test_edges_say_unavailable_while_the_engine_is_replaced_and_answer_again(transport):
    async with running() as server, client_of(transport, server) as client:
        server.health.engine_down()
        answer = await client.ask("ScoreBatch", score_request())
        assert (answer.code, answer.retry_after_s) == ("unavailable", 1.0)
        async with httpx.AsyncClient(base_url=server.rest_url) as probe:
            assert (await probe.get("/readyz")).status_code == 503
            assert (await probe.get("/healthz")).status_code == 200
        server.health.loaded()
        assert (await client.ask("ScoreBatch", score_request())).code == "ok"


async def test_edges_do_not_count_what_they_refuse_for_another_reason_against_the_rate(transport):
    async with running(rate_limit="1/hour") as server, client_of(transport, server) as client:
        server.health.engine_down()
        assert (await client.ask("ScoreBatch", score_request())).code == "unavailable"
        server.health.loaded()
        assert (await client.ask("ScoreBatch", score_request())).code == "ok"
        assert (await client.ask("ScoreBatch", score_request())).code == "rate_limited"


async def test_edges_hand_the_deadline_to_the_oracle(transport):
    async with running() as server, client_of(transport, server) as client:
        await client.ask("ScoreBatch", score_request(), timeout_s=12.0)
        assert 10 < server.oracle.callers[0].timeout_s <= 12.1  # gRPC rounds up to three digits on the wire


async def test_edges_answer_a_deadline_that_passes(transport):
    async with running() as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        answer = await client.ask("ScoreBatch", score_request(), timeout_s=0.1)
        # A gRPC client gives up by its own clock, mostly before the answer is there.
        assert answer.code.lower() in ("deadline", "deadline_exceeded")
        method = 'method="ScoreBatch",transport="' + transport
        await until(lambda: f'promedical_requests_total{{code="deadline",{method}"}} 1.0' in _metrics(server))


async def test_edges_cancel_the_work_of_a_caller_who_leaves(transport):
    async with running() as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        asking = asyncio.create_task(client.ask("ScoreBatch", score_request()))
        await until(lambda: server.oracle.started == 1)
        asking.cancel()
        await until(lambda: server.oracle.cancelled == 1)
        method = 'method="ScoreBatch",transport="' + transport
        await until(lambda: f'promedical_requests_total{{code="cancelled",{method}"}} 1.0' in _metrics(server))


async def test_edges_refuse_calls_over_the_concurrency_limit(transport):
    async with running(max_concurrent_requests=2) as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        waiting = [asyncio.create_task(client.ask("ScoreBatch", score_request())) for _ in range(2)]
        await until(lambda: server.oracle.started == 2)
        answer = await client.ask("ScoreBatch", score_request())
        assert (answer.code, answer.retry_after_s) == ("overloaded", 1.0)
        server.oracle.gate.set()
        assert [answer.code for answer in await asyncio.gather(*waiting)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("limits", "length", "places"),
    [({"max_concurrent_requests": 4}, 1, 4), ({"max_request_bytes": 20_000}, 19_000, 16)],
    ids=["calls", "bytes"],
)
async def test_edges_that_one_key_has_filled_refuse_that_key_and_no_other(transport, tmp_path, limits, length, places):
    keys = tmp_path / "keys"
    keys.write_text("flood:flood-0123456789abcdef\ncalm:calm-0123456789abcdef\n")
    flood, calm = ({"x-api-key": f"{name}-0123456789abcdef"} for name in ("flood", "calm"))
    request, waiting = score_request(responses=("x" * length,)), []
    async with running(keys_file=keys, **limits) as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        for key in [flood] * places + [calm] * 2:
            if key is calm:
                assert (await client.ask("ScoreBatch", request, headers=flood)).code == "overloaded"
            waiting.append(asyncio.create_task(client.ask("ScoreBatch", request, headers=key)))
            await until(lambda: server.oracle.started == len(waiting))
        server.oracle.gate.set()
        assert {answer.code for answer in await asyncio.gather(*waiting)} == {"ok"}
        assert (await client.ask("ScoreBatch", request, headers=flood)).code == "ok"


async def test_edges_refuse_a_key_that_sends_too_fast_and_no_other(transport, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("eager:eager-0123456789abcdef\ncalm:calm-0123456789abcdef\n")
    async with running(keys_file=keys, rate_limit="2/hour") as server, client_of(transport, server) as client:
        eager, calm = ({"x-api-key": f"{name}-0123456789abcdef"} for name in ("eager", "calm"))
        answers = [await client.ask("ScoreBatch", score_request(), headers=eager) for _ in range(3)]
        assert [answer.code for answer in answers] == ["ok", "ok", "rate_limited"]
        assert 0 < answers[2].retry_after_s <= 3600
        assert server.oracle.started == 2
        assert (await client.ask("ScoreBatch", score_request(), headers=calm)).code == "ok"
        assert (await client.ask("ScoreBatch", score_request())).code == "unauthenticated"


async def test_edges_refuse_a_request_over_the_byte_limit(transport):
    async with running(max_request_bytes=2000) as server, client_of(transport, server) as client:
        answer = await client.ask("ScoreBatch", score_request(responses=("x" * 3000,)))
        assert answer.status == (413 if transport == "rest" else "RESOURCE_EXHAUSTED")
        assert answer.retry_after_s is None
        assert server.oracle.started == 0
        assert (await client.ask("ScoreBatch", score_request())).code == "ok"


async def test_edges_refuse_requests_that_hold_too_many_bytes_together(transport):
    async with running(max_request_bytes=20_000) as server, client_of(transport, server) as client:
        server.oracle.gate = asyncio.Event()
        large = score_request(responses=("x" * 19_000,))
        waiting = [asyncio.create_task(client.ask("ScoreBatch", large)) for _ in range(16)]
        await until(lambda: server.oracle.started == 16)
        answer = await client.ask("ScoreBatch", large)
        assert (answer.code, answer.retry_after_s) == ("overloaded", 1.0)
        server.oracle.gate.set()
        assert {answer.code for answer in await asyncio.gather(*waiting)} == {"ok"}
        assert (await client.ask("ScoreBatch", large)).code == "ok"


async def test_edges_ask_for_a_key_and_name_its_owner(transport, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# trainers\ntrainer: 0123456789abcdef\nbench:fedcba9876543210\n")
    async with running(keys_file=keys) as server, client_of(transport, server) as client:
        for headers in ({}, {"x-api-key": "0123456789abcdeX"}, {"authorization": "Basic 0123456789abcdef"}):
            for rpc, request in CALLS.items():
                assert (await client.ask(rpc, request, headers=headers)).code == "unauthenticated"
        assert server.oracle.started == 0
        for headers in ({"x-api-key": "fedcba9876543210"}, {"authorization": "Bearer 0123456789abcdef"}):
            assert (await client.ask("ScoreBatch", score_request(), headers=headers)).code == "ok"
        assert [caller.key for caller in server.oracle.callers] == ["bench", "trainer"]


TOO_MANY = {
    "items holds 3; at most 2 are allowed": m.ScoreRequest(items=tuple(item(id=name) for name in "abc")),
    "items[1].responses holds 3; at most 2 are allowed": m.ScoreRequest(
        items=(item(id="a"), item(id="b", responses=("x", "y", "z")))
    ),
    "items[0].rubric.criteria holds 3; at most 2 are allowed": score_request(
        rubric=m.RubricSpec(criteria=(CRITERION,) * 3)
    ),
    "items[0].prompt holds 1025; at most 1024 are allowed": score_request(
        prompt=(m.Message(role="user", content="x"),) * 1025
    ),
    "responses holds 3; at most 2 are allowed": dataclasses.replace(RANK, responses=("x", "y", "z")),
}


@pytest.mark.parametrize("said", TOO_MANY)
async def test_edges_refuse_too_many_of_anything(transport, said):
    limits = {"max_items": 2, "max_responses_per_item": 2, "max_criteria_per_item": 2}
    async with running(**limits) as server, client_of(transport, server) as client:
        request = TOO_MANY[said]
        answer = await client.ask("RankResponses" if isinstance(request, m.RankRequest) else "ScoreBatch", request)
        assert (answer.code, answer.message) == ("too_large", f"{said}; split the request")
        assert server.oracle.started == 0


def _metrics(server):
    return server.metrics.exposition().decode()


async def test_edges_count_every_call(transport):
    async with running() as server, client_of(transport, server) as client:
        for rpc, request in CALLS.items():
            await client.ask(rpc, request)
        await client.ask("GetRubric", "nothing-like-it")
        text = _metrics(server)
        for rpc in CALLS:
            assert f'promedical_requests_total{{code="ok",method="{rpc}",transport="{transport}"}} 1.0' in text
        assert f'promedical_requests_total{{code="not_found",method="GetRubric",transport="{transport}"}} 1.0' in text
        assert "promedical_requests_in_flight 0.0" in text


async def test_edges_time_scoring_by_lane(transport):
    two = m.ScoreRequest(items=(item(), item(id="a2")))
    cases = (score_request(), two, dataclasses.replace(two, priority="interactive"))
    async with running() as server, client_of(transport, server) as client:
        for request in cases:
            await client.ask("ScoreBatch", request)
        await client.ask("RankResponses", RANK)
        await client.ask("GetModel")
        assert 'promedical_scoring_seconds_count{lane="interactive"} 3.0' in _metrics(server)
        assert 'promedical_scoring_seconds_count{lane="bulk"} 1.0' in _metrics(server)
