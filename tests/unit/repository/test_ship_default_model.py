"""Which runs `make ship-model` ships: finished ones, whole ones, on the base that a fresh machine can fetch."""

import json
from dataclasses import replace

import pytest

from models import tiny_bundle
from promedical_model.bundle.bundle import open_bundle
from promedical_trainer.rm.recipe import dump_rm_recipe, load_rm_recipe
from scripts.models.ship_default_model import unfit

LICENSED = "data.exclude_sources=[healthbench_srh]"
MEASURED = {"dev": {}, "test": {"scores": {"model": {}, "untrained": {}}}}


@pytest.fixture
def run(tmp_path):
    tiny_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "README.md").write_text("card")
    (tmp_path / "recipe.yaml").write_text(dump_rm_recipe(load_rm_recipe("rm-tiny", [LICENSED])))
    (tmp_path / "evaluation.json").write_text(json.dumps(MEASURED))
    return tmp_path


def why_not(run, **manifest):
    bundle = open_bundle(str(run / "bundle"))
    changes = {"base": "smollm2-135m-instruct", "base_revision": "r"} | manifest
    return unfit(run, replace(bundle, manifest=replace(bundle.manifest, **changes)))


def test_finished_run_is_fit(run):
    assert why_not(run) is None


def test_run_on_another_base_is_not(run):
    assert "its base is meta/llama" in why_not(run, base="meta/llama")


@pytest.mark.parametrize("missing", ["evaluation.json", "bundle/README.md"])
def test_run_that_was_not_evaluated_is_not(run, missing):
    (run / missing).unlink()
    assert "is not evaluated yet" in why_not(run)


@pytest.mark.parametrize("left_out", ["test", "untrained"])
def test_run_whose_evaluation_stopped_early_is_not(run, left_out):
    text = json.dumps(MEASURED).replace(f'"{left_out}"', '"another"')
    (run / "evaluation.json").write_text(text)
    assert "is not evaluated to the end" in why_not(run)


@pytest.mark.parametrize("ablation", ["criteria=false", "safety=false", "loss.pairwise=0", "loss.pointwise=0"])
def test_ablation_is_not(run, ablation):
    (run / "recipe.yaml").write_text(dump_rm_recipe(load_rm_recipe("rm-tiny", [ablation])))
    assert why_not(run).startswith("is an ablation: ")


def test_run_on_data_without_a_licence_is_not(run):
    (run / "recipe.yaml").write_text(dump_rm_recipe(load_rm_recipe("rm-tiny")))
    assert "healthbench_srh, which has no licence" in why_not(run)
