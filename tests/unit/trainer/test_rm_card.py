"""What a card says, to people and to machines."""

import hashlib
import json
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard
from jinja2 import UndefinedError

from promedical_data.measures.evaluation import evaluate
from promedical_data.measures.predictions import Prediction, table
from promedical_data.measures.slices import slices
from promedical_data.pages import page
from promedical_data.reading import read
from promedical_model.calibration import PlattCell
from promedical_trainer.rm.calibration import FittedCalibration
from promedical_trainer.rm.card import Facts, front_matter, write_card
from promedical_trainer.rm.recipe import load_rm_recipe
from promedical_trainer.rm.splits import Splits

ROW = {
    "source": "ours",
    "prompt": "user: What now?",
    "criteria": [{"id": "c", "text": "Is plain.", "dimension": "proficiency", "polarity": "positive", "points": 5}],
    "responses": [
        {"id": "r", "text": "Rest.", "model": "m", "labels": {"c": {"met": 1, "kind": "llm", "raters": []}}},
        {"id": "s", "text": "Run.", "model": "m", "labels": {"c": {"met": 0, "kind": "llm", "raters": []}}},
    ],
}


@pytest.fixture
def files(tmp_path):
    """Two files of one name, as they were read."""
    found = []
    for folder in ("a", "b"):
        path = tmp_path / folder / "train.jsonl"
        path.parent.mkdir()
        path.write_text(json.dumps(ROW | {"id": folder}) + "\n")
        found.append(read(path))
    return found


@pytest.fixture
def prompts(files):
    return tuple(prompt for file in files for prompt in file.prompts)


@pytest.fixture
def predictions(prompts):
    said = {
        "r": Prediction(logit=2.0, probability=0.88, met=True),
        "s": Prediction(logit=-2, probability=0.1, met=False),
    }
    return {(prompt.id, response, "c"): each for prompt in prompts for response, each in said.items()}


def test_front_matter_says_what_was_learnt_from_and_measured(tmp_path, files, prompts, predictions):
    recipe = load_rm_recipe("rm-qwen3-8b")
    found = front_matter(recipe, [file.report for file in files], {"dev": evaluate(prompts, predictions)}).to_dict()

    assert found["base"] == "Qwen/Qwen3-8B"
    assert found["data"] == [{"file": "train.jsonl", "sha256": sha256(tmp_path / name)} for name in "ab"]
    assert found["licence"] == recipe.licence
    (index,) = found["model-index"]
    (result,) = index["results"]
    assert result["dataset"]["split"] == "dev"
    accuracy = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert accuracy == {"pair accuracy, overall": 1.0, "pair accuracy, proficiency": 1.0}  # nothing else is defined


@pytest.mark.parametrize(
    ("name", "changes", "trained"), [("rm-smollm2-135m", {}, "LoRA"), ("rm-tiny", {"adapter": None}, "all weights")]
)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_card_holds_every_part_and_front_matter_that_can_be_read(
    tmp_path, files, prompts, predictions, name, changes, trained, split
):
    recipe = replace(load_rm_recipe(name), **changes)
    write_card(
        tmp_path,
        recipe,
        Splits(
            train=prompts, dev=prompts, test=(), physicians=(), reports=tuple(file.report for file in files),
            leaks=frozenset("x"), dev_leaks=frozenset(), too_long=4,
        ),
        Facts(steps=3, pairs=1234, prompts=5, responses=1000, too_long=7, seconds=600.0, hardware="a CPU"),
        FittedCalibration(cells={"global": PlattCell(scale=1.5, offset=0.1)}, notes=("one fell back",), vetoes=None),
        {"dev": evaluate(prompts, predictions), split: evaluate(prompts, predictions)},
        {f"{split}, drills": slices(prompts, predictions)},
        table(prompts, predictions),
    )  # fmt: skip
    text = (tmp_path / "README.md").read_text()

    assert ModelCard.load(tmp_path / "README.md").data.base == recipe.base
    assert ("The test split has not been looked at yet." in text) == (split == "dev")
    assert ("### Goals" in text) == bool(recipe.goals)
    assert "1,234 criterion-level pairs of 5 prompts; 7 of 1,000 responses" in text
    assert "1 prompts were left out because another split has them too. 4 responses" in text
    assert "| global | 1.500 | 0.100 | 0.500 |" in text
    assert "- one fell back" in text
    assert f"on {split}](accuracy.png)" in text
    assert (tmp_path / "accuracy.png").is_file()
    assert trained in text
    assert f"### By slice: {split}, drills" in text
    for lines in (part.splitlines() for part in text.split("\n\n") if part.startswith("|")):
        assert len({line.count("|") for line in lines}) == 1


def test_page_without_a_value_is_an_error():
    with pytest.raises(UndefinedError, match="evaluation"):
        page("promedical_data.measures", "evaluation.md.j2")


def sha256(folder):
    return hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
