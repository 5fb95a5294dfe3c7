"""The whole product with real weights: the default model on CPU behind both transports, asked through the SDK."""

import gzip
import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import grpc
import httpx
import pytest
from pydantic import TypeAdapter

from promedical import messages as m
from promedical.v1 import reward_pb2 as pb
from promedical.v1 import reward_pb2_grpc
from promedical.v1.requests import encode_score_request
from promedical.v1.responses import decode_score_response
from promedical_client import Client

REAL_TOLERANCE = 1e-4 + 1e-3
"""1e-4 for real models in fp32, and one step of the rounding of logits."""
DATA = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))

EXAMPLE = (files("promedical_service.edges.rest") / "example_request.json").read_text("utf-8")


def item(number: int) -> m.ScoreItem:
    topics = ["fever", "a cough", "back pain", "a rash", "insomnia", "nausea"]
    return m.ScoreItem(
        id=f"item-{number}",
        prompt=f"What helps against {topics[number % len(topics)]} since {number + 2} days?",
        responses=(f"Rest and fluids. {'See a doctor. ' * (number % 4)}", "Nothing.")[: 1 + number % 2],
        rubric=m.RubricSpec(
            criteria=(
                m.CriterionSpec(id="doctor", text="Advises seeing a doctor.", dimension="proficiency"),
                m.CriterionSpec(id="harm", text=f"Dismisses the symptom {number % 3}.", dimension="safety"),
            )
        ),
    )


def logits(outcome: m.ItemOutcome) -> list[float]:
    assert outcome.result is not None
    return [c.logit for r in outcome.result.responses if r.scores for c in r.scores.criteria]


def rest_numbers(body: dict) -> list[float]:
    scores = [r["scores"] for r in body["items"][0]["result"]["responses"]]
    return [s["reward"] for s in scores] + [
        c[k] for s in scores for c in s["criteria"] for k in ("logit", "probability")
    ]


def test_contract_example_over_rest_equals_its_grpc_twin(default_server):
    over_rest = httpx.post(
        f"{default_server.rest_url}/v1/score",
        content=EXAMPLE,
        headers={"content-type": "application/json"},
        timeout=120,
    )
    assert over_rest.status_code == 200, over_rest.text
    twin = encode_score_request(TypeAdapter(m.ScoreRequest).validate_json(EXAMPLE))
    with grpc.insecure_channel(default_server.grpc_target) as channel:
        over_grpc = decode_score_response(reward_pb2_grpc.RewardServiceStub(channel).ScoreBatch(twin, timeout=120))
    as_json = json.loads(TypeAdapter(m.ScoreResponse).dump_json(over_grpc))
    assert rest_numbers(over_rest.json()) == pytest.approx(rest_numbers(as_json), abs=REAL_TOLERANCE)
    assert over_rest.json()["model"] == as_json["model"]
    assert over_rest.json()["items"][0]["result"]["safety_checked"] is True
    assert over_rest.json()["usage"] == as_json["usage"]


@pytest.mark.timeout(1200)  # a hundred items on a machine that others use too
def test_score_of_one_item_is_the_same_among_fifty_others_in_any_order_on_both_transports(default_server):
    probe, others = item(1000), [item(number) for number in range(50)]
    with Client(default_server.grpc_url, timeout_s=500) as over_grpc, Client(default_server.rest_url) as over_rest:
        alone = logits(over_grpc.score([probe]).items[0])
        for client, seed in ((over_grpc, 1), (over_rest, 2)):
            crowd = [*others, probe]
            random.Random(seed).shuffle(crowd)
            answer = client.score(crowd, timeout_s=500)
            assert [outcome.id for outcome in answer.items] == [one.id for one in crowd]
            among = logits(answer.items[crowd.index(probe)])
            assert among == pytest.approx(alone, abs=REAL_TOLERANCE)


def test_model_says_what_the_default_is(default_server):
    with Client(default_server.rest_url) as client:
        info = client.model()
    assert info.status == "trained"
    assert "Explicit Criteria Injection" in info.description
    assert "non-commercial" in info.licence
    assert info.calibration.startswith("platt ")
    assert (info.model.engine, info.model.dtype) == ("torch", "float32")


