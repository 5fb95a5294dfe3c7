"""From a checkpoint to a bundle: what cannot be stored is refused."""

import pytest
import torch
from safetensors.torch import save_file

from models import tiny_bundle
from promedical_model.bundle.bundle import open_bundle
from promedical_trainer.rm.bundles import write_bundle
from promedical_trainer.rm.recipe import RecipeError, load_rm_recipe


@pytest.mark.parametrize("value", [1e6, float("nan")], ids=["beyond fp16", "no number"])
def test_weights_that_an_adapter_cannot_hold_are_refused(tmp_path, value):
    base = open_bundle(str(tiny_bundle(tmp_path / "base")))
    recipe = load_rm_recipe("rm-smollm2-135m", [f"base={base.folder}"])
    name = "decoder.layers.0.self_attn.q_proj.lora_A.default.weight"
    save_file({name: torch.tensor([[1.0, value]]), "head": torch.ones(4)}, tmp_path / "model.safetensors")

    with pytest.raises(
        RecipeError, match=r"lora_A\.default\.weight hold values that torch\.float16 cannot hold; lower"
    ):
        write_bundle(tmp_path / "bundle", tmp_path, recipe, base)

    assert not (tmp_path / "bundle").exists()
