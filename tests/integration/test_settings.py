"""The settings of the reward mean the same on every surface: CLI, SDK, REST, gRPC, drop-ins, adapters."""

import asyncio
import json
from urllib.parse import urlencode

import httpx
import pytest
from typer.testing import CliRunner

from promedical import messages as m
from promedical_client import Client, InvalidRequestError, WeightsSpec
from promedical_client.cli.app import app
from promedical_client.integrations import Grader, trl, verl

QUESTION, ANSWERS = "How much paracetamol a day?", ["At most 4 g.", "As much as you like.", " "]
RUBRIC = "general-medical"
CHOSEN = {"proficiency_mode": "soft", "excellence_weight": 0.25, "excellence_cap": 0.5, "violation_penalty": 2.5}
UNSCORED = -1.25
PROMPT = [{"role": "user", "content": QUESTION}]
CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"


@pytest.fixture(scope="module")
def native(fake_server):
    """What the algebra makes of the two answers by the chosen settings, without a base rubric and with one."""
    with Client(fake_server.grpc_url) as oracle:
        asked = {"rubric_id": RUBRIC, "reward_weights": WeightsSpec(**CHOSEN), "unscored_reward": UNSCORED}
        outcome = oracle.score_one((m.Message(role="user", content=QUESTION),), ANSWERS, **asked)
        usual = oracle.score_one((m.Message(role="user", content=QUESTION),), ANSWERS, rubric_id=RUBRIC)
    rewards = worth(outcome)
    assert rewards[:2] != worth(usual)[:2]
    return rewards


def worth(outcome):
    return [each.scores.reward if each.scores else each.error.unscored_reward for each in outcome.result.responses]


@pytest.fixture
def item():
    return {"id": "a", "prompt": PROMPT, "responses": ANSWERS, "rubric_id": RUBRIC}


@pytest.mark.parametrize("wire", ["rest_url", "grpc_url"])
def test_both_wires_repeat_the_reward_of_what_is_not_scored_in_its_error(fake_server, wire):
    good = m.ScoreItem(id="good", prompt=QUESTION, responses=("At most 4 g.", ""), rubric_id=RUBRIC)
    bad = m.ScoreItem(id="bad", prompt=QUESTION, responses=("At most 4 g.",), rubric=m.RubricSpec(criteria=()))
    with Client(getattr(fake_server, wire)) as oracle:
        said = oracle.score([good, bad], unscored_reward=UNSCORED).items
        silent = oracle.score([good, bad]).items
    assert [each.error and each.error.unscored_reward for each in said[0].result.responses] == [None, UNSCORED]
    assert said[0].result.responses[1].scores is None
    assert said[1].error.unscored_reward == UNSCORED
    assert (silent[0].result.responses[1].error.unscored_reward, silent[1].error.unscored_reward) == (None, None)


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
@pytest.mark.parametrize("wire", ["rest_url", "grpc_url"])
def test_both_wires_refuse_a_reward_that_is_not_finite(fake_server, wire, reward):
    with (
        Client(getattr(fake_server, wire)) as oracle,
        pytest.raises(InvalidRequestError, match=r"unscored_reward|not JSON"),
    ):
        oracle.score_one(QUESTION, ["At most 4 g."], rubric_id=RUBRIC, unscored_reward=reward)


def test_rest_takes_the_settings(fake_server, native, item):
    body = {"items": [item], "reward_weights": CHOSEN, "unscored_reward": UNSCORED}
    told = httpx.post(f"{fake_server.rest_url}/v1/score", json=body).json()["items"][0]["result"]["responses"]
    rewards = [each["scores"]["reward"] if each["scores"] else each["error"]["unscored_reward"] for each in told]
    assert rewards == native


def test_score_takes_the_settings_as_options(fake_server, native, item, tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(item))
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**CHOSEN, "unscored_reward": UNSCORED}.items()]
    done = CliRunner().invoke(app, ["score", str(path), "--url", fake_server.grpc_url, "--format", "jsonl", *options])
    told = json.loads(done.stdout)["result"]["responses"]
    assert done.exit_code == 1
    assert [each["scores"]["reward"] for each in told[:2]] == native[:2]
    assert told[2]["error"]["unscored_reward"] == UNSCORED
    table = CliRunner().invoke(app, ["score", str(path), "--url", fake_server.grpc_url, *options])
    assert "error: -1.250" in table.stdout


