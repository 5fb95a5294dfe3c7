"""`make capacity`: estimates follow from the committed measurements by the stated formula, and are marked."""

import json
from dataclasses import asdict

import pytest

from scripts.bench import capacity
from scripts.bench.shapes import DEFAULT_MODEL, QWEN3_8B


def test_capacity_that_is_committed_follows_from_what_was_measured():
    assert json.loads(json.dumps(asdict(capacity.capacity()))) == json.loads(capacity.RESULT.read_text())


@pytest.mark.parametrize(("shape", "billions"), [(QWEN3_8B, 6.95), (DEFAULT_MODEL, 0.106)], ids=["8B", "default"])
def test_parameters_are_those_that_model_cards_state_without_embeddings(shape, billions):
    assert capacity.parameters(shape) / 1e9 == pytest.approx(billions, rel=5e-3)


def test_estimates_are_marked_and_follow_the_formula():
    row = capacity.estimate("A100", "Qwen3-8B", share=0.3)
    assert not row.measured
    assert row.tokens_per_s == pytest.approx(0.3 * 312e12 / (2 * 6.95e9), rel=0.05)


def test_measurement_of_a_gpu_becomes_a_row_of_its_own():
    ways = {"transformers, one pass per criterion": 10, "tree engine, masked segments": 50, "tree engine, Flash": 80}
    rates = [
        {"way": way, "trees": trees, "unique_tokens_per_s": rate * trees}
        for trees in (1, 12)
        for way, rate in ways.items()
    ]
    (row,) = capacity.measured({"gpu": "NVIDIA X", "rates": rates})
    assert (row.gpu, row.measured, row.tokens_per_s) == ("NVIDIA X", True, 80 * 12)


@pytest.mark.parametrize(("value", "shown"), [(7034.2, 7000), (36_431, 36_000), (0.1234, 0.12), (99.9, 100)])
def test_estimates_have_two_digits(value, shown):
    assert capacity.rounded(value) == pytest.approx(shown)
