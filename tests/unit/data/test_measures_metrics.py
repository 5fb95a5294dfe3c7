"""The formulas, by hand and against scikit-learn, what holds for all data, and the bootstrap."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from promedical_data.measures import metrics
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.controls import longer_answer, majority
from promedical_data.measures.tallies import NOTHING, Tally, difference, macro, micro


def pair_frame(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["prompt", "criterion", "margin"]).assign(longer=-1)


def label_frame(seed: int = 0, size: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=size).round(1)
    frame = pd.DataFrame(
        {
            "prompt": rng.integers(0, 12, size).astype(str),
            "response": rng.integers(0, 3, size).astype(str),
            "criterion": rng.integers(0, 7, size).astype(str),
            "dimension": rng.choice(["proficiency", "safety"], size),
            "polarity": "negative",
            "met": rng.random(size) < 1 / (1 + np.exp(-logit)),
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
            "predicted": logit >= 0.2,
        }
    )
    return frame.assign(wording=frame["criterion"])


def test_accuracy_counts_ties_as_wrong_macro_by_prompt_micro_by_pair() -> None:
    frame = pair_frame(("a", "c", 1.0), ("a", "c", -1.0), ("a", "c", 0.0), ("a", "d", 2.0), ("b", "c", 3.0))

    assert metrics.accuracy_macro(frame).value == pytest.approx((0.5 + 1) / 2)
    assert metrics.accuracy_micro(frame).value == pytest.approx(3 / 5)
    assert metrics.ties(frame).value == pytest.approx(1 / 5)
    assert (metrics.accuracy_macro(frame).n, metrics.accuracy_micro(frame).n) == (2, 5)


def test_auc_within_is_the_mean_of_scikit_learns_over_criteria_and_prompts() -> None:
    labels = label_frame()
    cells = labels.groupby(["prompt", "criterion"])
    parts = {key: part for key, part in cells if part["met"].nunique() == 2}
    found = [
        (*key, a - b)
        for key, part in parts.items()
        for a in part.loc[part["met"], "logit"]
        for b in part.loc[~part["met"], "logit"]
    ]
    auc = pd.Series({key: reference.roc_auc_score(part["met"], part["logit"]) for key, part in parts.items()})
    weight = pd.Series({key: part["met"].sum() * (~part["met"]).sum() for key, part in parts.items()})
    frame = pair_frame(*found)

    assert metrics.auc_within_macro(frame).value == pytest.approx(auc.groupby(level=0).mean().mean())
    assert metrics.auc_within_micro(frame).value == pytest.approx((auc * weight).sum() / weight.sum())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision", lambda f: reference.precision_score(f["met"], f["predicted"])),
        ("recall", lambda f: reference.recall_score(f["met"], f["predicted"])),
        ("f1", lambda f: reference.f1_score(f["met"], f["predicted"])),
        ("accuracy", lambda f: reference.accuracy_score(f["met"], f["predicted"])),
        ("balanced_accuracy", lambda f: reference.balanced_accuracy_score(f["met"], f["predicted"])),
        ("balanced_f1", lambda f: reference.f1_score(f["met"], f["predicted"], average="macro")),
        ("auc_pooled", lambda f: reference.roc_auc_score(f["met"], f["logit"])),
        ("brier", lambda f: reference.brier_score_loss(f["met"], f["probability"])),
        (
            "balanced_f1_by_criterion",
            lambda f: np.mean(
                [reference.f1_score(p["met"], p["predicted"], average="macro") for _, p in f.groupby("criterion")]
            ),
        ),
    ],
)
def test_pointwise_metric_equals_scikit_learn(name: str, expected: Callable[[pd.DataFrame], float]) -> None:
    frame = label_frame()

    assert metrics.POINTWISE[name](frame).value == pytest.approx(expected(frame))


def test_calibration_error_is_the_weighted_gap_of_15_bins() -> None:
    probability = [0.0, 0.05, 0.5, 0.52, 0.99, 1.0]  # bins 0, 0, 7, 7, 14, 14
    frame = pd.DataFrame(
        {"prompt": ["a", "b"] * 3, "probability": probability, "met": [True, False, True, True, True, False]}
    )

    expected = (abs(0.05 - 1) + abs(1.02 - 2) + abs(1.99 - 1)) / 6
    assert metrics.calibration_error(frame).value == pytest.approx(expected)


def test_vetoes_judge_whole_responses_by_their_safety_labels() -> None:
    rows = [
        ("a", "1", "safety", False, False), ("a", "1", "safety", True, False), ("a", "1", "safety", False, True),
        ("a", "2", "safety", False, True), ("a", "2", "proficiency", True, True),
        ("b", "1", "safety", False, False), ("b", "2", "safety", True, False), ("b", "3", "safety", False, False),
        ("b", "4", "proficiency", True, True),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["prompt", "response", "dimension", "met", "predicted"])

    assert metrics.VETOES["false_veto_rate"](frame).value == pytest.approx(1 / 3)
    assert metrics.VETOES["veto_recall"](frame).value == pytest.approx(1 / 2)
    assert metrics.VETOES["veto_balanced_accuracy"](frame).value == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics.VETOES["veto_recall"](frame).n == 5


def test_metrics_of_one_class_are_none_and_not_numbers() -> None:
    frame = label_frame().assign(met=False, predicted=False)
    undefined = {name for name, metric in metrics.POINTWISE.items() if metric(frame).value is None}

    assert undefined == {
        "precision", "recall", "f1", "balanced_accuracy", "balanced_f1", "balanced_f1_by_criterion", "auc_pooled",
    }  # fmt: skip
    assert Bootstrap().estimate(metrics.auc_pooled(frame)).n == 0
    assert Bootstrap().estimate(NOTHING).value is None


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_metrics_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    frame = label_frame(size=60)
    shuffled = frame.sample(frac=1, random_state=seed)

    for metric in (*metrics.POINTWISE.values(), *metrics.VETOES.values()):
        a, b = (Bootstrap(replicates=20).estimate(metric(rows)) for rows in (frame, shuffled))
        assert (a.value, a.low, a.high, a.n) == pytest.approx((b.value, b.low, b.high, b.n))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("cd"), st.integers(1, 9)), min_size=1))
def test_pair_metrics_of_the_perfect_the_reversed_and_the_constant_judge(rows: list[tuple[str, str, int]]) -> None:
    right = pair_frame(*rows)
    wrong, constant = right.assign(margin=-right["margin"]), right.assign(margin=0)

    for metric in (metrics.accuracy_macro, metrics.accuracy_micro, metrics.auc_within_macro, metrics.auc_within_micro):
        assert metric(right).value == pytest.approx(1)
        assert metric(wrong).value == pytest.approx(0)
    assert metrics.accuracy_macro(constant).value == 0
    assert metrics.ties(constant).value == 1
    assert metrics.auc_within_macro(constant).value == pytest.approx(0.5)


@given(st.integers(0, 100))
def test_balanced_metrics_stay_when_labels_and_verdicts_are_negated(seed: int) -> None:
    frame = label_frame(seed)
    negated = frame.assign(
        met=~frame["met"], predicted=~frame["predicted"], logit=-frame["logit"], probability=1 - frame["probability"]
    )

    for name in ("accuracy", "balanced_accuracy", "balanced_f1", "balanced_f1_by_criterion", "auc_pooled", "brier"):
        assert metrics.POINTWISE[name](frame).value == pytest.approx(metrics.POINTWISE[name](negated).value)


def test_majority_says_the_frequent_class_of_dimension_and_polarity() -> None:
    frame = pd.DataFrame(
        {"dimension": ["x", "x", "x", "y", "y"], "polarity": "positive", "met": [True, True, False, False, False]}
    )
    judged = majority(frame)

    assert judged["predicted"].tolist() == [True, True, True, False, False]
    assert judged["probability"].tolist() == pytest.approx([2 / 3] * 3 + [0, 0])


def test_longer_answer_takes_length_for_the_margin() -> None:
    assert longer_answer(pair_frame(("a", "c", 4.0)))["margin"].tolist() == [-1]


def test_bootstrap_of_a_mean_has_the_width_of_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    prompts = pd.Series(np.arange(400).astype(str))
    values = pd.Series(rng.normal(size=400))
    estimate = Bootstrap().estimate(micro(prompts, values))

    half = 1.96 * values.std() / 20
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.015)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.015)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    prompt = pd.Series(np.repeat(np.arange(60), 5).astype(str))

    def covers() -> bool:
        by_prompt = np.repeat(rng.normal(size=60), 5)  # values of one prompt hang together
        estimate = Bootstrap(replicates=300).estimate(macro(prompt, pd.Series(by_prompt + rng.normal(size=300))))
        return estimate.low <= 0 <= estimate.high

    assert 0.88 <= np.mean([covers() for _ in range(200)]) <= 0.99


def test_bootstrap_resamples_prompts_and_not_rows() -> None:
    prompt = pd.Series(np.repeat(["a", "b", "c", "d"], 100))
    values = pd.Series(np.repeat([0.0, 0.0, 1.0, 1.0], 100))
    estimate = Bootstrap().estimate(micro(prompt, values))

    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_bootstrap_of_one_prompt_has_a_value_and_no_interval() -> None:
    estimate = Bootstrap().estimate(metrics.accuracy_micro(pair_frame(("a", "c", 1.0))))

    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (1.0, None, None, 1)


def test_bootstrap_gives_the_same_interval_again() -> None:
    tally = metrics.auc_pooled(label_frame())

    assert Bootstrap(seed=1).estimate(tally) == Bootstrap(seed=1).estimate(tally)
    assert Bootstrap(seed=1).estimate(tally) != Bootstrap(seed=2).estimate(tally)


def test_difference_pairs_the_prompts() -> None:
    rng = np.random.default_rng(0)
    prompt = pd.Series(np.repeat(np.arange(30), 4).astype(str))
    worse = pd.Series(rng.normal(size=120))
    better = worse + 0.25
    paired = Bootstrap().estimate(difference(micro(prompt, better), micro(prompt, worse)))

    assert (paired.value, paired.low, paired.high) == pytest.approx((0.25, 0.25, 0.25))


def test_difference_refuses_other_prompts() -> None:
    one, other = (metrics.accuracy_micro(pair_frame((name, "c", 1.0))) for name in "ab")

    with pytest.raises(ValueError, match="different prompts"):
        difference(one, other)


def test_tally_without_a_finite_value_is_none() -> None:
    tally = Tally(sums=pd.DataFrame({"x": [1.0]}), formula=lambda sums: sums[..., 0] * np.nan, n=1)

    assert tally.value is None
