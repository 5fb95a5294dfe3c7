"""Drop-in endpoints of a real service, asked by the clients that they are for."""

import asyncio
import json
import math
import re
import subprocess
import sys
from typing import Any

import cohere
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameworks
from promedical_client import AsyncClient, Client, Message, ScoreItem, WeightsSpec
from promedical_service.edges.dropins.catalog import DROP_INS
from promedical_service.edges.dropins.nemo_gym import VERIFY
from serving import running_server

CANARY = "Kanarienvogel"
CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
QUESTION, ANSWERS = "How much paracetamol a day?", ["At most 4 g.", "As much as you like.", "Ask a doctor."]
FIELDS = ("role", "content", "text", "type", "criteria", "rubric", "rubric_id", "id", "dimension", "weight", "output")
"""Names that mean something in one of the bodies."""
_TURNS = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}, {"role": "assistant", "content": "Ask."}]
CONVERSATIONS: dict[str, Any] = {
    "Classify": [{"messages": _TURNS, "rubric": [{"id": "a", "text": "t", "dimension": "safety"}]}],
    "RemoteRm": [{"prompt": _TURNS[:1], "response": "Ask.", "label": {"rubric_id": "general-medical"}}],
    "Rerank": [{"query": QUESTION, "texts": ANSWERS}, {"query": QUESTION, "documents": [{"text": "Ask."}]}],
    "Predict": [{"inputs": [QUESTION, "Ask."], "truncate": True}],
}
PATHS = [path for drop_in in DROP_INS for path in drop_in.paths]


@pytest.fixture
async def client(fake_server):
    async with httpx.AsyncClient(base_url=fake_server.rest_url, timeout=60) as client:
        yield client


@pytest.fixture
async def native(fake_server):
    """The rewards of the answers as the native API says."""
    async with AsyncClient(fake_server.grpc_url) as oracle:
        item = ScoreItem(
            id="a",
            prompt=(Message(role="user", content=QUESTION),),
            responses=tuple(ANSWERS),
            rubric_id="general-medical",
        )
        outcome = (await oracle.score([item])).items[0]
    return [response.scores.reward for response in outcome.result.responses]


def squashed(reward):
    return 1 / (1 + math.exp(-reward))


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda drop_in: drop_in.method)
async def test_dropin_answers_its_documented_example_with_the_fingerprint(client, fake_server, drop_in):
    model = (await client.get("/v1/model")).json()["model"]
    for path in drop_in.paths:
        reply = await client.post(path, json=drop_in.example)
        assert reply.status_code == 200, reply.text
        assert reply.headers["x-promedical-fingerprint"] == model["fingerprint"]


@pytest.mark.parametrize("body", [{}, VERIFY.example])
async def test_nemo_gym_may_open_a_session_before_each_rollout(client, body):
    """responses_api_agents/simple_agent/app.py posts its row there and ends the rollout unless that is answered."""
    reply = await client.post("/seed_session", json=body)
    assert (reply.status_code, reply.json()) == (200, {})
    refused = await client.post("/seed_session", content=b"[1]", headers={"content-type": "application/json"})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "The body is not a JSON object; send one, such as {}",
    )


# The real clients


@frameworks.needs("openrlhf")
async def test_openrlhf_gets_the_rewards_of_the_native_api(fake_server, native):
    executor = frameworks.openrlhf_executor(f"{fake_server.rest_url}/get_reward")
    prompt = CHATML.format(QUESTION, "").removesuffix("<|im_end|>\n")
    asked = [
        executor._fetch_rewards_via_http([f"{prompt}{answer}<|im_end|>"], [prompt], ["general-medical@1"])
        for answer in ANSWERS
    ]
    told = [reply for (reply,) in await asyncio.gather(*asked)]
    assert [reply["rewards"] for reply in told] == [[reward] for reward in native]
    assert all(0 <= reply["scores"][0] <= 1 and len(reply["extra_logs"]) == 5 for reply in told)


@frameworks.needs("verl")
async def test_verl_gets_the_rewards_of_the_native_api(fake_server, native):
    address = fake_server.rest_url.removeprefix("http://")
    workers = [frameworks.verl_reward_worker(address, CHATML.format(QUESTION, answer)) for answer in ANSWERS]
    told = await asyncio.gather(*(worker.compute_score_disrm(None) for worker in workers))
    assert [reply["reward_score"] for reply in told] == native


