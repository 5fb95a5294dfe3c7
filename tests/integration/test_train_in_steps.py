"""`train_in_steps.sh` as a machine without a network runs it: packed, cut off, carried over, and on to the end."""

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from test_rm_run import SETTINGS, write_data

SCRIPT = Path(__file__).parents[2] / "scripts" / "models" / "train_in_steps.sh"
RECIPE = ["--recipe", "rm-tiny", "--until", "dev", *(flag for each in SETTINGS for flag in ("--set", each))]


def call(*words: object) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # 0 means no isolation, which would fetch what builds.
    environ = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path, "PIP_NO_BUILD_ISOLATION": "0"}
    asked = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.run(asked, capture_output=True, text=True, check=False, env=environ, timeout=280)


def kept(folder: Path, what: str = "run") -> dict[str, bytes]:
    """What the parts of a run, or of the inputs, hold."""
    whole = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{what}.part*")))
    with tarfile.open(fileobj=BytesIO(whole)) as tar:
        return {
            each.name: content.read()
            for each in tar.getmembers()
            if each.isfile() and (content := tar.extractfile(each)) is not None
        }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps")
    (folder / "wheels").mkdir()
    base = folder / "base-1-py3-none-any.whl"
    base.write_bytes(b"rm-tiny needs no base")
    data = write_data(folder / "data")
    (data / "drills").mkdir()
    (data / "drills" / "train.jsonl.gz").write_bytes(b"packed as it is")
    packed = call("pack", base, folder / "wheels", data, folder / "inputs")
    assert packed.returncode == 0, packed.stderr
    return folder / "inputs"


def test_pack_takes_criteria_and_drills(inputs: Path) -> None:
    packed = kept(inputs, "inputs")
    assert packed["./data/drills/train.jsonl.gz"] == b"packed as it is"
    assert "./data/criteria/train.jsonl.gz" in packed
    assert all(path.stat().st_size <= 24 * 2**20 for path in inputs.iterdir())


def test_steps_go_on_where_the_one_before_was_cut_off(inputs: Path, tmp_path: Path) -> None:
    cut_off = call("step", inputs, tmp_path / "first", 4, "mine", *RECIPE, "--minutes", "0")
    assert cut_off.returncode == 3, cut_off.stderr
    assert "time is up at training, 1 of 12" in cut_off.stderr
    assert "run/mine/checkpoints/checkpoint-1/trainer_state.json" in kept(tmp_path / "first")
    assert call("keep", tmp_path / "first", inputs).returncode == 0

    done = call("step", inputs, tmp_path / "second", 4, "mine", *RECIPE)

    assert done.returncode == 0, done.stderr
    assert "step 2:" in done.stderr
    assert "step 1:" not in done.stderr
    assert "dev" in json.loads(kept(tmp_path / "second")["run/mine/evaluation.json"])
    assert all(path.stat().st_size <= 15 * 2**20 for path in (tmp_path / "second").iterdir())


def test_step_that_fails_says_so_and_keeps_what_there_is(inputs: Path, tmp_path: Path) -> None:
    failed = call("step", inputs, tmp_path / "out", 4, "mine", *RECIPE, "--set", "optimisation.seed=7")

    assert failed.returncode == 2
    assert "holds a run of another recipe" in failed.stderr
    assert "run/mine/checkpoints/checkpoint-1/trainer_state.json" in kept(tmp_path / "out")


def test_result_that_did_not_arrive_whole_replaces_nothing(inputs: Path, tmp_path: Path) -> None:
    before = kept(inputs)
    (tmp_path / "run.partaa").write_bytes((inputs / "run.partaa").read_bytes()[:-1000])

    refused = call("keep", tmp_path, inputs)

    assert refused.returncode != 0
    assert kept(inputs) == before


def test_step_without_time_for_anything_says_so(inputs: Path, tmp_path: Path) -> None:
    refused = call("step", inputs, tmp_path / "out", 1, "mine", *RECIPE)

    assert refused.returncode == 2
    assert "1 minutes leave no time" in refused.stderr
