"""The example of a first run: data that its recipe reads whole, and a command that writes them."""

import json

import pytest
from typer.testing import CliRunner

from promedical_trainer.cli import app
from promedical_trainer.grpo.policy import tiny_tokenizer
from promedical_trainer.grpo.prompts import read_prompts
from promedical_trainer.grpo.recipe import GRPO_RECIPES


def write(folder):
    return CliRunner().invoke(app, ["example", "--output", str(folder)], env={"COLUMNS": "200"})


@pytest.fixture
def data(tmp_path):
    done = write(tmp_path / "first-policy")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "first-policy"


def test_example_is_read_whole_by_its_recipe(data):
    recipe = GRPO_RECIPES.load("grpo-first", ["prompts.max_tokens=4096"])  # the tiny tokenizer's tokens are bytes
    read = read_prompts(data, recipe.prompts, tiny_tokenizer())
    assert (read.held_out, read.too_long, read.repeated, read.refused) == (0, 0, 0, ())
    assert all(report.prompts == report.rows for report in read.reports)
    assert len(read.rows) >= recipe.optimisation.steps
    assert len(read.unseen) >= recipe.evaluation.prompts


def test_example_explains_itself_with_a_row_that_is_in_it(data):
    text = (data / "README.md").read_text()
    row = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert row == json.loads((data / "train.jsonl").read_text().splitlines()[0])
    for name in ("train.jsonl", "held_out.jsonl"):
        assert f"| `{name}` | {len((data / name).read_text().splitlines())} " in text


def test_example_says_the_command_that_trains_on_it(tmp_path):
    folder = tmp_path / "first-policy"
    said = write(folder).stderr
    assert f"promedical-train grpo --recipe grpo-first --oracle grpc://127.0.0.1:50051 --data {folder} " in said


@pytest.mark.parametrize("there", ["folder", "file"])
def test_example_is_not_written_over_what_is_there(tmp_path, there):
    folder = tmp_path / "first-policy"
    folder.mkdir() if there == "folder" else folder.write_text("mine")
    done = write(folder)
    assert done.exit_code == 2
    assert f"{folder}: exists already; give another --output" in done.stderr


def test_example_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = write(tmp_path / "file" / "first-policy")
    assert done.exit_code == 2
    assert "cannot be made a folder" in done.stderr
    assert "Traceback" not in done.stderr
