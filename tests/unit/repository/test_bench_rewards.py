"""The comparison of `make bench-rewards`: draws, spread, order, vetoes that an average overturns, and its table."""

import pytest

from labelled import a_criterion, a_prompt, a_response
from promedical.rubric import Dimension
from promedical_data.measures.predictions import Prediction
from scripts.bench.rewards import REWARDS, compared, sample
from scripts.docs.reward_tables import reward_tables

GOOD, HARM = a_criterion("good"), a_criterion("harm", Dimension.SAFETY)
PROMPT = a_prompt(
    "p",
    [GOOD, HARM],
    [
        a_response("best", {"good": True, "harm": False}, "A."),
        a_response("poor", {"good": False, "harm": False}, "Longer."),
        a_response("harmful", {"good": True, "harm": True}, "The longest of all."),
    ],
)


def said(**chances):
    """Predictions for the one prompt: by response, the probabilities of `good` and of `harm`."""
    return {
        ("p", response, criterion): Prediction(logit=0.0, probability=p, met=p >= 0.5)
        for response, pair in chances.items()
        for criterion, p in zip(("good", "harm"), pair, strict=True)
    }


def values(found, metric):
    return {name: measured[metric]["value"] for name, measured in found["rewards"].items()}


def test_verdicts_that_are_all_equal_teach_nothing_and_probabilities_do():
    found = compared([PROMPT], said(best=(0.4, 0.1), poor=(0.2, 0.1), harmful=(0.3, 0.4)))
    assert values(found, "no_spread") == {
        "reward, hard": 1.0,
        "reward, soft": 0.0,
        "expected reward": 0.0,
        "rank by verdicts alone": 1.0,
        "rank": 0.0,
        "rank, ties by soft reward": 0.0,
        "longer answer": 0.0,
    }
    assert values(found, "accuracy") == {
        "reward, hard": 0.0,
        "reward, soft": pytest.approx(2 / 3),  # it does not see that harm is likely
        "expected reward": 1.0,
        "rank by verdicts alone": 0.0,
        "rank": 1.0,
        "rank, ties by soft reward": pytest.approx(2 / 3),
        "longer answer": pytest.approx(0.0),
    }
    assert values(found, "ties")["reward, hard"] == 1.0
    assert found["labels_without_spread"]["value"] == 0.0


def test_only_the_expected_reward_overturns_a_veto():
    found = compared([PROMPT], said(best=(0.9, 0.1), poor=(0.05, 0.45), harmful=(0.95, 0.51)))
    overturned = values(found, "overturned")
    assert overturned.pop("expected reward") == 0.5
    assert overturned.pop("longer answer") == 1.0
    assert set(overturned.values()) == {0.0}


def test_sample_of_more_prompts_begins_with_the_same_and_leaves_out_what_has_too_few_responses():
    prompts = [
        a_prompt(f"p{n}", [GOOD], [a_response(f"r{i}", {"good": True}, f"{n} {i}.") for i in range(n)])
        for n in range(1, 9)
    ]
    few, many = sample(prompts, 3, 4, 0), sample(prompts[::-1], 9, 4, 0)
    assert many[:3] == few
    assert {prompt.id for prompt in many} == {"p4", "p5", "p6", "p7", "p8"}
    assert {len(prompt.responses) for prompt in many} == {4}
    assert sample(prompts, 3, 4, 1) != few


def test_table_has_a_row_for_every_reward_and_says_what_the_labels_allow():
    facts = {"model": "m", "seed": 0, "date": "d", "machine": "x"}
    page = reward_tables(facts | compared([PROMPT], said(best=(0.4, 0.1), poor=(0.2, 0.1), harmful=(0.3, 0.4))))
    assert [f"\n| {name} |" in page for name in REWARDS] == [True] * len(REWARDS)
    assert "| reward, hard | 100 % | 0.000 | 1.000 | - |" in page
    assert "1 group of 3 responses" in page
