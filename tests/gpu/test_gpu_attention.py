"""On one NVIDIA GPU: tree attention by FlashAttention over spans, and whole models, against the exact way."""

import pytest
import torch

from models import FAMILIES, flat, random_tree, stock_logits, stock_model, tiny_bundle, tiny_tokenizer
from promedical_model.bundle.bundle import open_bundle
from promedical_model.loading import load_tree_model
from promedical_model.tree import attention
from promedical_model.tree.packing import pack
from promedical_model.tree.token_tree import TokenTree

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")

TREES = [random_tree(120, [(300, [30] * 6), (290, [25, 1, 40])]), random_tree(1, [(1, [1]), (700, [150])])]
ONE_TOKEN_EACH = [random_tree(1, [(1, [1])])]
"""Sequences of one query take another way through the kernel."""
HEADS, KEY_VALUE_HEADS, SIZE = 8, 2, 128
YES, NO = (tiny_tokenizer().encode(word).ids[0] for word in ("Yes", "No"))


@torch.inference_mode()
@pytest.mark.parametrize("trees", [TREES, ONE_TOKEN_EACH])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_flash_over_spans_equals_masked_segments(dtype: torch.dtype, trees: list[TokenTree]) -> None:
    device = torch.device("cuda")
    layout = pack(trees, device=device, dtype=torch.float32).layout
    length = sum(tree.unique_tokens for tree in trees)
    generator = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, length, SIZE, device=device, generator=generator).to(dtype)
        for heads in (HEADS, KEY_VALUE_HEADS, KEY_VALUE_HEADS)
    )
    layer = torch.nn.Module()

    fast, _ = attention.tree_attention(layer, query, key, value, None, tree=layout)
    exact, _ = attention.tree_attention(layer, query.float(), key.float(), value.float(), None, tree=layout)

    assert attention.runs_on_flash(query, key, value)
    assert not attention.runs_on_flash(query.float(), key.float(), value.float())
    torch.testing.assert_close(fast.float(), exact, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 1e-1)])
def test_model_on_a_gpu_scores_as_transformers_does_on_a_cpu(tmp_path, family, dtype, tolerance) -> None:
    folder = tiny_bundle(tmp_path / "bundle", family)
    model = load_tree_model(open_bundle(str(folder)), dtype=dtype, device=torch.device("cuda"))
    expected = stock_logits(stock_model(folder, family), TREES, YES, NO)

    assert flat(model.score(TREES)) == pytest.approx(expected, abs=tolerance)