@frameworks.needs("verl")
async def test_verl_raises_at_once_for_what_cannot_be_scored(fake_server):
    worker = frameworks.verl_reward_worker(fake_server.rest_url.removeprefix("http://"), CHATML.format(QUESTION, " "))
    with pytest.raises(Exception, match="422"):
        await worker.compute_score_disrm(None)


@pytest.mark.parametrize("version", [1, 2])
def test_cohere_reranks_by_the_rewards_of_the_native_api(fake_server, native, version):
    make = {1: cohere.Client, 2: cohere.ClientV2}[version]
    client = make(api_key="none", base_url=fake_server.rest_url)
    try:
        told = client.rerank(model="promedical", query=QUESTION, documents=ANSWERS, top_n=2)
    finally:
        client._client_wrapper.httpx_client.httpx_client.close()
    best = sorted(range(3), key=lambda index: -native[index])[:2]
    assert [result.index for result in told.results] == best
    assert [result.relevance_score for result in told.results] == [pytest.approx(squashed(native[i])) for i in best]


async def test_slime_gets_the_reward_of_the_native_api(client, native):
    """The request of slime's remote_rm; slime is not on the package registry."""
    for answer, reward in zip(ANSWERS, native, strict=True):
        payload = {"prompt": [{"role": "user", "content": QUESTION}], "response": answer, "label": None}
        assert (await client.post("/rm", json=payload)).json() == reward


async def test_tei_clients_get_the_rewards_of_the_native_api(client, native):
    batch = [[QUESTION, answer] for answer in ANSWERS]
    told = (await client.post("/predict", json={"inputs": batch, "raw_scores": True})).json()
    assert [one["score"] for (one,) in told] == native


# One contract with the native endpoints


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/get_reward", {"query": [QUESTION, QUESTION + "Yes."], "prompts": [QUESTION] * 2, "labels": [None] * 2}),
        ("/rm", {"prompt": QUESTION, "response": "\u200b</s>"}),
        ("/classify", {"input": CHATML.format(QUESTION, "")}),
        (
            "/verify",
            {"responses_create_params": {"input": QUESTION}, "response": {"output": [{"type": "reasoning"}]}},
        ),
        ("/rerank", {"query": QUESTION, "documents": ["Yes.", "\u200b\u00ad"]}),
        ("/predict", {"inputs": [QUESTION, "\n"]}),
    ],
)
async def test_dropin_answers_an_empty_response_with_an_error_and_never_with_a_number(client, path, body):
    reply = await client.post(path, json=body)
    assert reply.status_code == 422
    assert (reply.json()["code"], reply.json()["errors"][0]["message"][:12]) == ("invalid_request", "the response")


@pytest.mark.parametrize("path", PATHS)
async def test_dropin_refuses_another_oracle_than_the_expected_one(client, path):
    example = next(drop_in.example for drop_in in DROP_INS if path in drop_in.paths)
    reply = await client.post(f"{path}?expected_fingerprint=other", json=example)
    assert (reply.status_code, reply.json()["code"]) == (412, "revision_mismatch")


@pytest.mark.parametrize("path", PATHS)
async def test_dropin_deadline_is_that_of_the_header(client, path):
    example = next(drop_in.example for drop_in in DROP_INS if path in drop_in.paths)
    reply = await client.post(path, json=example, headers={"x-request-timeout-ms": "0"})
    assert reply.json()["field"] == "X-Request-Timeout-Ms"


async def test_dropin_keeps_no_text_in_logs_metrics_or_errors(client, fake_server):
    bad_label = [{"id": CANARY, "text": CANARY, "dimension": CANARY}]
    bodies = {
        "/get_reward": {"query": [f"{CANARY}a"], "prompts": [CANARY], "labels": [bad_label]},
        "/rm": {"prompt": CANARY, "response": CANARY, "label": f"{CANARY} is no rubric"},
        "/classify": {"input": CHATML.format(CANARY, " "), CANARY: CANARY},
        "/verify": {"responses_create_params": {"input": CANARY}, "response": {"output": [{CANARY: CANARY}]}},
        "/rerank": {"query": CANARY, "documents": [{CANARY: CANARY}]},
        "/predict": {"inputs": [CANARY, CANARY, CANARY]},
    }
    for path, body in bodies.items():
        reply = await client.post(path, json=body)
        assert reply.status_code == 422, path
        assert CANARY not in reply.text, path
    assert CANARY not in (await client.get("/metrics")).text
    assert CANARY not in fake_server.log


