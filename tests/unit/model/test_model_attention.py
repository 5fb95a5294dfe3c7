"""Tree attention is exact: every score, and every gradient, is that of independent forward passes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import (
    FAMILIES,
    LIMIT,
    ROPES,
    Family,
    Rope,
    flat,
    random_tree,
    stock_logits,
    stock_model,
    tiny_bundle,
    tiny_model,
    tiny_tokenizer,
)
from promedical_model.bundle.bundle import open_bundle
from promedical_model.loading import load_tree_model
from promedical_model.tree import attention
from promedical_model.tree.token_tree import TokenTree, pack_rows
from promedical_model.tree.tree_model import TreeModel

CPU = torch.device("cpu")
EXACT = 1e-5
YES, NO = (tiny_tokenizer().encode(word).ids[0] for word in ("Yes", "No"))

_LENGTH = st.integers(1, 12)
_BRANCH = st.tuples(_LENGTH, st.lists(_LENGTH, min_size=1, max_size=3))
_TREE = st.builds(
    random_tree, prompt=_LENGTH, branches=st.lists(_BRANCH, min_size=1, max_size=3), seed=st.integers(0, 9)
)
_LARGE = {
    "two query blocks": random_tree(40, [(700, [5]), (1, [3, 4])]),
    "a third query block of one token": random_tree(3, [(1025, [2])]),
    "a response of exactly one block": random_tree(1, [(512, [1, 1])]),
    "several leaf groups": random_tree(20, [(30, [50, 60, 40, 90, 5, 5])]),
    "a leaf longer than its group": random_tree(5, [(6, [3, 300, 2]), (2, [129])]),
    "leaves that fill a group exactly": random_tree(5, [(6, [64, 64, 1])]),
    "everything of length one": random_tree(1, [(1, [1])]),
}

Loaded = tuple[TreeModel, Callable[[Sequence[TokenTree]], list[float]]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[(family, rope) for family in FAMILIES for rope in ROPES], ids="-".join)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A tiny model as trees are scored, and the same bundle as transformers scores it alone."""
    family, rope = request.param
    folder = tiny_bundle(tmp_path_factory.mktemp("bundle"), family, rope=rope)
    stock = stock_model(folder, family)
    model = load_tree_model(open_bundle(str(folder)), dtype=torch.float32, device=CPU)
    return model, lambda trees: stock_logits(stock, trees, YES, NO)


