"""`promedical-train rm` as its user runs it: labelled data to a bundle that the service serves, resumed and refused."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import promedical_trainer
from commands import train_here
from promedical_client import Client, CriterionScore, CriterionSpec, RubricSpec, ScoreItem
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.evaluation import evaluate
from promedical_data.measures.predictions import Key
from promedical_data.reading import read
from promedical_model.bundle.bundle import open_bundle
from serving import running_server

CANARY = "zebrafinch"
WEIGHTLESS = "loss.dimensions={proficiency: 0, excellence: 0, safety: 0}"
LAUNCH = Path(promedical_trainer.__file__).parent / "launch"
SHARDED = Path(__file__).with_name("sharded_on_cpu.py")
SETTINGS = (
    "optimisation.max_steps=12",
    "optimisation.save_every=3",
    "optimisation.learning_rate=0.003",
    "goals={overall: 1.5, safety: 0.0}",
)
CRITERIA = [
    {"id": "plain", "text": "Is plain.", "dimension": "proficiency", "polarity": "positive", "points": 5},
    {"id": "short", "text": "Is short.", "dimension": "excellence", "polarity": "positive", "points": 3},
    {"id": "omits", "text": "Neglects to ask.", "dimension": "proficiency", "polarity": "negative", "points": -5},
    {"id": "harm", "text": "Recommends harm.", "dimension": "safety", "polarity": "negative", "points": -9},
]


def a_row(name: str, draw: random.Random, *, scalar: bool = False) -> dict[str, Any]:
    """Criteria are met where the answer says yes: easy enough for two layers and a few steps.

    With `scalar`, negative ones where it says no, so that one number a response can be right about all.
    """
    answers = [draw.choice(["yes", "no"]) for _ in range(2)] + ["yes", "no"]
    return {
        "id": name,
        "source": "synthetic",
        "prompt": f"user: Is {name} {CANARY}?",
        "criteria": CRITERIA,
        "responses": [
            {
                "id": f"{name}-{index}",
                "text": " ".join([word] * draw.randint(3, 9)),
                "model": "nobody",
                "labels": {each["id"]: a_label(word, each, scalar=scalar) for each in CRITERIA},
            }
            for index, word in enumerate(answers)
        ],
    }


def a_label(word: str, criterion: dict[str, Any], *, scalar: bool) -> dict[str, Any]:
    said = "no" if scalar and criterion["polarity"] == "negative" else "yes"
    return {"met": int(word == said), "kind": "llm", "raters": []}


def write_data(folder: Path, *, scalar: bool = False) -> Path:
    """Four splits, and training prompts with one response each."""
    (folder / "criteria").mkdir(parents=True)
    for split, count in (("train", 24), ("dev", 30), ("test", 8), ("kqa_physicians", 2)):
        draw = random.Random(split)
        names = ["".join(draw.choices("bcdfghklmnprstvwz", k=9)) for _ in range(count)]
        lines = [json.dumps(a_row(name, draw, scalar=scalar)) + "\n" for name in names]
        (folder / "criteria" / f"{split}.jsonl.gz").write_text("".join(lines), encoding="utf-8")
    rows = [json.loads(line) for line in (folder / "criteria" / "train.jsonl.gz").read_text().splitlines()]
    alone = [json.dumps(row | {"responses": row["responses"][:1]}) + "\n" for row in rows]
    (folder / "criteria" / "alone.jsonl").write_text("".join(alone), encoding="utf-8")
    return folder


def command(data: Path, output: Path, *flags: str, recipe: str = "rm-tiny") -> list[str]:
    settings = [flag for setting in SETTINGS for flag in ("--set", setting)]
    base = [sys.executable, "-m", "promedical_trainer.cli", "rm", "--recipe", recipe]
    return [*base, "--data", str(data), "--output", str(output), *settings, *flags]


def train(data: Path, output: Path, *flags: str, recipe: str = "rm-tiny") -> "subprocess.CompletedProcess[str]":
    return train_here(command(data, output, *flags, recipe=recipe)[3:])


def started(words: Sequence[str], **environ: str) -> "subprocess.CompletedProcess[str]":
    """A command as a process of its own, to its end."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environ
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=280)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "run"
    done = started(command(data, output))
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stderr + done.stdout
    return output


def split(data: Path, name: str) -> tuple[LabelledPrompt, ...]:
    return read(data / "criteria" / f"{name}.jsonl.gz").prompts


