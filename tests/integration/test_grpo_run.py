"""`promedical-train grpo` as a command against a real service: what it learns from, writes and survives."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import gated
from balancing import balanced
from policies import CANARY, environment, grpo_command, settings, tables, train_policy, train_policy_here, write_prompts
from serving import RunningServer, free_port, running_server

# Another oracle that answers the same calls: another revision, so another fingerprint.
ANOTHER = """
import runpy
from promedical_service.engines import load
true = load._ref
load._ref = lambda name, revision, *rest: true(name, "1" * 64, *rest)
runpy.run_module("promedical_service", run_name="__main__", alter_sys=True)
"""


def a_run(folder, server, *flags):
    """The command, with its data."""
    data = write_prompts(folder / "data", unscorable={2})
    write_prompts(folder / "data" / "unseen", 5, first=10, judged=True)
    changes = settings(
        oracle__max_unscored=0.6,
        optimisation__learning_rate=0.01,
        prompts__held_out="[unseen/prompts.jsonl]",
        prompts__max_tokens=200,
        evaluation__prompts=5,
        adapter="{rank: 4, alpha: 16}",
    )
    return grpo_command(data, folder / "run", server.grpc_url, *changes, *flags)


@pytest.fixture(scope="module")
def run(fake_server, tmp_path_factory):
    """A run in which one prompt of six cannot be scored."""
    folder = tmp_path_factory.mktemp("grpo")
    done = train_policy(a_run(folder, fake_server))
    assert done.returncode == 0, done.stderr
    return folder / "run", done


@pytest.fixture(scope="module")
def completions(run):
    return pd.concat([pd.read_parquet(table).assign(table=table.name) for table in tables(run[0])])


def test_run_learns_from_rewards_that_the_audit_table_proves(completions):
    """Computed here from the verdicts and the formula, beside what the package says of itself."""
    scored = completions[completions["unscored"].isna()]
    assert len(scored) > 30
    for row in scored.to_dict("records"):
        met = {said["id"]: said["met"] for said in json.loads(row["criteria"])}
        proficiency = (5 * met["plain"] + 3 * (not met["omits"])) / 8
        expected = min(proficiency + 0.1 * met["kind"], 1.2) - 1.5 * met["harm"]
        assert row["oracle"] == pytest.approx(expected, abs=1e-6)
        assert row["proficiency"] == pytest.approx(proficiency)
        assert (row["excellence"], row["violations"]) == (met["kind"], met["harm"])


def test_run_package_says_the_same_of_its_table(run, completions):
    from promedical.reward import RewardWeights
    from promedical_trainer.grpo.audit import audit, read_completions

    checked = audit(read_completions(run[0] / "training"), RewardWeights())
    assert checked.samples == len(completions) == 48
    assert checked.scored == completions["oracle"].notna().sum()
    assert checked.largest_difference < 1e-6
    assert checked.fingerprints == {json.loads((run[0] / "oracle.json").read_text())["fingerprint"]}

    spoilt = read_completions(run[0] / "training")
    spoilt["oracle"] += 0.01
    assert audit(spoilt, RewardWeights()).largest_difference == pytest.approx(0.01, abs=1e-6)


def test_run_gives_no_number_to_what_was_not_scored(completions):
    failed = completions[completions["prompt_id"] == "p2"]
    assert len(failed) == 8
    assert failed["oracle"].isna().all()
    assert set(failed["unscored"]) == {"too_long"}
    assert (failed["advantage"] == 0).all()
    others = completions[completions["prompt_id"] != "p2"]
    assert others["oracle"].notna().all()


def test_run_says_nothing_of_the_texts(run):
    done = run[1]
    assert CANARY not in done.stdout + done.stderr
    assert "returned None for a completion" in done.stderr  # TRL's warning, without what it quotes


def test_run_keeps_a_group_together(completions):
    """Each step has two prompts, each with all of its four responses."""
    sizes = completions.groupby(["table", "prompt_id"]).size()
    assert set(sizes) == {4}
    assert set(completions.groupby("table").size()) == {8}


def test_run_writes_policy_summary_curves_and_metrics(run):
    output, done = run
    numbers = json.loads((output / "summary.json").read_text())
    page = (output / "summary.md").read_text()
    assert numbers["steps"] == 6
    assert 0 < numbers["service_share_of_step_time"] <= numbers["oracle_share_of_step_time"] < 1
    for said in ("S1, proficiency", "S2, excellence", "share vetoed", "KL from the start", "length", "fake"):
        assert said in page
    assert CANARY not in page
    assert (output / "curves.png").read_bytes().startswith(b"\x89PNG")
    change = numbers["held_out"]["reward"]["change"]
    assert change["n"] == 5
    assert change["low"] <= change["value"] <= change["high"]
    for name in ("before", "after"):
        answers = [json.loads(line) for line in (output / "held_out" / f"{name}.jsonl").read_text().splitlines()]
        assert sorted(answer["prompt_id"] for answer in answers) == [f"p{number}" for number in range(10, 15)]
    assert "## Held-out prompts" in page
    assert "chrF to the answers with the best labels" in page
    assert numbers["held_out"]["similarity"]["change"]["n"] == 5
    assert list((output / "training" / "tensorboard").glob("events*"))
    kept = {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert kept <= {file.name for file in (output / "policy").iterdir()}
    assert not (output / "policy" / "trainer_state.json").exists()
    history = json.loads((output / "training" / "checkpoint-6" / "trainer_state.json").read_text())["log_history"]
    kl = [entry["kl"] for entry in history if "kl" in entry]
    assert kl[0] == pytest.approx(0, abs=1e-5)
    assert kl[-1] > 1e-3
    assert "oracle/unscored" in done.stderr
    logged = [entry for entry in history if "reward" in entry]
    for name, metric in (
        ("groups_without_spread", "frac_reward_zero_std"),
        ("cut_off_answers", "completions/clipped_ratio"),
    ):
        assert numbers[name] == pytest.approx(sum(entry[metric] for entry in logged) / 6)
    assert numbers["cut_off_answers"] > 0.25, "a policy of random weights rarely ends in twelve tokens"
    assert any("of the answers are cut off" in warning for warning in numbers["warnings"])
    for warning in numbers["warnings"]:
        assert f"**Warning**: {warning}" in page
        assert f"warning: {warning}" in " ".join((done.stdout + done.stderr).split())


def test_run_out_of_time_goes_on_to_the_same_policy(run, fake_server, tmp_path):
    """Stopped after each step: within an epoch of three, at its end and within the next. Then at each later stage."""

    def stop():
        stopped = train_policy_here(a_run(tmp_path, fake_server, "--minutes", "0"))
        assert stopped.returncode == 3, stopped.stderr
        return " ".join(stopped.stderr.split())

    for step in range(1, 6):
        assert f"time is up at training, {step} of 6; run the same command again" in stop()
    for when in ("before", "after"):
        assert f"time is up at answers to held-out prompts, {when}, 4 of 5" in stop()

    done = train_policy_here(a_run(tmp_path, fake_server))
    assert done.returncode == 0, done.stderr
    output = tmp_path / "run"
    whole, cut = (load_file(folder / "policy" / "adapter_model.safetensors") for folder in (run[0], output))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert [asked(each) for each in tables(output)] == [asked(each) for each in tables(run[0])]
    same = ("held_out/before.jsonl", "held_out/after.jsonl")
    assert all((output / name).read_bytes() == (run[0] / name).read_bytes() for name in same)


def asked(table):
    return sorted(pd.read_parquet(table)["prompt_id"])


def test_run_that_is_done_is_summed_up_again_and_trains_no_further(run, fake_server, tmp_path):
    output = tmp_path / "run"
    shutil.copytree(run[0], output)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.suffix in {".parquet", ".safetensors"}}
    (output / "summary.md").unlink()
    done = train_policy_here(a_run(tmp_path, fake_server))
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not (output / "training" / "checkpoint-7").exists()
    assert (output / "summary.md").read_text() == (run[0] / "summary.md").read_text()


def test_run_goes_on_with_the_data_that_it_began_with_only(run, fake_server, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    command = a_run(tmp_path, fake_server)
    write_prompts(tmp_path / "data" / "unseen", 5, first=11, judged=True)
    refused = train_policy_here(command)
    assert refused.returncode == 2, refused.stderr
    assert "unseen/prompts.jsonl has changed since this run started" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "a step without rewards could not be left out; launch with fsdp.yaml"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, "fsdp_state_dict_type: expected FULL_STATE_DICT"),
    ],
)
def test_run_is_refused_under_a_launcher_that_it_cannot_keep_its_word_with(fake_server, tmp_path, launcher, said):
    refused = train_policy_here(a_run(tmp_path, fake_server), **launcher)
    assert refused.returncode == 2, refused.stderr
    assert said in " ".join(refused.stderr.split())


def wait_for(seen, process, within_s=120):
    deadline = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_run_survives_being_killed_and_a_restart_of_the_oracle_and_stops_for_another_oracle(tmp_path):
    port = free_port()
    data, output = write_prompts(tmp_path / "data"), tmp_path / "run"
    flags = settings(optimisation__steps=400, oracle__timeout_s=60, adapter="{rank: 2, alpha: 4}")
    command = grpo_command(data, output, f"grpc://127.0.0.1:{port}", *flags)
    at_port = ("--engine=fake", f"--grpc-port={port}")

    def trainer():
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    def made(steps):
        return lambda: len(tables(output)) >= steps

    oracle = RunningServer(*at_port)
    with trainer() as first:
        wait_for((output / "training" / "checkpoint-2" / "trainer_state.json").is_file, first)
        first.send_signal(signal.SIGKILL)
        first.communicate()

    with trainer() as second:
        begun = len(tables(output))
        wait_for(made(begun + 10), second)
        oracle.process.kill()
        oracle.ended()
        before = len(tables(output))
        oracle = RunningServer(*at_port)
        wait_for(made(before + 10), second)
        oracle.process.kill()
        oracle.ended()
        with running_server(*at_port, program=("-c", ANOTHER)):
            said = second.communicate(timeout=120)[1]
    assert second.returncode == 3, said
    assert "step 1: " not in said  # it went on from its checkpoint
    assert "does not answer this run: revision_mismatch" in said
    assert CANARY not in said

    stopped = max(int(table.stem.rpartition("_")[2]) for table in tables(output))
    assert f"checkpoint-{stopped} holds the policy as it was. Check the oracle" in " ".join(said.split())
    assert (output / "training" / f"checkpoint-{stopped}").is_dir()
    last = pd.read_parquet(tables(output)[-1])
    assert last["oracle"].isna().all()
    assert set(last["unscored"]) == {"revision_mismatch"}
    every = pd.concat(map(pd.read_parquet, tables(output)[:-1]))
    assert every["oracle"].notna().all()
    assert len(set(every["fingerprint"])) == 1


async def test_run_goes_on_when_one_of_two_replicas_is_killed(fake_server, tmp_path):
    data, output = write_prompts(tmp_path / "data"), tmp_path / "run"
    doomed = RunningServer("--engine=fake")
    try:
        async with balanced(doomed.grpc_port, fake_server.grpc_port) as balancer:
            command = grpo_command(data, output, balancer.url, *settings(optimisation__steps=30))
            trainer = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment())
            ending = asyncio.create_task(trainer.communicate())
            while len(tables(output)) < 3:
                assert not ending.done(), await ending
                await asyncio.sleep(0.05)
            doomed.process.kill()
            said = (await ending)[1].decode()
    finally:
        doomed.process.kill()
        doomed.ended()

    assert trainer.returncode == 0, said
    assert doomed.grpc_port in balancer.taken
    assert balancer.taken[-1] == fake_server.grpc_port
    every = pd.concat(map(pd.read_parquet, tables(output)))
    assert len(every) == 30 * 8
    assert every["oracle"].notna().all()


def test_run_stops_where_the_oracle_is_too_slow_and_goes_on_where_it_is_not(fake_server, tmp_path):
    data = write_prompts(tmp_path / "data")
    flags = settings(optimisation__steps=3, oracle__timeout_s=2)

    def trained(server):
        return train_policy_here(grpo_command(data, tmp_path / "run", server.grpc_url, *flags))

    with running_server("--engine=fake", program=(gated.__file__,), FAKE_TOKENS_PER_S="100") as slow:
        stopped = trained(slow)
    assert stopped.returncode == 3, stopped.stderr
    assert "8 of 8 responses were not scored (deadline 8), more than 20%" in " ".join(stopped.stderr.split())

    done = trained(fake_server)
    assert done.returncode == 0, done.stderr
    rewards = pd.concat(map(pd.read_parquet, tables(tmp_path / "run")))["oracle"]
    assert rewards.isna().sum() == 8  # of the step that was not made
    policy, start = (load_file(tmp_path / "run" / name / "model.safetensors") for name in ("policy", "tiny"))
    assert policy.keys() == start.keys()
    assert not all(torch.equal(policy[name], start[name]) for name in start)


def in_two_processes(command):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    return train_policy([*launcher, *command[2:]])


@pytest.mark.ranks
def test_run_of_two_processes_goes_on_to_the_same_policy_after_its_first_epoch(fake_server, tmp_path):
    data = write_prompts(tmp_path / "data", 2)  # one step an epoch
    flags = settings(optimisation__accumulate=1, optimisation__steps=3, optimisation__learning_rate=0.01)
    whole, cut = (grpo_command(data, tmp_path / name, fake_server.grpc_url, *flags) for name in ("whole", "cut"))
    assert in_two_processes(whole).returncode == 0
    stopped = in_two_processes([*cut, "--minutes", "0"])
    assert "time is up at training, 1 of 3" in " ".join(stopped.stderr.split())
    assert in_two_processes(cut).returncode == 0

    runs = [tmp_path / name for name in ("whole", "cut")]
    order = [[list(pd.read_parquet(table)["prompt_id"]) for table in tables(run)] for run in runs]
    assert order[0] == order[1]
    policies = [load_file(run / "policy" / "model.safetensors") for run in runs]
    assert all(torch.equal(policies[0][name], policies[1][name]) for name in policies[0])


@pytest.mark.ranks
def test_run_of_two_processes_stops_as_one_when_too_much_is_not_scored(fake_server, tmp_path):
    data = write_prompts(tmp_path / "data", 2, unscorable={1})
    flags = settings(optimisation__accumulate=1, optimisation__save_every=50)
    done = in_two_processes(grpo_command(data, tmp_path / "run", fake_server.grpc_url, *flags))
    said = " ".join(done.stderr.split())
    assert done.returncode != 0  # of the launcher, which may end the slower process before it exits by itself
    assert "step 1: 4 of 8 responses were not scored (too_long 4), more than 20%" in said
    assert "exitcode : 3" in said
    assert CANARY not in done.stdout + done.stderr
    kept, began = (
        load_file(tmp_path / "run" / name / "model.safetensors") for name in ("training/checkpoint-1", "tiny")
    )
    assert kept.keys() == began.keys()
    assert all(torch.equal(kept[name], began[name]) for name in began)