@pytest.fixture(scope="module", params=FAMILIES)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The same, with the default rotary embedding only, for what does not depend on it."""
    folder = tiny_bundle(tmp_path_factory.mktemp("bundle"), request.param)
    stock = stock_model(folder, request.param, attn_implementation="eager")
    model = load_tree_model(open_bundle(str(folder)), dtype=torch.float32, device=CPU)
    return model, lambda trees: stock_logits(stock, trees, YES, NO)


@settings(max_examples=12)
@given(trees=st.lists(_TREE, min_size=1, max_size=3))
def test_tree_attention_equals_independent_forwards(loaded: Loaded, trees: list[TokenTree]) -> None:
    model, expected = loaded

    assert flat(model.score(trees)) == pytest.approx(expected(trees), abs=EXACT)


@pytest.mark.parametrize("name", _LARGE)
def test_tree_attention_is_exact_across_block_borders(plain: Loaded, name: str) -> None:
    model, expected = plain

    assert flat(model.score([_LARGE[name]])) == pytest.approx(expected([_LARGE[name]]), abs=EXACT)


def test_tree_attention_is_exact_far_beyond_the_original_positions(loaded: Loaded) -> None:
    model, expected = loaded
    tree = random_tree(150, [(200, [9, 4]), (20, [7])])

    assert flat(model.score([tree])) == pytest.approx(expected([tree]), abs=EXACT)


def test_tree_attention_tests_would_notice_a_single_changed_token(plain: Loaded) -> None:
    """Guards the tolerance: one token anywhere on the path moves the score far more than 1e-5."""
    model, _ = plain
    tree = random_tree(60, [(550, [9])])
    score = flat(model.score([tree]))[0]

    for changed in (
        TokenTree(prompt=(tree.prompt[0] ^ 1, *tree.prompt[1:]), branches=tree.branches),
        random_tree(60, [(550, [9])], seed=1),
    ):
        assert abs(flat(model.score([changed]))[0] - score) > 20 * EXACT


@settings(max_examples=15)
@given(trees=st.lists(_TREE, min_size=1, max_size=3), budget=st.integers(1, 120))
def test_tree_attention_does_not_depend_on_how_rows_are_packed(
    plain: Loaded, trees: list[TokenTree], budget: int
) -> None:
    model, _ = plain
    together = [branch for tree in model.score(trees) for branch in tree]

    in_rows = [branch for row in pack_rows(trees, budget) for tree in model.score(row) for branch in tree]

    assert [len(branch) for branch in in_rows] == [len(branch) for branch in together]
    assert [x for b in in_rows for x in b] == pytest.approx([x for b in together for x in b], abs=EXACT)


def test_tree_scores_do_not_depend_on_companions_or_their_order(plain: Loaded) -> None:
    model, _ = plain
    trees = [random_tree(n, [(3 * n, [n, 2]), (5, [1])], seed=n) for n in (1, 4, 40, 170)]
    alone = [model.score([tree])[0] for tree in trees]

    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 0]):
        among = model.score([trees[index] for index in order])
        assert flat(among) == pytest.approx(flat([alone[index] for index in order]), abs=EXACT)


def test_tree_scores_of_a_branch_do_not_depend_on_sibling_branches_or_leaves(plain: Loaded) -> None:
    model, _ = plain
    tree = random_tree(7, [(9, [3, 4, 5]), (600, [2, 2]), (1, [130, 1])], seed=3)
    scores = model.score([tree])[0]

    for index in range(3):
        assert flat(model.score([tree.part(index, index + 1)])) == pytest.approx(scores[index], abs=EXACT)
    reversed_scores = model.score([TokenTree(prompt=tree.prompt, branches=tree.branches[::-1])])[0]
    assert flat([reversed_scores[::-1]]) == pytest.approx(flat([scores]), abs=EXACT)


def test_tree_model_scores_have_the_shape_of_the_trees(plain: Loaded) -> None:
    scores = plain[0].score([random_tree(2, [(3, [1, 1, 1]), (1, [2])]), random_tree(1, [(1, [1, 1])])])

    assert [[len(branch) for branch in tree] for tree in scores] == [[3, 1], [2]]


@pytest.mark.parametrize("kernel", ["fused", "products"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize(("family", "rope"), [("llama", "default"), ("llama", "llama3"), ("qwen3", "yarn")])
def test_tree_gradients_equal_those_of_independent_passes(
    family: Family,
    rope: Rope,
    checkpointing: bool,  # noqa: FBT001
    kernel: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kernel == "products":  # what training in bf16 uses, here in fp32, where it can be compared
        monkeypatch.setattr(attention, "_trains_in_bf16_on_cpu", lambda query: query.requires_grad)
    attention.register()
    trees = [random_tree(9, [(14, [3, 5]), (520, [4, 90, 60])]), random_tree(2, [(1, [1])], seed=5)]
    weights = torch.linspace(-1, 2, sum(tree.leaf_count for tree in trees))
    head = torch.randn(32, generator=torch.Generator().manual_seed(1))
    tree_way = tiny_model(family, rope=rope).get_decoder().train()
    stock_way = tiny_model(family, rope=rope).get_decoder().train()
    tree_way.config._attn_implementation = attention.TREE_ATTENTION
    if checkpointing:
        newer = getattr(tree_way, "activation_checkpointing_enable", None)
        (newer or tree_way.gradient_checkpointing_enable)({"use_reentrant": False})

    (TreeModel(tree_way, head)(trees) * weights).sum().backward()
    paths = [path for tree in trees for path in tree.paths()]
    for weight, path in zip(weights, paths, strict=True):
        hidden = stock_way(torch.tensor([path]), use_cache=False).last_hidden_state[0, -1]
        (weight * (hidden @ head)).backward()

    for (name, ours), theirs in zip(tree_way.named_parameters(), stock_way.parameters(), strict=True):
        assert theirs.grad.norm() > 0 or "k_proj.bias" in name, name
        error = (ours.grad - theirs.grad).norm() / max(theirs.grad.norm().item(), 1e-2)
        assert error < 1e-4, f"{name}: {error}"


def test_tree_attention_refuses_dropout_in_training_only() -> None:
    attention.register()
    decoder = tiny_model("llama", attention_dropout=0.1).get_decoder()
    decoder.config._attn_implementation = attention.TREE_ATTENTION
    model, trees = TreeModel(decoder, torch.ones(32)), [random_tree(2, [(2, [2])])]

    with pytest.raises(ValueError, match=r"attention dropout is 0\.1"):
        model.train()(trees)
    assert torch.isfinite(model.eval()(trees)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_tree_attention_in_bfloat16_is_close_to_fp32(tmp_path: Path, family: Family) -> None:
    """Small weights, as a trained model has: bf16 rounding then stays within the stated tolerance."""
    folder = tiny_bundle(tmp_path, family, initializer_range=0.02)
    tree = random_tree(300, [(600, [20, 30]), (40, [150])])
    model = load_tree_model(open_bundle(str(folder)), dtype=torch.bfloat16, device=CPU)

    assert model.dtype == torch.bfloat16
    assert flat(model.score([tree])) == pytest.approx(
        stock_logits(stock_model(folder, family), [tree], YES, NO), abs=2e-2
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_tree_attention_in_bfloat16_keeps_rotary_frequencies_in_fp32(tmp_path: Path, family: Family) -> None:
    """Rounded frequencies would be whole turns off after some hundred positions."""
    folder = tiny_bundle(tmp_path, family)
    model = load_tree_model(open_bundle(str(folder)), dtype=torch.bfloat16, device=CPU)
    stock = stock_model(folder, family, dtype=torch.bfloat16).get_decoder()

    assert model.decoder.rotary_emb.inv_freq.tolist() == stock.rotary_emb.inv_freq.tolist()
    cosines, _ = model.decoder.rotary_emb(torch.zeros(1), torch.tensor([[LIMIT - 1]]))
    expected, _ = stock.rotary_emb(torch.zeros(1), torch.tensor([[LIMIT - 1]]))
    assert cosines.tolist() == expected.tolist()


def test_bf16_training_on_a_cpu_uses_products_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    attention.register()
    calls: list[torch.dtype] = []
    products = attention._by_products

    def watched(query: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append(query.dtype)
        return products(query, *rest)

    monkeypatch.setattr(attention, "_by_products", watched)
    decoder = tiny_model("llama").get_decoder()
    decoder.config._attn_implementation = attention.TREE_ATTENTION
    trees = [random_tree(3, [(4, [2, 2])])]

    TreeModel(decoder, torch.ones(32))(trees)
    model = TreeModel(decoder.bfloat16(), torch.ones(32))
    with torch.no_grad():
        model(trees)
    assert calls == []
    model(trees)
    assert set(calls) == {torch.bfloat16}
