"""A run leaves its folder alone until its inputs are read, and a faulty recipe is refused before torch is loaded."""

import subprocess
import sys

import pytest
from rich.console import Console

from promedical_client.address import Address
from promedical_data.errors import DataError
from promedical_trainer.grpo.recipe import GRPO_RECIPES
from promedical_trainer.grpo.run import Run as PolicyRun
from promedical_trainer.grpo.run import train_policy
from promedical_trainer.rm.recipe import load_rm_recipe
from promedical_trainer.rm.run import train_reward_model
from promedical_trainer.rm.run_folder import Run
from promedical_trainer.runs.recipe_files import RecipeError


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("rm-tiny", ["optimisation.epoch=1"], "optimisation.epoch: is unknown; did you mean epochs"),
        ("rm-tiny", ["optimization.epochs=1"], "optimization: is unknown; did you mean optimisation"),
        ("rm-tiny", ["epochs=1"], "epochs: is unknown here; it belongs to optimisation"),
        ("rm-tiny", ["optimisation.epochs=0"], "rm-tiny: optimisation: epochs is 0: expected at least 1"),
        ("rm-tiny", ["data.train=x"], "data.train: expected a list"),
        ("rm-tny", [], "recipe rm-tny: is unknown; did you mean rm-tiny"),
        ("absent.yaml", [], "recipe absent.yaml: cannot be read: No such file or directory; give the path to a .yaml"),
    ],
    ids=["field", "section", "place", "value", "type", "recipe", "file"],
)
def test_faulty_recipe_is_refused_with_what_was_meant(name, overrides, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        load_rm_recipe(name, overrides)
    assert said in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_recipes_are_read_without_torch():
    look = "import sys, promedical_trainer.rm.recipe, promedical_trainer.grpo.recipe, promedical_trainer.cli as cli\n"
    look += "sys.exit(bool({'torch', 'transformers', 'peft', 'trl'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", look], check=False, timeout=120).returncode == 0


def test_reward_model_without_data_leaves_no_folder(tmp_path):
    run = Run(recipe=load_rm_recipe("rm-tiny"), data=tmp_path, output=tmp_path / "run", console=Console(quiet=True))
    with pytest.raises(DataError, match="No such file"):
        train_reward_model(run)
    assert not run.output.exists()


def test_policy_without_data_leaves_no_folder(tmp_path):
    run = PolicyRun(
        recipe=GRPO_RECIPES.load("grpo-tiny"),
        oracle=Address("grpc://127.0.0.1:9"),
        data=tmp_path,
        output=tmp_path / "run",
        console=Console(quiet=True),
    )
    with pytest.raises(DataError, match="No such file"):
        train_policy(run)
    assert not run.output.exists()


def test_folder_of_another_run_is_refused_before_anything_is_read_and_stays_as_it_is(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("name: another\n")
    run = Run(recipe=load_rm_recipe("rm-tiny"), data=tmp_path, output=folder, console=Console(quiet=True))
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        train_reward_model(run)
    assert [each.name for each in folder.iterdir()] == ["recipe.yaml"]
