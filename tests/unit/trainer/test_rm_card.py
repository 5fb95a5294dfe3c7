"""What a card says to machines."""

import hashlib
import json

import yaml

from promedical_data.reading import read
from promedical_trainer.rm.card import front_matter
from promedical_trainer.rm.recipe import load_rm_recipe

ROW = {
    "source": "ours",
    "prompt": "user: What now?",
    "criteria": [{"id": "c", "text": "Is plain.", "dimension": "proficiency", "polarity": "positive", "points": 5}],
    "responses": [
        {"id": "r", "text": "Rest.", "model": "m", "labels": {"c": {"met": 1, "kind": "llm", "raters": []}}},
    ],
}


def test_front_matter_says_what_was_learnt_from_and_measured(tmp_path):
    reports = []
    for folder in ("a", "b"):  # one name, twice
        path = tmp_path / folder / "train.jsonl"
        path.parent.mkdir()
        path.write_text(json.dumps(ROW | {"id": folder}) + "\n")
        reports.append(read(path).report)
    accuracy = {"dev": {"overall": 0.7, "safety": 0.6}, "physicians": {}}
    text = front_matter(load_rm_recipe("rm-qwen3-8b"), reports, accuracy)

    assert text.startswith("---\n")
    assert text.endswith("\n---")
    facts = yaml.safe_load(text.strip("-"))
    assert facts["base"] == "Qwen/Qwen3-8B"
    assert facts["data"] == [{"file": "train.jsonl", "sha256": sha256(tmp_path / name)} for name in "ab"]
    assert facts["pair_accuracy"] == {"dev": {"overall": 0.7, "safety": 0.6}}
    assert facts["licence"] == load_rm_recipe("rm-qwen3-8b").licence


def sha256(folder):
    return hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
