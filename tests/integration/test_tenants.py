"""Tenants of a real process: roles, lanes, rates, expiry, a queue that one of them fills, and what metrics say."""

import asyncio
import contextlib
import json
import subprocess
import sys
from dataclasses import replace

import grpc
import httpx
import pytest
from edges_kit import Grpc, Rest, until

import gated
from gated import item
from promedical import messages as m
from promedical_client import Client, ForbiddenError, UnauthenticatedError
from promedical_service.tenancy.keys import hashed
from serving import running_server

ITEM = m.ScoreItem(id="a", prompt="Is it safe?", responses=("No.",), rubric_id="general-medical")
SCORE = m.ScoreRequest(items=(ITEM,))
RANK = m.RankRequest(prompt="Is it safe?", responses=("No.", "Yes."), rubric_id="general-medical")
SCORED = {"query": "Is it safe?", "texts": ["No."]}
RIGHTS: dict[str, dict[str, object]] = {
    "scorer": {"roles": ["score"]},
    "ranker": {"roles": ["rank"]},
    "scraper": {"roles": ["metrics"]},
    "chief": {"roles": ["admin"]},
    "bulky": {"interactive": False},
    "expired": {"expires": "2020-01-01"},
    "thrifty": {"tokens": "1000/hour"},
    "rare": {"requests": "1/hour"},
}


def key_of(name):
    return f"key-of-{name}-0123456789"


def sent_by(name):
    return {"x-api-key": key_of(name)}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    lines = [json.dumps({"name": name, "key": hashed(key_of(name))} | rights) for name, rights in RIGHTS.items()]
    file.write_text("\n".join([*lines, f"plain:{key_of('plain')}", ""]))
    return file


@pytest.fixture(scope="module")
def service(keys):
    with running_server("--engine=fake", f"--keys-file={keys}", "--metrics-need-key=true") as server:
        yield server


@pytest.fixture(params=["rest", "grpc"])
async def client(service, request):
    async with connected(service, request.param) as made:
        yield made


@contextlib.asynccontextmanager
async def connected(service, transport):
    if transport == "rest":
        async with httpx.AsyncClient(base_url=service.rest_url, timeout=60) as client:
            yield Rest(client)
    else:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(service.grpc_target, options=options) as channel:
            yield Grpc(channel)


async def test_tenant_may_do_what_its_roles_allow_and_nothing_else(client):
    calls = {"ScoreBatch": SCORE, "RankResponses": RANK, "GetModel": None, "ListRubrics": None}
    allowed = {
        "scorer": {"ScoreBatch", "GetModel", "ListRubrics"},
        "ranker": {"RankResponses", "GetModel", "ListRubrics"},
        "scraper": set(),
        "chief": set(calls),
        "plain": set(calls),
    }
    for name, methods in allowed.items():
        for method, request in calls.items():
            answer = await client.ask(method, request, headers=sent_by(name))
            assert answer.code == ("ok" if method in methods else "forbidden"), (name, method)
            assert method in methods or answer.status in {403, "PERMISSION_DENIED"}


async def test_expired_key_is_refused_with_the_reason(client):
    answer = await client.ask("GetModel", headers=sent_by("expired"))
    assert (answer.code, "has expired" in answer.message) == ("unauthenticated", True)


async def test_tenant_without_the_interactive_lane_is_put_into_bulk_or_refused(client):
    asked = {None: "ok", "bulk": "ok", "interactive": "forbidden"}
    for priority, code in asked.items():
        for method, request in (("ScoreBatch", SCORE), ("RankResponses", RANK)):
            answer = await client.ask(method, replace(request, priority=priority), headers=sent_by("bulky"))
            assert answer.code == code


async def test_tenant_is_held_to_its_rates(service, client):
    """The rates count over both transports."""
    answers = [await client.ask("ScoreBatch", SCORE, headers=sent_by("rare")) for _ in range(2)]
    assert answers[-1].code == "rate_limited"
    small, large = (m.ScoreRequest(items=(item(responses=("x" * length,)),)) for length in (1, 4000))
    answer = await client.ask("ScoreBatch", large, headers=sent_by("thrifty"))
    assert (answer.code, answer.retry_after_s) == ("too_large", None)
    answers = [await client.ask("ScoreBatch", small, headers=sent_by("thrifty")) for _ in range(20)]
    assert answers[-1].code == "rate_limited"
    assert 0 < answers[-1].retry_after_s <= 2 * 3600