async def test_dropin_calls_are_counted_by_their_names(client):
    await client.post("/rm", json={"prompt": QUESTION, "response": "Yes."})
    text = (await client.get("/metrics")).text
    line = next(x for x in text.splitlines() if 'method="RemoteRm"' in x and 'code="ok"' in x and 'rest"' in x)
    assert float(line.split()[-1]) >= 1


def test_dropin_group_of_single_requests_shares_its_tree(tmp_path):
    """Five requests, one item: the round closes when it is full, long before its window."""
    keys = tmp_path / "keys"
    keys.write_text("trainer:0123456789abcdef\n")
    flags = ["--engine=fake", "--gather-s=10", "--max-responses-per-item=5", "--keys-file", str(keys)]
    with running_server(*flags) as server:
        told, metrics = asyncio.run(_ask_five(server))
        assert {reply.status_code for reply in told} == {200}
        assert len({reply.json()["data"][0]["probs"][0] for reply in told}) > 1
        assert metrics['promedical_items_total{lane="bulk",outcome="ok"}'] == 1
        assert (metrics["promedical_gathered_responses_count"], metrics["promedical_gathered_responses_sum"]) == (1, 5)
        refused = httpx.post(f"{server.rest_url}/classify", json={"input": "x"})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def _ask_five(server):
    headers = {"authorization": "Bearer 0123456789abcdef"}
    async with httpx.AsyncClient(base_url=server.rest_url, timeout=60, headers=headers) as client:
        bodies = [{"input": CHATML.format(QUESTION, f"Answer {n}."), "use_activation": False} for n in range(5)]
        told = await asyncio.gather(*(client.post("/classify", json=body) for body in bodies))
        lines = [line for line in (await client.get("/metrics")).text.splitlines() if not line.startswith("#")]
    return told, {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


SOFT_BODIES = {
    "/get_reward": {"query": [f"{QUESTION}Yes."], "prompts": [QUESTION]},
    "/rm": {"prompt": QUESTION, "response": "Yes."},
    "/classify": {"input": CHATML.format(QUESTION, "Yes."), "use_activation": False},
    "/verify": {
        "responses_create_params": {"input": QUESTION},
        "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Yes."}]}]},
    },
    "/rerank": {"query": QUESTION, "texts": ["Yes."], "raw_scores": True},
    "/predict": {"inputs": [QUESTION, "Yes."], "raw_scores": True},
}
REWARD_OF = {
    "/get_reward": lambda told: told["rewards"][0],
    "/rm": lambda told: told,
    "/classify": lambda told: told["data"][0]["probs"][0],
    "/verify": lambda told: told["reward"],
    "/rerank": lambda told: told[0]["score"],
    "/predict": lambda told: told[0]["score"],
}


@pytest.mark.parametrize("path", SOFT_BODIES)
def test_dropin_answers_the_reward_in_the_mode_that_is_asked_for(fake_server, path):
    def asked(query, **changes):
        told = httpx.post(f"{fake_server.rest_url}{path}{query}", json=SOFT_BODIES[path] | changes)
        assert told.status_code == 200, told.text
        return REWARD_OF[path](told.json())

    with Client(fake_server.rest_url) as oracle:
        prompt = (Message(role="user", content=QUESTION),)
        hard, soft = (
            oracle.score_one(
                prompt, ["Yes."], rubric_id="general-medical", reward_weights=WeightsSpec(proficiency_mode=mode)
            ).result.responses[0].scores.reward
            for mode in ("hard", "soft")
        )  # fmt: skip
    assert hard != soft
    assert asked("") == asked("?proficiency_mode=hard") == pytest.approx(hard)
    assert asked("?proficiency_mode=soft") == pytest.approx(soft)
    if path == "/verify":
        assert asked("", proficiency_mode="soft") == pytest.approx(soft)
        assert asked("?proficiency_mode=hard", proficiency_mode="soft") == pytest.approx(hard)
        told = httpx.post(f"{fake_server.rest_url}{path}", json=SOFT_BODIES[path] | {"proficiency_mode": "medium"})
        assert (told.status_code, "proficiency_mode" in told.text) == (422, True)