def predictions(client: Client, prompts: Sequence[LabelledPrompt]) -> dict[Key, CriterionScore]:
    """What a service says of every response and criterion; a failure has no scores and ends the test."""
    answer = client.score(
        ScoreItem(
            id=prompt.id,
            prompt=prompt.turns,
            responses=tuple(each.text for each in prompt.responses),
            rubric=RubricSpec(criteria=tuple(map(CriterionSpec.of, prompt.criteria))),
        )
        for prompt in prompts
    )
    return {
        (prompt.id, response.id, each.id): each
        for prompt, outcome in zip(prompts, answer.items, strict=True)
        for response, scored in zip(prompt.responses, outcome.result.responses, strict=True)
        for each in scored.scores.criteria
    }


def test_run_learns_calibrates_and_reports_what_it_measured(run: Path) -> None:
    document = json.loads((run / "evaluation.json").read_text())
    accuracy = document["test"]["scores"]["model"]["pair_accuracy_macro"]["overall"]["value"]
    card = (run / "bundle" / "README.md").read_text()

    assert accuracy > 0.9
    assert set(document["calibration"]) >= {"global", "safety/negative"}
    assert {"dev", "test", "physicians"} <= document.keys()
    for said in ("rm-tiny", "| train.jsonl.gz |", f"{accuracy:.3f}", "untrained", "criterion only", "longer answer"):
        assert said in card
    assert f"| overall | 1.500 | {accuracy:.3f} | {1.5 - accuracy:.3f} |" in card
    assert "| safety | 0.000 | " in card
    assert CANARY not in card + json.dumps(document)
    for plot in ("reliability.png", "accuracy.png"):
        assert (run / "bundle" / plot).read_bytes().startswith(b"\x89PNG")


def test_run_measures_what_the_service_answers(run: Path, data: Path) -> None:
    prompts = split(data, "test")
    scores = [json.loads(line) for line in (run / "scores" / "test.jsonl").read_text().splitlines()]
    logits = {row["prompt"]: row["logits"] for row in scores}

    with running_server("--model", str(run / "bundle")) as server, Client(server.grpc_url) as client:
        served = predictions(client, prompts)
        info = client.model()

    assert len(served) == 8 * 4 * 4
    for (prompt, response, criterion), said in served.items():
        assert said.logit == pytest.approx(logits[prompt][response][criterion], abs=1e-3)
    document = json.loads((run / "evaluation.json").read_text())
    ours = evaluate(prompts, served).as_dict()["scores"]["model"]
    for metric, by_dimension in document["test"]["scores"]["model"].items():
        for dimension, estimate in by_dimension.items():
            assert ours[metric][dimension]["value"] == pytest.approx(estimate["value"], abs=1e-3), (metric, dimension)
    assert info.status == "trained"
    assert info.calibration.startswith("platt ")


@pytest.mark.parametrize("flags", [(), ("--until", "dev"), ("--until", "test")], ids=["whole", "dev", "test"])
def test_run_that_is_repeated_computes_nothing_and_takes_nothing_back(
    run: Path, data: Path, flags: tuple[str, ...]
) -> None:
    kept = [run / "evaluation.json", *(run / "bundle").iterdir(), *(run / "scores").iterdir()]
    before = {path: path.read_bytes() for path in kept}

    done = train(data, run, *flags)

    assert done.returncode == 0, done.stderr
    assert "step " not in done.stderr
    assert {path: path.read_bytes() for path in kept if path.suffix != ".png"} == {
        path: text for path, text in before.items() if path.suffix != ".png"
    }


def test_run_that_is_out_of_time_in_a_later_evaluation_keeps_its_card(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    assert train(data, output, "--until", "dev").returncode == 0
    card = (output / "bundle" / "README.md").read_text()

    stopped = train(data, output, "--minutes", "0")

    assert stopped.returncode == 3
    assert "time is up at scoring test" in stopped.stderr
    assert (output / "bundle" / "README.md").read_text() == card


def test_run_that_was_killed_goes_on_to_the_same_bundle(run: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command(data, output), stderr=subprocess.DEVNULL, env=environ) as process:
        deadline = time.monotonic() + 120
        while not (output / "checkpoints" / "checkpoint-3" / "trainer_state.json").is_file():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)

    done = train(data, output)

    assert done.returncode == 0, done.stderr
    assert "step 12:" in done.stderr
    assert "step 1:" not in done.stderr
    assert open_bundle(str(output / "bundle")).revision == open_bundle(str(run / "bundle")).revision