async def test_dropins_know_roles_and_lanes(service):
    async with httpx.AsyncClient(base_url=service.rest_url, timeout=60) as client:

        async def code(path, name, body=SCORED):
            return (await client.post(path, json=body, headers=sent_by(name))).status_code

        predicted = {"inputs": ["Is it safe?", "No."]}
        assert [await code("/rerank", name) for name in ("scorer", "ranker", "chief")] == [403, 200, 200]
        assert [await code("/predict", name, predicted) for name in ("scorer", "ranker")] == [200, 403]
        assert await code("/rerank", "bulky") == 200
        assert await code("/rerank?priority=interactive", "bulky") == 403
        assert (await client.get("/docs", headers=sent_by("scraper"))).status_code == 200


async def test_metrics_need_their_role_and_count_by_the_name_of_the_key(service):
    async with httpx.AsyncClient(base_url=service.rest_url, timeout=60) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers=sent_by("scorer"))).status_code == 403
        await Rest(client).ask("ScoreBatch", SCORE, headers=sent_by("plain"))
        shown = (await client.get("/metrics", headers=sent_by("scraper"))).text
    series = dict(line.rsplit(" ", 1) for line in shown.splitlines() if line.startswith("promedical_key_"))
    assert float(series['promedical_key_requests_total{code="ok",key="plain"}']) >= 1
    assert float(series['promedical_key_tokens_total{key="plain"}']) > 0
    assert 'promedical_key_requests_total{code="forbidden",key="ranker"}' in series
    assert key_of("plain") not in shown


def test_sdk_says_that_a_key_may_not_do_that(service):
    for url in (service.rest_url, service.grpc_url):
        with Client(url, api_key=key_of("scorer")) as client:
            assert client.score([ITEM]).items[0].result is not None
            with pytest.raises(ForbiddenError, match="RankResponses needs rank"):
                client.rank("Is it safe?", ["No."], rubric_id="general-medical")


async def test_new_key_is_let_in_as_soon_as_its_line_is_in_the_file(service, keys):
    program = [sys.executable, "-m", "promedical_service", "keys", "new", "newcomer", "--role", "score"]
    made = await asyncio.to_thread(subprocess.run, program, capture_output=True, text=True, check=True)
    key = made.stderr.splitlines()[-1]
    assert key not in made.stdout
    before = keys.read_text()
    keys.write_text(before + made.stdout)
    with Client(service.rest_url, api_key=key) as client:
        await until(lambda: knows(client))
        keys.write_text(before)
        await until(lambda: not knows(client))


def knows(client):
    try:
        return bool(client.model())
    except UnauthenticatedError:
        return False


async def test_queue_full_of_one_tenant_refuses_that_one_and_no_other(tmp_path):
    file = tmp_path / "keys"
    file.write_text("".join(f"{name}:{key_of(name)}\n" for name in ("flood", "calm")))
    small, large = (m.ScoreRequest(items=(item(responses=("x" * length,)),)) for length in (1, 900))
    flags = ("--engine=fake", f"--keys-file={file}", "--max-queue-tokens=4000", "--max-batch-s=0.1")
    with running_server(*flags, program=(gated.__file__,), FAKE_TOKENS_PER_S="4000") as server:
        async with connected(server, "rest") as rest, connected(server, "grpc") as rpc:
            flood = [
                asyncio.create_task(client.ask("ScoreBatch", large, headers=sent_by("flood")))
                for client in (rest, rpc)
                for _ in range(6)
            ]
            await until(lambda: any(task.done() and task.result().code == "overloaded" for task in flood))
            calm = [await client.ask("ScoreBatch", small, headers=sent_by("calm")) for client in (rest, rpc)]
            answers = [answer.code for answer in await asyncio.gather(*flood)]
    assert [answer.code for answer in calm] == ["ok", "ok"]
    assert set(answers) == {"ok", "overloaded"}
