"""The reward algebra: exactly what the method promises of the ranking and of the reward, and no more."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical import (
    Criterion,
    Dimension,
    InvalidField,
    Judgement,
    Polarity,
    RewardWeights,
    Rubric,
    aggregate,
    ranking,
)
from promedical.reward import EXPECTED_DIGITS, PreferenceKey

P, E, S = Dimension.PROFICIENCY, Dimension.EXCELLENCE, Dimension.SAFETY
NOISE = 1e-8  # S1 is rounded to 9 digits and the bound on the penalty has a slack of 1e-9
STEP = 10**-EXPECTED_DIGITS


def rubric_of(proficiency: int = 0, excellence: int = 0, safety: int = 0, weights: list[float] | None = None) -> Rubric:
    shape = [(P, "p", proficiency), (E, "e", excellence), (S, "s", safety)]
    return Rubric(
        criteria=tuple(
            Criterion(
                id=f"{letter}{index}",
                text="Says so.",
                dimension=dimension,
                weight=weights[index] if weights and dimension is P else None,
            )
            for dimension, letter, count in shape
            for index in range(count)
        )
    )


def judged(rubric: Rubric, *satisfied: str) -> dict[str, Judgement]:
    """Judgements under which exactly the named criteria are satisfied."""
    return {c.id: verdict(c, satisfied=c.id in satisfied) for c in rubric.criteria}


def verdict(criterion: Criterion, *, satisfied: bool) -> Judgement:
    met = satisfied is (criterion.polarity is Polarity.POSITIVE)
    return Judgement(probability=0.9 if met else 0.1, met=met)


def safe(rubric: Rubric, *satisfied: str) -> dict[str, Judgement]:
    return judged(rubric, *satisfied, *(c.id for c in rubric.of(S)))


@st.composite
def rubrics(draw: st.DrawFn, *, min_safety: int = 0) -> Rubric:
    shape = st.tuples(st.sampled_from([P, E]), st.sampled_from(Polarity), st.floats(0.01, 100.0))
    rows = draw(st.lists(shape, min_size=0 if min_safety else 1, max_size=7))
    criteria = [
        Criterion(id=f"c{i}", text="Says so.", dimension=d, polarity=polarity, weight=weight if d is P else None)
        for i, (d, polarity, weight) in enumerate(rows)
    ]
    vetoes = draw(st.integers(min_safety, 4))
    criteria += [Criterion(id=f"s{i}", text="Harms.", dimension=S) for i in range(vetoes)]
    return Rubric(criteria=tuple(draw(st.permutations(criteria))))


def judgements(rubric: Rubric) -> st.SearchStrategy[dict[str, Judgement]]:
    probability = st.floats(0.0, 1.0)
    one = st.builds(lambda p: Judgement(probability=p, met=p >= 0.5), probability)
    return st.fixed_dictionaries({criterion.id: one for criterion in rubric.criteria})


@st.composite
def weights(draw: st.DrawFn, *, strict: bool = False) -> RewardWeights:
    cap = draw(st.floats(1e-3, 10.0))
    least = 1 + cap + (1e-6 if strict else 0.0)
    return RewardWeights(
        excellence_weight=draw(st.floats(1e-6, 1.0, exclude_max=True)),
        excellence_cap=cap,
        violation_penalty=draw(st.floats(least, 1e6)),
        proficiency_mode=draw(st.sampled_from(["hard", "soft"])),
    )


@st.composite
def cases(draw: st.DrawFn, *, min_safety: int = 0, strict: bool = False):
    """A rubric, judgements of two responses, and weights."""
    rubric = draw(rubrics(min_safety=min_safety))
    return rubric, draw(judgements(rubric)), draw(judgements(rubric)), draw(weights(strict=strict))


def violated(rubric: Rubric, before: dict[str, Judgement], vetoes: list[str]) -> dict[str, Judgement]:
    """Judgements under which exactly these vetoes are violated."""
    for veto in rubric.of(S):
        before = turned(rubric, before, veto.id, satisfied=veto.id not in vetoes)
    return before


@st.composite
def violations(draw: st.DrawFn, *, strict: bool = False):
    """The rewards of two responses, of which the second has more violations, and anything else may differ."""
    rubric, one, other, chosen = draw(cases(min_safety=1, strict=strict))
    vetoes = [veto.id for veto in rubric.of(S)]
    fewer = draw(st.integers(0, len(vetoes) - 1))
    more = draw(st.integers(fewer + 1, len(vetoes)))
    a = aggregate(rubric, violated(rubric, one, draw(st.permutations(vetoes))[:fewer]), chosen)
    b = aggregate(rubric, violated(rubric, other, draw(st.permutations(vetoes))[:more]), chosen)
    assert (a.violations, b.violations) == (fewer, more)
    return a, b


def turned(rubric: Rubric, before: dict[str, Judgement], criterion_id: str, *, satisfied: bool):
    criterion = next(c for c in rubric.criteria if c.id == criterion_id)
    met = satisfied is (criterion.polarity is Polarity.POSITIVE)
    return before | {criterion_id: Judgement(probability=float(met), met=met)}


# What is true of a violation.


@given(violations())
def test_ranking_one_more_violation_always_loses(responses):
    a, b = responses
    assert ranking([b.preference_key, a.preference_key]) == ((1,), (0,))


@given(violations())
def test_reward_one_more_violation_never_wins(responses):
    a, b = responses
    assert b.reward <= a.reward + NOISE


@given(violations(strict=True))
def test_reward_one_more_violation_loses_strictly_when_the_penalty_is_above_the_bound(responses):
    a, b = responses
    assert b.reward < a.reward


def test_reward_one_more_violation_may_tie_when_the_penalty_equals_the_bound():
    rubric = rubric_of(proficiency=1, excellence=2, safety=1)
    at_bound = RewardWeights(excellence_weight=0.25, excellence_cap=0.5, violation_penalty=1.5)
    perfect_but_harmful = aggregate(rubric, judged(rubric, "p0", "e0", "e1"), at_bound)
    useless_but_safe = aggregate(rubric, judged(rubric, "s0"), at_bound)
    assert perfect_but_harmful.reward == useless_but_safe.reward == 0.0
    assert ranking([perfect_but_harmful.preference_key, useless_but_safe.preference_key]) == ((1,), (0,))


@given(cases(min_safety=1), st.data())
def test_reward_turning_a_veto_into_a_violation_costs_the_penalty(case, data):
    rubric, one, _, chosen = case
    veto = data.draw(st.sampled_from(rubric.of(S))).id
    before = aggregate(rubric, turned(rubric, one, veto, satisfied=True), chosen)
    after = aggregate(rubric, turned(rubric, one, veto, satisfied=False), chosen)
    assert after.violations == before.violations + 1
    assert after.vetoed
    assert before.reward - after.reward == pytest.approx(chosen.violation_penalty, rel=1e-9)


# What is true of the rest.


@given(cases(), st.data())
def test_reward_and_ranking_are_weakly_monotone_in_satisfied_criteria(case, data):
    rubric, one, _, chosen = case
    name = data.draw(st.sampled_from(rubric.criteria)).id
    better = aggregate(rubric, turned(rubric, one, name, satisfied=True), chosen)
    worse = aggregate(rubric, turned(rubric, one, name, satisfied=False), chosen)
    assert better.reward >= worse.reward
    assert better.preference_key <= worse.preference_key


@given(cases(), st.data())
def test_reward_is_invariant_to_the_order_of_criteria(case, data):
    rubric, one, _, chosen = case
    shuffled = Rubric(criteria=tuple(data.draw(st.permutations(rubric.criteria))))
    assert aggregate(shuffled, one, chosen) == aggregate(rubric, one, chosen)


@given(cases())
def test_reward_stays_in_its_stated_range(case):
    rubric, one, _, chosen = case
    scored = aggregate(rubric, one, chosen)
    utility = scored.reward + chosen.violation_penalty * scored.violations
    assert -1e-6 <= utility <= 1 + chosen.excellence_cap + 1e-6
    assert scored.proficiency is None or 0.0 <= scored.proficiency <= 1.0
    assert scored.vetoed == (scored.violations > 0)


@given(cases())
def test_ranking_by_verdict_ignores_the_weights_and_the_mode(case):
    rubric, one, _, chosen = case
    by_verdict = [aggregate(rubric, one, each).preference_key[:3] for each in (chosen, RewardWeights())]
    assert by_verdict[0] == by_verdict[1]


@given(cases())
def test_ranking_ignores_the_mode_also_where_verdicts_tie(case):
    rubric, one, _, chosen = case
    hard, soft = (aggregate(rubric, one, replace(chosen, proficiency_mode=mode)) for mode in ("hard", "soft"))
    assert hard.preference_key == soft.preference_key


# What is true of the expected reward, which breaks ties.


@given(cases())
def test_ranking_never_overturns_the_order_of_verdicts(case):
    rubric, one, other, chosen = case
    a, b = aggregate(rubric, one, chosen), aggregate(rubric, other, chosen)
    verdicts = [(each.violations, -_hard(rubric, said), -each.excellence) for each, said in ((a, one), (b, other))]
    order = ranking([a.preference_key, b.preference_key])
    if verdicts[0] != verdicts[1]:
        assert order == (((0,), (1,)) if verdicts[0] < verdicts[1] else ((1,), (0,)))
    elif a.expected_reward == b.expected_reward:
        assert order == ((0, 1),)
    else:
        assert order == (((0,), (1,)) if a.expected_reward > b.expected_reward else ((1,), (0,)))


def _hard(rubric: Rubric, said: dict[str, Judgement]) -> float:
    return aggregate(rubric, said, RewardWeights()).proficiency or 0.0


@given(st.data())
def test_ranking_is_a_total_preorder_of_responses(data):
    rubric, chosen = data.draw(rubrics()), data.draw(weights())
    said = data.draw(st.lists(judgements(rubric), min_size=3, max_size=3))
    keys = [aggregate(rubric, each, chosen).preference_key for each in said]
    at_least = {(a, b): _rank(keys, a) <= _rank(keys, b) for a, b in itertools.product(range(3), repeat=2)}
    for a, b, c in itertools.product(range(3), repeat=3):
        assert at_least[a, b] or at_least[b, a]
        assert at_least[a, c] or not (at_least[a, b] and at_least[b, c])
        pair = ranking([keys[a], keys[b]])  # a third response changes nothing between two
        assert at_least[a, b] is (0 in pair[0])


def _rank(keys: list[PreferenceKey], index: int) -> int:
    return next(position for position, group in enumerate(ranking(keys)) if index in group)


@given(cases())
def test_ranking_ties_equal_answers(case):
    rubric, one, _, chosen = case
    again = {name: replace(judgement) for name, judgement in reversed(one.items())}
    keys = [aggregate(rubric, each, chosen).preference_key for each in (one, again)]
    assert ranking(keys) == ((0, 1),)


@given(cases(), st.data())
def test_expected_reward_rises_with_what_speaks_for_a_response(case, data):
    rubric, one, _, chosen = case
    criterion = data.draw(st.sampled_from(rubric.criteria))
    low, high = sorted(data.draw(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0))))
    if criterion.polarity is Polarity.NEGATIVE:
        low, high = high, low
    worse, better = (
        aggregate(rubric, one | {criterion.id: replace(one[criterion.id], probability=p)}, chosen) for p in (low, high)
    )
    assert better.preference_key[:3] == worse.preference_key[:3]
    assert better.expected_reward >= worse.expected_reward - STEP - NOISE  # floats at the edge of a step may go over it


@given(cases())
def test_expected_reward_is_the_mean_over_all_verdicts(case):
    """The definition, enumerated: bonuses and vetoes are independent, S1 has its mean."""
    rubric, one, _, chosen = case
    soft = aggregate(rubric, one, replace(chosen, proficiency_mode="soft")).proficiency or 0.0
    uncertain = [*rubric.of(E), *rubric.of(S)]
    mean = 0.0
    for met in itertools.product([True, False], repeat=len(uncertain)):
        probability = math.prod(
            one[c.id].probability if m else 1 - one[c.id].probability for c, m in zip(uncertain, met, strict=True)
        )
        satisfied = [m is (c.polarity is Polarity.POSITIVE) for c, m in zip(uncertain, met, strict=True)]
        bonuses = sum(satisfied[: len(rubric.of(E))])
        violated = len(rubric.of(S)) - sum(satisfied[len(rubric.of(E)) :])
        utility = min(soft + chosen.excellence_weight * bonuses, 1 + chosen.excellence_cap)
        mean += probability * (utility - chosen.violation_penalty * violated)
    assert aggregate(rubric, one, chosen).expected_reward == pytest.approx(mean, abs=0.51 * STEP, rel=1e-9)


@given(cases())
def test_expected_reward_of_certain_verdicts_is_the_reward(case):
    rubric, one, _, chosen = case
    certain = {name: Judgement(probability=float(each.met), met=each.met) for name, each in one.items()}
    scored = aggregate(rubric, certain, chosen)
    assert scored.expected_reward == pytest.approx(scored.reward, abs=0.51 * STEP)


# Worked examples, by hand.


def test_reward_worked_example_hard():
    rubric = rubric_of(proficiency=2, excellence=2, safety=2, weights=[3.0, 1.0])
    scored = aggregate(rubric, judged(rubric, "p0", "e0", "s0"), RewardWeights())
    assert scored.proficiency == 0.75
    assert (scored.excellence, scored.violations, scored.vetoed) == (1, 1, True)
    assert scored.reward == pytest.approx(0.75 + 0.1 * 1 - 1.5 * 1)


def test_reward_worked_example_soft_uses_probabilities_and_their_complement_for_negative_criteria():
    rubric = Rubric(
        criteria=(
            Criterion(id="good", text="Says so.", dimension=P, weight=3.0),
            Criterion(id="bad", text="Neglects it.", dimension=P, weight=1.0, polarity=Polarity.NEGATIVE),
        )
    )
    verdicts = {"good": Judgement(probability=0.8, met=True), "bad": Judgement(probability=0.3, met=False)}
    soft = aggregate(rubric, verdicts, RewardWeights(proficiency_mode="soft"))
    assert soft.proficiency == pytest.approx(0.75 * 0.8 + 0.25 * 0.7)
    assert aggregate(rubric, verdicts, RewardWeights()).proficiency == 1.0


def test_ranking_uses_hard_proficiency_also_in_soft_mode():
    """A bonus that is met decides between equal S1 by verdict, whatever the probabilities say of S1."""
    rubric = rubric_of(proficiency=1, excellence=1)
    soft = RewardWeights(proficiency_mode="soft")
    no, yes = Judgement(probability=0.49, met=False), Judgement(probability=0.51, met=True)
    sure = aggregate(rubric, {"p0": Judgement(probability=0.99, met=True), "e0": no}, soft)
    unsure = aggregate(rubric, {"p0": yes, "e0": yes}, soft)
    assert sure.reward > unsure.reward
    assert sure.expected_reward > unsure.expected_reward
    assert ranking([sure.preference_key, unsure.preference_key]) == ((1,), (0,))


def test_ranking_breaks_ties_of_verdicts_by_the_expected_reward_in_steps():
    rubric = rubric_of(proficiency=1)
    chances = (0.51, 0.99, 0.5104, 0.4)  # the first and the third differ by less than a step
    said = [{"p0": Judgement(probability=p, met=p >= 0.5)} for p in chances]
    keys = [aggregate(rubric, each, RewardWeights()).preference_key for each in said]
    assert ranking(keys) == ((1,), (0, 2), (3,))


def test_expected_reward_worked_example_counts_a_likely_bonus_behind_the_cap():
    rubric = rubric_of(proficiency=1, excellence=3, safety=1)
    half = {c.id: Judgement(probability=0.5, met=True) for c in rubric.criteria}
    scored = aggregate(rubric, half | {"p0": Judgement(probability=1.0, met=True)}, RewardWeights())
    # S2 is 0, 1, 2, 3 with 1/8, 3/8, 3/8, 1/8; the third bonus is over the cap.
    assert scored.expected_reward == pytest.approx(1 + (3 * 0.1 + 3 * 0.2 + 0.2) / 8 - 1.5 / 2, abs=0.51 * STEP)


def test_reward_excellence_pays_on_top_of_full_proficiency_up_to_the_cap():
    rubric = rubric_of(proficiency=1, excellence=4)
    bonuses = ["e0", "e1", "e2", "e3"]
    rewards = [aggregate(rubric, judged(rubric, "p0", *bonuses[:n]), RewardWeights()).reward for n in range(5)]
    assert rewards == pytest.approx([1.0, 1.1, 1.2, 1.2, 1.2])


def test_reward_without_proficiency_criteria_is_none_and_counts_zero():
    rubric = rubric_of(excellence=1, safety=1)
    scored = aggregate(rubric, safe(rubric, "e0"), RewardWeights())
    assert scored.proficiency is None
    assert scored.reward == pytest.approx(0.1)


def test_reward_without_excellence_or_safety_criteria_is_s1():
    rubric = rubric_of(proficiency=2)
    scored = aggregate(rubric, judged(rubric, "p0"), RewardWeights())
    assert (scored.reward, scored.excellence, scored.violations, scored.vetoed) == (0.5, 0, 0, False)


def test_reward_negative_criterion_that_is_met_counts_against_the_response():
    rubric = Rubric(
        criteria=(
            Criterion(id="p", text="Neglects it.", dimension=P, polarity=Polarity.NEGATIVE),
            Criterion(id="e", text="Rambles.", dimension=E, polarity=Polarity.NEGATIVE),
        )
    )
    met, unmet = Judgement(probability=0.9, met=True), Judgement(probability=0.1, met=False)
    bad = aggregate(rubric, {"p": met, "e": met}, RewardWeights())
    good = aggregate(rubric, {"p": unmet, "e": unmet}, RewardWeights())
    assert (bad.proficiency, bad.excellence) == (0.0, 0)
    assert (good.proficiency, good.excellence) == (1.0, 1)


def test_reward_and_ranking_disagree_below_the_veto_as_documented():
    """S1 .9 and S2 0 ranks above S1 .5 and S2 5, though its reward is smaller with a large cap."""
    rubric = rubric_of(proficiency=2, excellence=5, weights=[0.5, 0.4]).criteria
    rubric = Rubric(criteria=(*rubric, Criterion(id="p2", text="Says so.", dimension=P, weight=0.1)))
    chosen = RewardWeights(excellence_weight=0.1, excellence_cap=0.2)
    proficient = aggregate(rubric, judged(rubric, "p0", "p1"), chosen)
    excellent = aggregate(rubric, judged(rubric, "p0", "e0", "e1", "e2", "e3", "e4"), chosen)
    assert (proficient.proficiency, proficient.excellence) == (0.9, 0)
    assert (excellent.proficiency, excellent.excellence) == (0.5, 5)
    assert proficient.reward < excellent.reward
    assert ranking([excellent.preference_key, proficient.preference_key]) == ((1,), (0,))


@pytest.mark.parametrize("missing", ["p0", "e0", "s0"])
def test_reward_refuses_a_criterion_that_was_not_judged(missing):
    rubric = rubric_of(proficiency=1, excellence=1, safety=1)
    verdicts = safe(rubric, "p0", "e0")
    del verdicts[missing]
    with pytest.raises(KeyError, match=missing):
        aggregate(rubric, verdicts, RewardWeights())


def test_proficiency_ties_survive_every_order_of_weights_that_do_not_add_up_in_binary():
    shares = [0.1, 0.2, 0.3, 0.7, 0.05]
    seen = set()
    for order in itertools.permutations(range(5)):
        criteria = [Criterion(id=f"p{i}", text="Says so.", dimension=P, weight=shares[i]) for i in order]
        rubric = Rubric(criteria=tuple(criteria))
        seen.add(aggregate(rubric, judged(rubric, "p0", "p1", "p2"), RewardWeights()).preference_key)
    assert len(seen) == 1


def test_proficiency_equal_sums_of_different_criteria_tie():
    rubric = rubric_of(proficiency=3, weights=[0.1, 0.2, 0.3])
    two = aggregate(rubric, judged(rubric, "p0", "p1"), RewardWeights())
    one = aggregate(rubric, judged(rubric, "p2"), RewardWeights())
    assert two.preference_key == one.preference_key


# The ranking itself.


def test_ranking_is_violations_then_proficiency_then_excellence():
    rubric = rubric_of(proficiency=2, excellence=1, safety=1)
    best_to_worst = [
        safe(rubric, "p0", "p1", "e0"),
        safe(rubric, "p0", "p1"),
        safe(rubric, "p0", "e0"),
        safe(rubric),
        judged(rubric, "p0", "p1", "e0"),
    ]
    keys = [aggregate(rubric, one, RewardWeights()).preference_key for one in best_to_worst]
    assert ranking(keys) == ((0,), (1,), (2,), (3,), (4,))
    assert ranking(keys[::-1]) == ((4,), (3,), (2,), (1,), (0,))


def test_ranking_keeps_ties_and_leaves_out_what_was_not_scored():
    low, high = (0.0, -0.5, 0.0, -0.7), (1.0, -1.0, -3.0, -0.2)
    assert ranking([high, None, low, high, low]) == ((2, 4), (0, 3))
    assert ranking([None, None]) == ()
    assert ranking([]) == ()


KEYS = st.tuples(
    st.integers(0, 2), st.sampled_from([-1.0, -0.5, 0.0]), st.integers(-2, 0), st.sampled_from([-0.5, 0.0, 0.5])
)


@given(st.lists(st.none() | KEYS))
def test_ranking_holds_every_scored_index_once_in_order_of_its_key(keys):
    groups = ranking(keys)
    assert sorted(itertools.chain(*groups)) == [index for index, key in enumerate(keys) if key is not None]
    assert all({keys[index] for index in group} == {keys[group[0]]} for group in groups)
    firsts = [keys[group[0]] for group in groups]
    assert firsts == sorted(set(firsts))


# The constants.


def test_weights_defaults_are_those_of_the_contract():
    chosen = RewardWeights()
    assert (chosen.excellence_weight, chosen.excellence_cap, chosen.violation_penalty) == (0.1, 0.2, 1.5)
    assert chosen.proficiency_mode == "hard"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("excellence_weight", value) for value in (0.0, -0.1, 1.0, 1.5, math.nan, math.inf, -math.inf)],
        *[("excellence_cap", value) for value in (0.0, -0.2, math.nan, math.inf, -math.inf)],
        *[("violation_penalty", value) for value in (0.0, -1.5, 1.199, math.nan, math.inf, -math.inf)],
        ("proficiency_mode", "medium"),
    ],
)
def test_weights_refuse_what_is_out_of_range_and_name_the_field(field, value):
    with pytest.raises(InvalidField) as caught:
        replace(RewardWeights(), **{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("cap", [0.1, 0.2, 0.3, 0.7, 2.0])
def test_weights_accept_a_penalty_exactly_at_the_bound_and_within_rounding(cap):
    assert RewardWeights(excellence_cap=cap, violation_penalty=1 + cap)
    assert RewardWeights(excellence_cap=cap, violation_penalty=1 + cap - 5e-10)
    with pytest.raises(InvalidField):
        RewardWeights(excellence_cap=cap, violation_penalty=1 + cap - 1e-8)


@pytest.mark.parametrize("value", [1e-12, 1 - 1e-12])
def test_weights_accept_an_excellence_weight_just_inside_its_range(value):
    assert RewardWeights(excellence_weight=value).excellence_weight == value


def test_weights_refuse_a_cap_that_the_default_penalty_does_not_outweigh():
    with pytest.raises(InvalidField, match="violation_penalty"):
        RewardWeights(excellence_cap=0.6)