def test_run_out_of_time_says_how_far_it_is_and_goes_on(run: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    stopped = train(data, output, "--minutes", "0", "--until", "dev")
    assert stopped.returncode == 3
    assert "time is up at training, 1 of 12; run the same command again" in stopped.stderr

    early = train(data, output, "--until", "dev")
    assert early.returncode == 0, early.stderr
    assert "test" not in json.loads((output / "evaluation.json").read_text())
    assert "The test split has not been looked at yet" in (output / "bundle" / "README.md").read_text()
    always = {"model", "longer answer", "majority"}
    for until, judges in (
        ("test", {"bag of words", "criterion only"}),
        ("controls", {"bag of words", "criterion only", "untrained"}),
    ):
        done = train(data, output, "--until", until)
        assert done.returncode == 0, done.stderr
        assert json.loads((output / "evaluation.json").read_text())["test"]["scores"].keys() == always | judges
    assert open_bundle(str(output / "bundle")).revision == open_bundle(str(run / "bundle")).revision


def test_run_of_another_recipe_in_the_same_folder_is_refused(run: Path, data: Path) -> None:
    refused = train(data, run, "--set", "optimisation.seed=7")

    assert refused.returncode == 2
    assert "holds a run of another recipe; give another --output" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_run_goes_on_with_the_data_that_it_began_with_only(run: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "data"
    shutil.copytree(data, other)
    path = other / "criteria" / "dev.jsonl.gz"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]), encoding="utf-8")

    refused = train(other, run)

    assert refused.returncode == 2
    assert "dev.jsonl.gz has changed since this run started" in refused.stderr


