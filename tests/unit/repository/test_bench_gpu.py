"""What `make bench-gpu` measures, on a CPU and a small model: ways score alike, their numbers fit each other."""

import pytest

from scripts.bench.engine import CRITERIA, RESPONSES, computing_parameters, reference_model, reference_tree
from scripts.bench.gpu import MATMUL, rates_of, ways_of

SHAPE = {
    "vocab_size": 8192,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
PRODUCT_S = 1e5
"""Seconds of a matrix product: so slow that the share of its rate is a number with digits."""


def test_every_way_scores_alike_and_its_numbers_fit_each_other():
    stock = reference_model("sdpa", SHAPE)
    trees = [reference_tree(seed) for seed in range(2)]

    rates = rates_of(ways_of(stock, SHAPE), trees, 1, stock, PRODUCT_S)

    assert [rate.way.split(",")[0] for rate in rates] == ["transformers", "tree engine", "tree engine"]
    assert rates[0].max_abs_difference == 0
    for rate in rates:
        assert rate.max_abs_difference < 1e-4
        assert rate.trees == 2
        assert rate.unique_tokens == sum(tree.unique_tokens for tree in trees)
        seconds = 2 * RESPONSES * CRITERIA / rate.scores_per_s
        assert rate.unique_tokens_per_s == pytest.approx(rate.unique_tokens / seconds, rel=1e-2)
        useful = computing_parameters(stock) * rate.unique_tokens / MATMUL**3 * PRODUCT_S / seconds
        assert rate.useful_share == pytest.approx(useful, rel=2e-2)
