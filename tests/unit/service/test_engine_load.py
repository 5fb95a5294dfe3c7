"""From plain values to an oracle: which engine, what it says of itself, and what its fingerprint stands for."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import edit_json, tiny_bundle
from promedical_model.bundle.manifest import BundleError
from promedical_service.engines.load import (
    EngineKind,
    EngineMissingError,
    LoadedOracle,
    ModelChoice,
    WarmUpError,
    load_oracle,
    warmed_up,
)
from promedical_service.engines.vllm.engine import EngineHooks


def oracle(model: str, *, engine: EngineKind = "torch", **options: Any) -> LoadedOracle:
    values: dict[str, Any] = {"revision": None, "dtype": "float32", "threads": 1, "max_batch_tokens": 4096}
    return load_oracle(engine, ModelChoice(model=model, **(values | options)), EngineHooks())


def test_load_oracle_describes_the_bundle(tmp_path: Path) -> None:
    loaded = oracle(str(tiny_bundle(tmp_path, "qwen3")))

    assert (loaded.family, loaded.status, loaded.licence) == ("qwen3", "untrained", "none")
    assert (loaded.ref.name, loaded.ref.engine, loaded.ref.dtype) == ("tiny-qwen3", "torch", "float32")
    assert loaded.template.startswith("chatml-criterion@")
    assert loaded.renderer.max_path_tokens == 4096


def test_load_oracle_fingerprint_changes_with_anything_that_may_change_a_score(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle")
    usual = oracle(str(folder)).ref
    again = oracle(str(tiny_bundle(tmp_path / "same"))).ref
    other_dtype = oracle(str(folder), dtype="bfloat16").ref
    other_weights = oracle(str(tiny_bundle(tmp_path / "seed", seed=1))).ref
    edit_json(folder / "promedical.json", calibration={"global": {"scale": 2.0}})
    calibrated = oracle(str(folder)).ref
    template = '"criterion": "\\n<|im_start|>user'
    manifest = (folder / "promedical.json").read_text()
    assert template in manifest
    (folder / "promedical.json").write_text(manifest.replace(template, template.replace("user", "system")))
    other_template = oracle(str(folder)).ref

    refs = [usual, other_dtype, other_weights, calibrated, other_template]
    assert len({ref.fingerprint for ref in refs}) == len(refs)
    assert (again.revision, again.fingerprint) == (usual.revision, usual.fingerprint)
    assert other_dtype.revision == usual.revision


def test_load_oracle_auto_is_fp32_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert oracle(str(tiny_bundle(tmp_path)), dtype="auto").ref.dtype == "float32"


def test_load_oracle_fake_says_that_it_is_fake() -> None:
    loaded = oracle("ignored", engine="fake")

    assert (loaded.status, loaded.ref.engine, loaded.ref.name) == ("fake", "fake", "fake")
    assert "mean nothing" in loaded.description


def test_load_oracle_refuses_an_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such directory"):
        oracle(str(tmp_path / "absent"))


@pytest.mark.parametrize("engine", ["torch", "fake"])
async def test_warmed_up_measures_the_speed(tmp_path: Path, engine: str) -> None:
    warm = await warmed_up(oracle(str(tiny_bundle(tmp_path)), engine=engine))

    assert warm.tokens_per_s > 0
    await warm.engine.close()


async def test_warmed_up_refuses_a_model_that_gives_no_finite_numbers(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = oracle(str(folder))

    with pytest.raises(WarmUpError, match=r"warm-up failed: .*finite number"):
        await warmed_up(loaded)
    await loaded.engine.close()


async def test_warmed_up_refuses_a_model_that_reads_too_little(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path)
    edit_json(folder / "promedical.json", max_path_tokens=8)
    loaded = oracle(str(folder))

    with pytest.raises(WarmUpError, match="reads too little"):
        await warmed_up(loaded)
    await loaded.engine.close()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed here")
def test_engine_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EngineMissingError, match=r"pip install 'promedical\[vllm\]'"):
        oracle(str(tiny_bundle(tmp_path)), engine="vllm")
