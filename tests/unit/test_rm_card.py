"""What a card says to machines."""

import yaml

from promedical_trainer.recipe import load_rm_recipe
from promedical_trainer.rm.card import front_matter


def test_front_matter_says_what_was_learnt_from_and_measured():
    accuracy = {"dev": {"overall": 0.7, "safety": 0.6}, "physicians": {}}
    text = front_matter(load_rm_recipe("rm-qwen3-8b"), {"train.jsonl.gz": "00ff", "dev.jsonl.gz": "123456"}, accuracy)

    assert text.startswith("---\n")
    assert text.endswith("\n---")
    facts = yaml.safe_load(text.strip("-"))
    assert facts["base_model"] == "Qwen/Qwen3-8B"
    assert facts["data"] == {"train.jsonl.gz": "00ff", "dev.jsonl.gz": "123456"}
    assert facts["pair_accuracy"] == {"dev": {"overall": 0.7, "safety": 0.6}}
    assert facts["license_name"] == load_rm_recipe("rm-qwen3-8b").licence
