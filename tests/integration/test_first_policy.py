"""The first run of docs/grpo.md in short: the real oracle, the real policy, the shipped data, fewer steps."""

import json
import sys

import pytest

from policies import settings, train_policy
from promedical_trainer.grpo.example import RECIPE, write_example

STEPS = 3


@pytest.mark.first_policy
def test_first_policy_trains_against_the_default_oracle(default_server, tmp_path):
    write_example(tmp_path / "first-policy")
    run = tmp_path / "run"
    command = [sys.executable, "-m", "promedical_trainer.cli", "grpo", "--recipe", RECIPE]
    command += ["--oracle", default_server.grpc_url, "--data", str(tmp_path / "first-policy"), "--output", str(run)]
    fewer = settings(optimisation__steps=STEPS, generation__max_tokens=16, evaluation__prompts=2)
    done = train_policy([*command, *fewer], timeout_s=280)
    assert done.returncode == 0, done.stderr

    numbers = json.loads((run / "summary.json").read_text())
    assert (numbers["steps"], numbers["samples"], numbers["scored"]) == (STEPS, 8 * STEPS, 8 * STEPS)
    assert numbers["held_out"]["reward"]["change"]["n"] == 2
    assert numbers["oracle"] == json.loads((run / "oracle.json").read_text())["fingerprint"]
    html = (run / "summary.html").read_text()
    assert "data:image/svg+xml;base64," in html
    assert "Held-out prompts" in html
    assert (run / "policy" / "adapter_model.safetensors").is_file()
