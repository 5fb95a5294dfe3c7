"""A bundle as a plain classifier: the same scores, made once, and never of what would not be scored exactly."""

from pathlib import Path

import pytest
import torch

from models import Family, Kind, edit_json, flat, random_tree, stock_logits, stock_model, tiny_bundle
from promedical_model.bundle.bundle import open_bundle
from promedical_model.bundle.manifest import BundleError
from promedical_model.classifier import classifier_folder
from promedical_model.loading import load_tree_model

TREES = [random_tree(5, [(8, [3, 4]), (2, [6])])]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMEDICAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("family", "kind"), [("llama", "causal"), ("qwen3", "causal"), ("llama", "classifier")])
def test_classifier_scores_as_the_bundle_does(tmp_path: Path, family: Family, kind: Kind) -> None:
    bundle = open_bundle(str(tiny_bundle(tmp_path / "bundle", family, kind)))
    ours = load_tree_model(bundle, dtype=torch.float32, device=torch.device("cpu"))

    plain = stock_model(classifier_folder(bundle, torch.float32), family, "classifier")

    assert stock_logits(plain, TREES, 0, 0) == pytest.approx(flat(ours.score(TREES)), abs=1e-5)


def test_classifier_is_made_once_per_revision_and_dtype(tmp_path: Path, cache: Path) -> None:
    bundle = open_bundle(str(tiny_bundle(tmp_path / "bundle")))
    first = classifier_folder(bundle, torch.float32)
    made_at = (first / "model.safetensors").stat().st_mtime_ns

    assert classifier_folder(bundle, torch.float32) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == made_at
    assert classifier_folder(bundle, torch.bfloat16) != first
    other = open_bundle(str(tiny_bundle(tmp_path / "other", seed=1)))
    assert classifier_folder(other, torch.float32) != first
    assert len([each for each in cache.iterdir() if each.is_dir()]) == 3


def test_classifier_that_is_one_is_served_where_it_is(tmp_path: Path, cache: Path) -> None:
    bundle = open_bundle(str(tiny_bundle(tmp_path / "bundle", "qwen3", "classifier")))

    assert classifier_folder(bundle, torch.float32) == bundle.folder
    assert not cache.exists()


@pytest.mark.parametrize("kind", ["causal", "classifier"])
def test_classifier_of_what_trees_do_not_score_exactly_is_refused(tmp_path: Path, kind: Kind) -> None:
    folder = tiny_bundle(tmp_path / "bundle", "llama", kind)
    edit_json(folder / "config.json", rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0})

    with pytest.raises(BundleError, match="dynamic"):
        classifier_folder(open_bundle(str(folder)), torch.float32)