def test_rank_takes_the_settings_beside_those_of_its_file(fake_server, native, item, tmp_path):
    path = tmp_path / "rank.json"
    weights = {name: value for name, value in CHOSEN.items() if name != "proficiency_mode"}
    path.write_text(json.dumps({**{k: v for k, v in item.items() if k != "id"}, "reward_weights": weights}))
    options = ["--proficiency-mode", "soft", "--url", fake_server.grpc_url, "--format", "jsonl"]
    done = CliRunner().invoke(app, ["rank", str(path), *options])
    told = json.loads(done.stdout)["result"]["responses"]
    assert [each["scores"]["reward"] for each in told[:2]] == native[:2]


@pytest.mark.parametrize("option", ["--violation-penalty=0.5", "--excellence-weight=1", "--excellence-cap=nan"])
def test_score_names_a_weight_that_cannot_be_used(fake_server, item, tmp_path, option):
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(item))
    done = CliRunner().invoke(app, ["score", str(path), "--url", fake_server.grpc_url, option])
    assert (done.exit_code, option[2:8].replace("-", "_") in done.stderr) == (2, True)


BODIES = {
    "/get_reward": lambda text: {"query": [QUESTION + text], "prompts": [QUESTION]},
    "/rm": lambda text: {"prompt": QUESTION, "response": text},
    "/classify": lambda text: {"input": CHATML.format(QUESTION, text), "use_activation": False},
    "/v1/embeddings": lambda text: {"input": CHATML.format(QUESTION, text)},
    "/verify": lambda text: {
        "responses_create_params": {"input": QUESTION},
        "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}]},
    },
    "/rerank": lambda text: {"query": QUESTION, "texts": [text], "raw_scores": True},
    "/predict": lambda text: {"inputs": [QUESTION, text], "raw_scores": True},
}
REWARD_OF = {
    "/get_reward": lambda told: told["rewards"][0],
    "/rm": lambda told: told,
    "/classify": lambda told: told["data"][0]["probs"][0],
    "/v1/embeddings": lambda told: told["data"][0]["embedding"][0],
    "/verify": lambda told: told["reward"],
    "/rerank": lambda told: told[0]["score"],
    "/predict": lambda told: told[0]["score"],
}


@pytest.mark.parametrize("path", BODIES)
def test_dropin_takes_the_settings_from_its_url(fake_server, native, path):
    query = urlencode({**CHOSEN, "unscored_reward": UNSCORED, "rubric_id": RUBRIC})
    replies = [
        httpx.post(f"{fake_server.rest_url}{path}?{query}", json=BODIES[path](answer), timeout=60) for answer in ANSWERS
    ]
    assert [reply.status_code for reply in replies] == [200] * 3
    assert [REWARD_OF[path](reply.json()) for reply in replies] == [pytest.approx(reward) for reward in native]
    assert [reply.headers["x-promedical-unscored"] for reply in replies] == ["0", "0", "1"]


def test_dropin_marks_what_was_not_scored_where_its_format_has_a_place(fake_server):
    def asked(path, more=""):
        url = f"{fake_server.rest_url}{path}?unscored_reward=0.5{more}"
        return httpx.post(url, json=BODIES[path](" "), timeout=60).json()

    lists = asked("/get_reward")
    assert (lists["scores"], lists["extra_logs"]["scored"]) == ([0.0], [0.0])
    assert asked("/rm", "&answer=object")["scored"] is False
    assert asked("/verify")["scored"] is False


@pytest.mark.parametrize(
    "query",
    ["unscored_reward=nan", "unscored_reward=x", "violation_penalty=0.5", "excellence_weight=2", "unscored_rewrd=-1"],
)
def test_dropin_refuses_a_setting_that_cannot_be_used(fake_server, query):
    reply = httpx.post(f"{fake_server.rest_url}/rm?{query}", json=BODIES["/rm"]("Yes."))
    assert reply.status_code == 422
    assert query.partition("=")[0].replace("rewrd", "reward") in reply.text


def test_adapters_take_the_settings_by_name(fake_server, native):
    prompts = [PROMPT] * 3
    answers = [[{"role": "assistant", "content": answer}] for answer in ANSWERS]
    settings = {**CHOSEN, "url": fake_server.grpc_url, "rubric_id": RUBRIC, "unscored_reward": UNSCORED}
    assert asyncio.run(trl.trl_reward(prompts, answers, **settings)) == native
    told = verl.compute_scores(ANSWERS, [None] * 3, [{"prompt": PROMPT}] * 3, **settings)
    assert [(one["score"], one["scored"]) for one in told] == [(native[0], 1.0), (native[1], 1.0), (UNSCORED, 0.0)]
    oracle = Grader(fake_server.grpc_url, rubric_id=RUBRIC, reward_weights=WeightsSpec(**CHOSEN), unscored_reward=0.5)
    assert asyncio.run(trl.trl_reward(prompts, answers, grader=oracle)) == [*native[:2], 0.5]
