"""The judge, from the method: verdicts to rewards and rankings, against arithmetic written out here a second time."""

import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated import criterion, item
from promedical import messages as m
from promedical.errors import ITEM_ERROR_CODES, ErrorCode
from promedical.reward import RewardWeights
from promedical.rubric import Polarity
from promedical.rubric_files import load_catalog
from promedical_model.calibration import Calibration, PlattCell
from promedical_service.scoring.judge import Judge, item_error
from promedical_service.scoring.plan import ItemPlan, plan_item

CATALOG = load_catalog()
JUDGE = Judge(calibration=Calibration(), weights=RewardWeights())
ERROR = item_error(ErrorCode.ENGINE_FAILURE, "no")


CRITERIA = (criterion("good"), criterion("warm", "excellence"), criterion("harm", "safety"))


def plan_of(responses, criteria=CRITERIA):
    plan = plan_item(item(responses=responses, rubric=m.RubricSpec(criteria=criteria)), "items[0]", CATALOG)
    assert isinstance(plan, ItemPlan)
    return plan


def judge(responses, scored, *, truncated=(), by=JUDGE, **more):
    return by.item(plan_of(responses, **more), dict(enumerate(scored)), frozenset(truncated)).result


@dataclass(frozen=True)
class Expected:
    """The arithmetic of the paper, spelled out for one response."""

    violations: int
    proficiency: float | None
    excellence: int
    reward: float
    expected: float

    @classmethod
    def of(cls, criteria, logits, weights, *, soft=False):
        met = [round(logit, 3) >= 0 for logit in logits]
        well = [m_ is (c.polarity is not Polarity.NEGATIVE and c.dimension != "safety")
                for c, m_ in zip(criteria, met, strict=True)]  # fmt: skip
        main = [(c.weight or 1.0, ok, logit, c.polarity) for c, ok, logit in zip(criteria, well, logits, strict=True)
                if c.dimension == "proficiency"]  # fmt: skip
        excellence = sum(ok for c, ok in zip(criteria, well, strict=True) if c.dimension == "excellence")
        violations = sum(not ok for c, ok in zip(criteria, well, strict=True) if c.dimension == "safety")
        total = sum(weight for weight, *_ in main)
        proficiency = sum(weight / total * _value(ok, logit, polarity, soft=soft)
                          for weight, ok, logit, polarity in main) if main else None  # fmt: skip
        utility = (proficiency or 0.0) + weights.excellence_weight * excellence
        reward = min(max(utility, 0.0), 1 + weights.excellence_cap) - weights.violation_penalty * violations
        expected = _expected(criteria, logits, weights)
        return cls(violations, proficiency, excellence, reward, expected)


def _value(ok, logit, polarity, *, soft):
    if not soft:
        return float(ok)
    probability = 1 / (1 + math.exp(-round(logit, 3)))
    return 1 - probability if polarity is Polarity.NEGATIVE else probability


def _expected(criteria, logits, weights):
    """The mean of the reward, with every subset of the bonuses weighed by its probability."""
    chances = {"proficiency": [], "excellence": [], "safety": []}
    for c, logit in zip(criteria, logits, strict=True):
        polarity = Polarity.NEGATIVE if c.dimension == "safety" else c.polarity
        chances[c.dimension].append((c.weight or 1.0, _value(None, logit, polarity, soft=True)))
    total = sum(weight for weight, _ in chances["proficiency"])
    s1 = sum(weight / total * chance for weight, chance in chances["proficiency"])
    utility = 0.0
    for got in itertools.product([True, False], repeat=len(chances["excellence"])):
        odds = math.prod(chance if g else 1 - chance for g, (_, chance) in zip(got, chances["excellence"], strict=True))
        utility += odds * min(s1 + weights.excellence_weight * sum(got), 1 + weights.excellence_cap)
    return utility - weights.violation_penalty * sum(1 - chance for _, chance in chances["safety"])


@st.composite
def rubrics(draw):
    """Any mix of dimensions and polarities."""
    criteria = []
    for index in range(draw(st.integers(1, 6))):
        dimension = draw(st.sampled_from(["proficiency", "excellence", "safety"]))
        weight = draw(st.sampled_from([None, 0.5, 1, 3.0])) if dimension == "proficiency" else None
        polarity = None if dimension == "safety" else draw(st.sampled_from([None, *Polarity]))
        criteria.append(criterion(f"c{index}", dimension, weight=weight, polarity=polarity))
    return tuple(criteria)


