"""One oracle, two policies in training and a product client at once: right answers to each, and fair shares."""

import statistics
import subprocess

import pytest

import gated
from gated import item
from policies import CANARY, environment, grpo_command, settings, write_prompts
from promedical.reward import RewardWeights
from promedical_client import Client
from promedical_trainer.grpo.audit import audit, read_completions
from serving import running_server

KEYS = {name: f"{name}-0123456789abcdef" for name in ("left", "right", "product")}


@pytest.mark.alone
def test_one_oracle_serves_two_trainers_and_a_product_at_once(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name}:{key}\n" for name, key in KEYS.items()))
    slowed = {"program": (gated.__file__,), "FAKE_TOKENS_PER_S": "30000"}
    question = item(responses=("Rest.", "Take ten at once."))

    with running_server("--engine=fake", f"--keys-file={keys}", **slowed) as server:
        with Client(server.grpc_url, api_key=KEYS["product"]) as product:
            alone = product.score([question]).items
            trainers = [start(tmp_path / name, server.grpc_url, KEYS[name]) for name in ("left", "right")]
            answers = []
            while any(trainer.poll() is None for trainer in trainers):
                answers.append(product.score([question]).items)
        said = [trainer.communicate(timeout=60) for trainer in trainers]
        calls = server.events("request")

    assert [trainer.returncode for trainer in trainers] == [0, 0], said
    assert all(answer == alone for answer in answers)
    for name in ("left", "right"):
        checked = audit(read_completions(tmp_path / name / "run" / "training"), RewardWeights())
        assert checked.samples == checked.scored == 8 * 20
        assert checked.largest_difference < 1e-6
    spent = {
        name: [call["ms"] for call in calls if call["key"] == name and call["method"] == "ScoreBatch"] for name in KEYS
    }
    assert min(map(len, spent.values())) >= 20
    left, right, product_ms = (statistics.median(spent[name]) for name in KEYS)
    assert max(left, right) < 2 * min(left, right)
    assert product_ms < min(left, right)
    assert CANARY not in server.log + str(said)


def start(folder, url, key):
    """A policy in training, with texts of its own."""
    data = write_prompts(folder / "data", 6, first=len(folder.name))
    flags = settings(optimisation__steps=20, optimisation__seed=len(folder.name))
    command = grpo_command(data, folder / "run", url, *flags)
    env = environment() | {"PROMEDICAL_API_KEY": key}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
