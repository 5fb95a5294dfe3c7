"""`make train-default` as it is used: sessions that end in time, are kept in a file, and go on from it elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from test_rm_run import SETTINGS, write_data

from drill_sources import write_sources

MIX = "data.mix={drills: {train: [drills/train.jsonl.gz], dev: [drills/dev.jsonl.gz], weight: 0.5}}"
CURVE = "curve={every: 5, prompts: 2}"
FLAGS = [flag for each in (*SETTINGS, MIX, CURVE) for flag in ("--set", each)]

pytestmark = [pytest.mark.sessions, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sessions")
    write_data(folder)
    write_sources(folder / "sources", 60)
    return folder


def session(data: Path, run: Path, *more: object) -> "subprocess.CompletedProcess[str]":
    words = ["--data", data, "--run", run, "--recipe", "rm-tiny", "--until", "dev", *FLAGS, *more]
    command = [sys.executable, "-m", "scripts.models.train_default", *map(str, words)]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500, env=environ)


def test_sessions_make_drills_end_in_time_and_go_on_from_a_kept_file(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "state.tar.gz"
    first = session(data, tmp_path / "first", "--minutes", 60, "--keep", kept)
    assert first.returncode == 0, first.stderr
    assert "done; now run 'make ship-model'" in first.stdout
    assert "step 12: dev " in first.stdout
    whole = json.loads((tmp_path / "first" / "model" / "evaluation.json").read_text())

    with tarfile.open(kept) as archive:
        names = archive.getnames()
    assert "model/checkpoints/checkpoint-12/trainer_state.json" in names
    assert "model/checkpoints/checkpoint-9/trainer_state.json" not in names
    assert "data/drills/manifest.json" in names

    shutil.rmtree(tmp_path / "first")
    second = session(data, tmp_path / "second", "--minutes", 60, "--keep", kept)
    assert second.returncode == 0, second.stderr
    assert "restored from" in second.stdout
    assert "step 1:" not in second.stderr
    assert json.loads((tmp_path / "second" / "model" / "evaluation.json").read_text())["dev"] == whole["dev"]


def test_session_without_sources_says_what_is_missing(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "criteria", tmp_path / "data" / "criteria")
    failed = session(tmp_path / "data", tmp_path / "run", "--minutes", 3)

    assert failed.returncode == 2
    assert "holds no source of drills" in failed.stderr
    assert "cannot make drills" in failed.stderr


def test_session_of_too_few_minutes_is_refused(data: Path, tmp_path: Path) -> None:
    refused = session(data, tmp_path / "run", "--minutes", 1)
    assert refused.returncode == 2
    assert "--minutes is 1; give 3 or more" in refused.stderr