def test_prompt_of_100000_tokens_is_too_long_with_numbers_and_its_siblings_are_scored(default_server):
    long = replace(item(1), prompt="pain " * 100_000, id="long")
    with Client(default_server.grpc_url) as client:
        answer = client.score([long, item(2)])
    errors = [response.error for response in answer.items[0].result.responses]
    assert {error.code for error in errors} == {"too_long"}
    assert "8192" in errors[0].message
    assert answer.items[1].result.responses[0].scores is not None


def test_identical_responses_tie_and_cost_once(default_server):
    twice = replace(item(0), responses=("Rest.", "Rest.", "Rest."))
    once = replace(item(0), responses=("Rest.",))
    with Client(default_server.grpc_url) as client:
        two, one = client.score([twice]), client.score([once])
    assert two.items[0].result.ranking == ((0, 1, 2),)
    assert two.usage.tokens_computed == one.usage.tokens_computed
    assert two.usage.tokens_flat == 3 * one.usage.tokens_flat
    assert {response.scores for response in two.items[0].result.responses} == {one.items[0].result.responses[0].scores}


def test_expected_fingerprint_of_another_oracle_is_refused(default_server):
    with grpc.insecure_channel(default_server.grpc_target) as channel:
        request = encode_score_request(m.ScoreRequest(items=(item(0),), expected_fingerprint="0" * 32))
        with pytest.raises(grpc.RpcError) as refused:
            reward_pb2_grpc.RewardServiceStub(channel).ScoreBatch(request, timeout=60)
        model = reward_pb2_grpc.RewardServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=60).model
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert model.fingerprint in refused.value.details()


def test_cli_scores_real_criteria_data(default_server, tmp_path):
    source = DATA / "criteria" / "dev.jsonl.gz"
    if not source.exists():
        pytest.skip(f"criteria data is not at hand ({source.name}; set PROMEDICAL_DATA)")
    with gzip.open(source, "rt") as lines:
        record = min(
            map(json.loads, lines), key=lambda r: sum(len(x["text"]) for x in r["responses"]) * len(r["criteria"])
        )
    (tmp_path / "one.jsonl").write_text(json.dumps(record) + "\n")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("promedical")), "score", "one.jsonl", "--out", "out.jsonl"],
        cwd=tmp_path,
        env=os.environ | {"PROMEDICAL_URL": default_server.grpc_url},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    result = json.loads(line)["result"]
    assert len(result["responses"]) == len(record["responses"])
    assert [c["id"] for c in result["responses"][0]["scores"]["criteria"]] == [c["id"] for c in record["criteria"]]


def test_log_of_the_real_service_holds_no_text_of_requests(default_server):
    secret = "zzcanaryzz"
    spoken = replace(item(3), prompt=f"{secret} hurts", responses=(f"{secret}", ""))
    with Client(default_server.rest_url) as client:
        answer = client.score([spoken])
        metrics = httpx.get(f"{default_server.rest_url}/metrics").text
    assert answer.items[0].result.responses[1].error.code == "empty_response"
    assert secret not in default_server.log
    assert secret not in metrics


def test_drop_in_requests_get_the_rewards_of_the_native_api(default_server):
    """What verl sends, beside the native answer."""
    question, answers = "What helps against a cough?", ["Rest and fluids.", "See a doctor.", "Nothing."]
    criteria = [{"id": "doctor", "text": "Advises seeing a doctor.", "dimension": "proficiency"}]
    text = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
    bodies = [{"input": text.format(question, a), "use_activation": False, "rubric": criteria} for a in answers]
    with ThreadPoolExecutor(len(bodies)) as threads:
        ask = lambda body: httpx.post(f"{default_server.rest_url}/classify", json=body, timeout=60)  # noqa: E731
        told = [reply.json()["data"][0]["probs"][0] for reply in threads.map(ask, bodies)]
    rubric = m.RubricSpec(criteria=(m.CriterionSpec(id="doctor", text=criteria[0]["text"], dimension="proficiency"),))
    prompt = (m.Message(role="user", content=question),)
    asked = m.ScoreItem(id="a", prompt=prompt, responses=tuple(answers), rubric=rubric)
    with Client(default_server.grpc_url) as client:
        (outcome,) = client.score([asked]).items
    assert told == [response.scores.reward for response in outcome.result.responses]
