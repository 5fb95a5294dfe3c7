"""`promedical-train drills`, then `promedical-train rm` with the drills mixed into every step of a tiny model."""

import gzip
import json
from pathlib import Path

import pytest
from test_rm_run import command, write_data

from commands import train_here
from drill_sources import write_sources
from promedical_model.bundle.bundle import open_bundle
from promedical_trainer.rm.learning_curve import read_curve

MIX = "data.mix={drills: {train: [drills/train.jsonl.gz], dev: [drills/dev.jsonl.gz], weight: 0.5}}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mix")
    data = write_data(folder / "data")
    sources = write_sources(folder / "sources", 60)
    made = train_here(["drills", "--sources", str(sources), "--output", str(data / "drills"), "--prompts", "10"])
    assert made.returncode == 0, made.stderr
    for split, count in (("train", 8), ("dev", 6)):
        shorten(data / "drills" / f"{split}.jsonl.gz", count)
    return data


def shorten(path: Path, count: int) -> None:
    """Some drills of every kind: a test has no time for all."""
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:: len(lines) // count][:count])))


def train(data: Path, output: Path, *flags: str) -> tuple[int, str]:
    done = train_here(command(data, output, "--set", MIX, "--until", "dev", *flags)[3:])
    return done.returncode, done.stderr


def test_run_mixes_drills_in_resumes_and_reports_them_beside_real_pairs(data: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    code, said = train(data, whole, "--set", "curve={every: 5, prompts: 2, responses: 3}")
    assert code == 0, said
    assert "12 steps over " in said

    assert train(data, cut, "--minutes", "0")[0] == 3
    code, said = train(data, cut)
    assert code == 0, said
    assert "step 1:" not in said
    assert open_bundle(str(cut / "bundle")).revision == open_bundle(str(whole / "bundle")).revision

    curve = read_curve(whole / "curve.jsonl")  # and measuring changed no weight
    assert [point.step for point in curve] == [5, 10, 12]
    assert all(0 <= point.measured[split]["overall"] <= 1 for point in curve for split in ("dev", "drills"))

    evaluation = json.loads((whole / "evaluation.json").read_text())
    assert [point["step"] for point in evaluation["curve"]] == [5, 10, 12]
    assert evaluation["vetoes"]["costs"][0]["threshold"] >= evaluation["vetoes"]["threshold"]
    measured = {each["name"]: each for each in evaluation["slices"]["dev, drills"]}
    assert {"source drills/answers/own", "dangerous-advice", "in English"} <= measured.keys()
    assert measured["source drills/answers/own"]["labels"] > 20
    assert evaluation["dev"]["counts"]["prompts"] == 30
    card = (whole / "bundle" / "README.md").read_text()
    assert "### Learning curve" in card
    assert "### What a threshold costs" in card
    assert 'are of the part "drills", mixed into every step with weight 0.5' in card
    assert "### By slice: dev, drills" in card
    assert (data / "drills" / "NOTE.md").read_text().rstrip() in card
    assert "| dangerous-advice |" in card


def test_run_whose_part_is_missing_names_its_file(data: Path, tmp_path: Path) -> None:
    code, said = train(data, tmp_path / "run", "--set", "data.mix.drills.train=[drills/nothing.jsonl.gz]")
    assert code == 2
    assert "drills/nothing.jsonl.gz" in said.replace("\n", "")