def test_dropin_refuses_a_mode_that_it_does_not_know(fake_server):
    told = httpx.post(f"{fake_server.rest_url}/rm?proficiency_mode=medium", json=SOFT_BODIES["/rm"])
    assert told.status_code == 422
    assert "proficiency_mode" in told.text


def test_dropin_default_rubric_must_exist():
    command = [sys.executable, "-m", "promedical_service", "--engine=fake", "--default-rubric=nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "default_rubric: there is no rubric nonsense; choose one of general-medical@1" in done.stderr


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=6,
)


def paths_in(value, path=()):
    """Every place of a body, itself included."""
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in below:
        yield from paths_in(child, (*path, name))


def with_changed(value, path, change):
    if not path:
        return change
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_changed(value[path[0]], path[1:], change)
    return copy


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda drop_in: drop_in.method)
def test_dropin_answers_no_body_with_500(fake_server, drop_in):
    bodies: list[Any] = [drop_in.example, *CONVERSATIONS.get(drop_in.method, ())]
    places = [(body, path) for body in bodies for path in paths_in(body)]

    with httpx.Client(base_url=fake_server.rest_url, timeout=60) as http:

        @settings(max_examples=60, deadline=None)
        @given(place=st.sampled_from(places), change=_ANYTHING)
        def ask(place, change):
            body, path = place
            content = json.dumps(with_changed(body, path, change))
            reply = http.post(drop_in.paths[0], content=content, headers={"content-type": "application/json"})
            assert reply.status_code in {200, 404, 413, 422}, reply.text
            json.loads(reply.text, parse_constant=pytest.fail)

        ask()


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/classify", {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ("/classify", {"messages": [{"role": [], "content": "x"}]}, "messages[0].role"),
        ("/rm", {"prompt": [{"role": "user", "content": 5}], "response": "r"}, "prompt[0].content"),
        (
            "/verify",
            VERIFY.example | {"responses_create_params": {"input": [{"role": "user", "content": 5}]}},
            "responses_create_params.input[0].content",
        ),
    ],
)
async def test_dropin_names_content_that_is_no_text(client, path, body, field):
    reply = await client.post(path, json=body)
    assert (reply.status_code, reply.json()["code"], reply.json()["field"]) == (422, "invalid_request", field)


@pytest.mark.parametrize("path", PATHS)
async def test_dropin_refuses_numbers_that_are_not_finite_and_writes_none(client, path):
    drop_in = next(drop_in for drop_in in DROP_INS if path in drop_in.paths)
    for number in ("1e999", "-1e999", "NaN", "Infinity"):
        body = json.dumps(drop_in.example | {"note": "NUMBER"}).replace('"NUMBER"', number)
        reply = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
        assert "finite" in reply.json()["detail"]


async def timed(client):
    """How many requests were timed, by lane."""
    text = (await client.get("/metrics")).text
    return {lane: float(count) for lane, count in re.findall(r'scoring_seconds_count\{lane="(\w+)"\} (\S+)', text)}


@pytest.mark.parametrize(
    ("path", "body", "lane"),
    [
        ("/rerank", {"query": QUESTION, "texts": ANSWERS}, "interactive"),
        ("/predict", {"inputs": [[QUESTION, "Ask."], ["Is it safe?", "No."]]}, "bulk"),
        ("/predict", {"inputs": [QUESTION, "Ask."]}, "interactive"),
        ("/rm", {"prompt": QUESTION, "response": "Ask.", "label": ""}, "bulk"),
        ("/rm?priority=interactive", {"prompt": QUESTION, "response": "Ask.", "label": ""}, "interactive"),
    ],
)
async def test_dropin_is_timed_in_the_lane_that_it_takes(client, path, body, lane):
    before = await timed(client)
    (await client.post(path, json=body)).raise_for_status()
    after = await timed(client)
    assert {name for name in after if after[name] > before[name]} == {lane}