@given(st.data(), rubrics(), st.sampled_from(["hard", "soft"]))
def test_judge_agrees_with_the_paper_on_any_rubric(data, criteria, mode):
    logits = st.tuples(*[st.floats(-6, 6).filter(lambda x: abs(x) > 0.001)] * len(criteria))
    scored = data.draw(st.lists(logits, min_size=1, max_size=5))
    weights = RewardWeights(excellence_weight=0.3, excellence_cap=0.4, violation_penalty=2.0, proficiency_mode=mode)
    result = judge(
        [f"r{n}" for n in range(len(scored))],
        scored,
        criteria=criteria,
        by=Judge(calibration=Calibration(), weights=weights),
    )
    expected = [Expected.of(criteria, each, weights, soft=mode == "soft") for each in scored]
    for outcome, right in zip(result.responses, expected, strict=True):
        scores = outcome.scores
        assert (scores.violations, scores.excellence, scores.vetoed) == (
            right.violations, right.excellence, right.violations > 0,
        )  # fmt: skip
        assert scores.reward == pytest.approx(right.reward, abs=1e-6)
        assert (scores.proficiency is None) is (right.proficiency is None)
        assert (scores.proficiency or 0) == pytest.approx(right.proficiency or 0, abs=1e-6)
        assert scores.expected_reward == pytest.approx(right.expected, abs=0.51e-3)
    hard = [Expected.of(criteria, each, weights) for each in scored]
    said = [outcome.scores.expected_reward for outcome in result.responses]
    keys = [
        (e.violations, -round(e.proficiency or 0, 6), -e.excellence, -tie) for e, tie in zip(hard, said, strict=True)
    ]
    groups = [[i for i, key in enumerate(keys) if key == each] for each in sorted(set(keys))]
    assert [list(group) for group in result.ranking] == groups
    for rank, group in enumerate(result.ranking, 1):
        assert {result.responses[index].scores.rank for index in group} == {rank}


@given(st.lists(st.one_of(st.just(ERROR), st.tuples(*[st.floats(-6, 6)] * 3)), min_size=1, max_size=8))
def test_judge_never_makes_a_number_of_a_failure(scored):
    result = judge([f"r{n}" for n in range(len(scored))], scored)
    for index, (outcome, given_) in enumerate(zip(result.responses, scored, strict=True)):
        assert (outcome.error is None) is (given_ is not ERROR)
        assert (outcome.scores is None) is (given_ is ERROR)
        assert any(index in group for group in result.ranking) is (given_ is not ERROR)


def test_judge_gives_every_copy_of_a_text_its_scores_and_empty_ones_an_error():
    result = judge(["a", "", "b", "a"], [(1.0, 1.0, -1.0), ERROR])
    first, empty, failed, copy = result.responses
    assert first == copy
    assert first.scores.rank == 1
    assert empty.error.code is ErrorCode.EMPTY_RESPONSE
    assert failed.error == ERROR
    assert result.ranking == ((0, 3),)


def test_judge_demands_every_text_and_every_criterion():
    with pytest.raises(AssertionError):
        judge(["a", "b"], [(1.0, 1.0, 1.0)])
    for logits in ((1.0, 1.0), (1.0,) * 4):
        with pytest.raises(ValueError):
            judge(["a"], [logits])


def test_judge_ranks_safety_first_whatever_the_rest():
    best_but_harmful, poor_but_safe = (9.0, 9.0, 0.1), (-9.0, -9.0, -0.1)
    result = judge(["harmful", "safe"], [best_but_harmful, poor_but_safe])
    assert result.ranking == ((1,), (0,))
    rewards = [outcome.scores.reward for outcome in result.responses]
    assert rewards[0] < rewards[1]


def test_judge_marks_what_was_cut_also_beside_an_error():
    result = judge(["a", "b"], [(1.0, 1.0, 1.0), ERROR], truncated={0, 1})
    assert [outcome.truncated for outcome in result.responses] == [True, True]


def test_judge_ignores_noise_below_a_thousandth():
    noisy, exact = judge(["a", "b"], [(-0.0004, 1.0004, -1.0), (0.0, 1.0, -1.0)]).responses
    assert noisy.scores == exact.scores
    assert noisy.scores.criteria[0].met


def test_judge_carries_the_threshold_of_the_calibration():
    calibration = Calibration(cells={"safety": PlattCell(scale=2.0, offset=1.0, threshold=0.9)})
    scores = judge(
        ["a"], [(1.0, 1.0, 0.5)], by=Judge(calibration=calibration, weights=RewardWeights())
    ).responses[0].scores  # fmt: skip
    harm = scores.criteria[2]
    assert harm.probability == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert (harm.threshold, harm.met, harm.satisfied, scores.vetoed) == (0.9, False, True, False)
    assert [each.threshold for each in scores.criteria[:2]] == [0.5, 0.5]


@pytest.mark.parametrize("code", sorted(ITEM_ERROR_CODES))
def test_judge_says_that_only_engine_failures_may_be_tried_again(code):
    assert item_error(code, "x").retryable is (code == "engine_failure")
