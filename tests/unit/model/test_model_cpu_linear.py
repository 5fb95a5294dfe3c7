"""oneDNN layers give what torch's give, and only frozen fp32 models on CPU get them."""

import pytest
import torch

from models import random_tree, tiny_bundle
from promedical_model.bundle.bundle import open_bundle
from promedical_model.loading import load_tree_model
from promedical_model.tree.cpu_linear import OneDnnLinear, use_onednn


@pytest.mark.parametrize("bias", [True, False])
def test_onednn_linear_equals_torchs(bias):
    linear = torch.nn.Linear(48, 33, bias=bias).requires_grad_(requires_grad=False)
    inputs = torch.randn(2, 7, 48)
    with torch.inference_mode():
        torch.testing.assert_close(OneDnnLinear(linear)(inputs), linear(inputs), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_use_onednn_changes_no_score(tmp_path, family):
    bundle = open_bundle(str(tiny_bundle(tmp_path / family, family, "causal")))
    model = load_tree_model(bundle, dtype=torch.float32, device=torch.device("cpu"))
    trees = [random_tree(5, [(9, [3, 4]), (2, [1])])]
    before = model.score(trees)
    use_onednn(model.decoder)
    assert any(isinstance(layer, OneDnnLinear) for layer in model.decoder.modules())
    for old, new in zip(before[0], model.score(trees)[0], strict=True):
        assert new == pytest.approx(old, abs=1e-5)


def test_use_onednn_leaves_bfloat16_alone():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4)).to(torch.bfloat16)
    use_onednn(model)
    assert type(model[0]) is torch.nn.Linear