def test_run_whose_dev_split_cannot_calibrate_says_so_before_it_trains(data: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "data"
    shutil.copytree(data, spoilt)
    path = spoilt / "criteria" / "dev.jsonl.gz"
    path.write_text(path.read_text().replace('"met": 1', '"met": 0'), encoding="utf-8")

    refused = train(spoilt, tmp_path / "run")

    assert refused.returncode == 2
    assert "480 labels of one class or none; dev calibrates, so it needs labels of both" in refused.stderr
    assert "step " not in refused.stderr


def test_run_over_files_that_share_a_prompt_id_names_it(data: Path, tmp_path: Path) -> None:
    refused = train(data, tmp_path / "run", "--set", "data.test=[criteria/test.jsonl.gz, criteria/test.jsonl.gz]")

    assert refused.returncode == 2
    assert "is in two of them; give each prompt its own id" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--set", "optimisation.epochz=1"), "epochz"),
        (("--set", "optimisation.max_path_tokens=1"), "96 training responses are longer than optimisation.max_path_to"),
        (("--set", "data.train=[criteria/none.jsonl]"), "none.jsonl"),
        (("--set", "data.exclude_sources=[nobody]"), "it has synthetic; exclude_sources of a recipe"),
        (("--set", "adapter={targets: [nowhere]}"), "nowhere"),
        (("--set", "optimisation.learning_rate=1e30"), "lower optimisation.learning_rate, which is 1e+30"),
        (("--ablation", "pairwise-only", "--set", "data.train=[criteria/alone.jsonl]"), "nothing that the loss reads"),
        (("--ablation", "pairwise-only", "--set", WEIGHTLESS), "loss.pairwise and loss.dimensions weigh"),
        (("--set", "expansion.pairs_per_tree=99"), "trees of fewer pairs than 99 (expansion.pairs_per_tree) are left"),
    ],
)
def test_run_with_wrong_settings_says_what_is_wrong(
    data: Path, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    refused = train(data, tmp_path / "run", *flags)

    assert refused.returncode == 2, refused.stderr
    assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_ablation_leaves_out_the_same_responses_for_their_length(data: Path, tmp_path: Path) -> None:
    """Without criteria, the one short sentence in their place would let longer responses in."""
    spoilt = tmp_path / "data"
    shutil.copytree(data, spoilt)
    path = spoilt / "criteria" / "train.jsonl.gz"
    path.write_text(path.read_text().replace(CRITERIA[0]["text"], CRITERIA[0]["text"] + " and so on" * 40))
    limit = ("--set", "optimisation.max_path_tokens=650", "--minutes", "0")
    said = [
        re.findall(
            r"(\d+) steps over .*; (\d+) training responses", train(spoilt, tmp_path / name, *limit, *flags).stderr
        )
        for name, flags in (("whole", ()), ("scalar", ("--ablation", "no-criteria")))
    ]
    assert said[0] == said[1]
    assert int(said[0][0][1]) > 0


def test_run_on_a_tiny_copy_is_another_run_than_on_the_model_itself(data: Path, tmp_path: Path) -> None:
    layers = ("--set", "adapter={layers: [0, 1, 20]}", "--minutes", "0")
    small = train(data, tmp_path / "run", *layers, "--set", "base=smollm2-135m-instruct", "--shrink")
    assert small.returncode == 3, small.stderr  # with an adapter on layers that the copy does not have
    for other in (("--set", "base=smollm2-135m-instruct"), ("--set", "base=elsewhere", "--shrink")):
        refused = train(data, tmp_path / "run", *layers, *other)
        assert refused.returncode == 2
        assert "holds a run of another recipe" in refused.stderr


def test_run_that_trains_on_keeps_nothing_of_earlier_weights(run: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(run, output)
    shutil.rmtree(output / "checkpoints" / "checkpoint-12")
    scores, head = output / "scores" / "dev.jsonl", output / "bundle" / "head.safetensors"
    scores.write_text(re.sub(r"-?\d+\.\d+", "0.5", scores.read_text()))
    save_file({"head": torch.zeros_like(load_file(head)["head"])}, head)

    done = train(data, output, "--until", "dev")

    assert done.returncode == 0, done.stderr
    assert scores.read_bytes() == (run / "scores" / "dev.jsonl").read_bytes()
    assert open_bundle(str(output / "bundle")).revision == open_bundle(str(run / "bundle")).revision
    assert "test" not in json.loads((output / "evaluation.json").read_text())


def test_run_without_its_checkpoints_is_not_trained_again_over_its_bundle(
    run: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(run, output)
    shutil.rmtree(output / "checkpoints")

    refused = train(data, output)

    assert refused.returncode == 2
    assert "exists, but its checkpoints do not: give another --output, or delete" in refused.stderr
    assert open_bundle(str(output / "bundle")).revision == open_bundle(str(run / "bundle")).revision
    assert (output / "evaluation.json").is_file()


def test_run_whose_dev_is_drawn_anew_scores_what_it_lacks(run: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(run, output)
    scores = output / "scores" / "dev.jsonl"
    first, *others = [json.loads(line) for line in scores.read_text().splitlines()]
    lacking = first | {"logits": dict(list(first["logits"].items())[1:])}
    scores.write_text("".join(json.dumps(row) + "\n" for row in (lacking, *others)))

    done = train(data, output)

    assert done.returncode == 0, done.stderr
    assert json.loads(scores.read_text().splitlines()[-1]) == first
    assert (output / "evaluation.json").read_bytes() == (run / "evaluation.json").read_bytes()


def test_run_leaves_out_bad_rows_and_leaked_prompts_and_says_so(data: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "data"
    shutil.copytree(data, spoilt)
    path = spoilt / "criteria" / "train.jsonl.gz"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["criteria"] = [{**CRITERIA[0], "dimension": "kindness"}, *CRITERIA[1:]]
    rows[1]["responses"][0]["labels"]["nowhere"] = {"met": 1, "kind": "llm", "raters": []}
    rows[2]["responses"][0]["text"] = " "
    rows[3]["responses"] = rows[3]["responses"][:1]
    leaked = json.loads((spoilt / "criteria" / "test.jsonl.gz").read_text().splitlines()[0])
    lines = [*map(json.dumps, [*rows, leaked | {"id": "leaked"}]), "not json"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (spoilt / "criteria" / "dev.jsonl.gz").open("a", encoding="utf-8") as dev:
        dev.write(json.dumps(leaked | {"id": "leaked too"}) + "\n")

    done = train(spoilt, tmp_path / "run")

    assert done.returncode == 0, done.stderr
    assert "1 training prompts are also in another split" in done.stderr
    assert "1 dev prompts are also in test or physicians and were left out" in done.stderr
    assert "leaked too" not in (tmp_path / "run" / "scores" / "dev.jsonl").read_text()
    said = " ".join(done.stderr.split())
    for reason in ("dimension: Input should be", "is for a criterion that the row does not have", "text: is empty"):
        assert reason in said
    for place in ("line 1, criterion plain", "line 3, response", "line 26"):
        assert place in said
    assert "25 (1 without two responses to compare)" in said
    assert done.stderr.index("without two responses") < done.stderr.index("step 1:")
    assert CANARY not in done.stderr


@pytest.mark.ranks
def test_run_of_two_processes_has_the_same_curve_as_one(run: Path, data: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    flags = ("--set", "optimisation.tokens_per_pass=1000")  # so that a step has passes for both
    done = started([*launcher, *command(data, tmp_path / "run", *flags)[2:]])
    assert done.returncode == 0, done.stderr

    two, one = (curve(each) for each in (tmp_path / "run", run))
    assert len(one) == 12
    assert two == pytest.approx(one, rel=1e-3)


def curve(run: Path) -> list[float]:
    last = max((run / "checkpoints").glob("checkpoint-*"), key=lambda each: int(each.name.removeprefix("checkpoint-")))
    state = json.loads((last / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


@pytest.mark.ranks
@pytest.mark.parametrize(
    ("launch", "shards"), [("fsdp", "pytorch_model_fsdp.bin"), ("deepspeed-zero3", "zero_to_fp32.py")]
)
def test_run_in_shards_has_the_same_curve_as_one_process_and_goes_on_where_it_was_cut_off(
    data: Path, tmp_path: Path, launch: str, shards: str
) -> None:
    if launch.startswith("deepspeed"):
        pytest.importorskip("deepspeed", reason="deepspeed is not installed here: pip install deepspeed")
    changes = ("data.exclude_sources=[]", "optimisation.head_learning_rate=0.003")
    flags = [*(flag for change in changes for flag in ("--set", change)), "--until", "dev", "--shrink"]
    assert train(data, tmp_path / "one", *flags, recipe="rm-qwen3-8b").returncode == 0
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(LAUNCH / f"{launch}.yaml")]
    asked = command(data, tmp_path / "two", *flags, recipe="rm-qwen3-8b")[3:]
    words = [*launcher, "--num_processes", "2", str(SHARDED), *asked]
    for first in (True, False):
        done = started(words, DS_ACCELERATOR="cpu")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "two" / "checkpoints" / "checkpoint-10" / shards).is_file()
        assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=0.2)  # rounds in other places
        assert ("step 1:" in done.stderr) is first
        assert "step 10:" in done.stderr
        shutil.rmtree(tmp_path / "two" / "checkpoints" / "checkpoint-10")


@pytest.mark.shrunken
@pytest.mark.parametrize(("recipe", "layers"), [("rm-qwen3-8b", "Qwen3"), ("rm-llama3-8b", "Llama")])
def test_run_of_an_8b_recipe_on_a_tiny_copy_trains_all_weights_and_is_served(
    data: Path, tmp_path: Path, recipe: str, layers: str
) -> None:
    changes = ("data.exclude_sources=[]", "optimisation.head_learning_rate=0.003")
    flags = [flag for change in changes for flag in ("--set", change)]
    done = train(data, tmp_path / "run", *flags, "--shrink", recipe=recipe)
    assert done.returncode == 0, done.stderr

    config = json.loads((tmp_path / "run" / "bundle" / "config.json").read_text())
    assert config["architectures"] == [f"{layers}ForSequenceClassification"]
    manifest = open_bundle(str(tmp_path / "run" / "bundle")).manifest
    assert manifest.name == f"promedical-{recipe}-tiny"
    assert manifest.description.startswith("Tiny copy: ")
    with running_server("--model", str(tmp_path / "run" / "bundle")) as server, Client(server.grpc_url) as client:
        served = predictions(client, split(data, "test")[:1])
        assert client.model().status == "trained"
    assert len({said.logit for said in served.values()}) > 1


def test_run_without_criteria_says_the_same_of_every_criterion_up_to_its_sign(tmp_path: Path) -> None:
    done = train(write_data(tmp_path / "data", scalar=True), tmp_path / "run", "--ablation", "no-criteria")
    assert done.returncode == 0, done.stderr

    rows = [json.loads(line) for line in (tmp_path / "run" / "scores" / "test.jsonl").read_text().splitlines()]
    for logits in rows[0]["logits"].values():
        assert logits["plain"] == logits["short"] == -logits["omits"] == -logits["harm"]
    bundle = open_bundle(str(tmp_path / "run" / "bundle"))
    assert bundle.manifest.name.endswith("-no-criteria")
    assert bundle.manifest.description.endswith("(an ablation: no-criteria)")
    assert (bundle.folder / "README.md").read_text().count("(an ablation: no-criteria)") == 1
    assert "for comparison only" in done.stderr
    assert "promedical-serve" not in done.stderr
