"""Rounds of review: draws with known probabilities, and estimates that cover the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical_curation.rounds.estimate import may_stop, pass_rate
from promedical_curation.rounds.sampling import Drawn, draw, inclusion_probabilities
from promedical_data.measures.pass_rate import PassRate

SIGNALS = st.frozensets(st.sampled_from(["judges_disagree", "new_cluster", "veto"]))
RUBRICS = st.dictionaries(st.text("abcdef0123456789", min_size=1, max_size=6), SIGNALS, min_size=1, max_size=60)


@given(RUBRICS, st.integers(1, 70), st.integers(0, 5))
def test_draw_has_its_size_and_no_rubric_twice_in_any_order(signals, size, seed):
    drawn = draw(signals, size, seed=seed)

    assert len({each.id for each in drawn}) == len(drawn) == min(size, len(signals))
    assert all(0 < each.probability <= 1 for each in drawn)
    assert draw(dict(reversed(signals.items())), size, seed=seed) == drawn


@given(st.lists(st.floats(0.1, 50), min_size=2, max_size=40), st.data())
def test_inclusion_probabilities_add_up_to_the_size(weights, data):
    size = data.draw(st.integers(1, len(weights)))

    found = inclusion_probabilities(np.array(weights), size)

    assert found.sum() == pytest.approx(size)
    assert ((found > 0) & (found <= 1 + 1e-12)).all()


def test_draw_is_as_frequent_as_it_says():
    signals = {f"r{n}": frozenset({"judges_disagree"} if n % 4 == 0 else ()) for n in range(40)}
    counts = dict.fromkeys(signals, 0)
    rounds = 4000
    for seed in range(rounds):
        drawn = draw(signals, 8, seed=seed)
        for each in drawn:
            counts[each.id] += 1
    said = {each.id: each.probability for seed in range(60) for each in draw(signals, 8, seed=seed)}

    assert all(counts[name] / rounds == pytest.approx(said[name], abs=0.03) for name in signals)
    assert said["r0"] == pytest.approx(4 * said["r1"])


def test_draw_refuses_a_size_below_one():
    with pytest.raises(ValueError, match="size is 0"):
        draw({"a": frozenset()}, 0, seed=0)


def simulate(rate, *, population=2000, size=200, seeds=range(300)):
    """How often the interval of a draw, in which the flagged ones fail more often, covers the truth."""
    rng = np.random.default_rng(7)
    flagged = rng.random(population) < 0.25
    passes = rng.random(population) < np.where(flagged, 1 - 2 * (1 - rate), rate)
    signals = {f"{n}": frozenset({"judges_disagree"} if flagged[n] else ()) for n in range(population)}
    found = []
    for seed in seeds:
        drawn = draw(signals, size, seed=seed)
        found.append(pass_rate(drawn, {each.id: bool(passes[int(each.id)]) for each in drawn}))
    return passes.mean(), found


@pytest.mark.parametrize("rate", [0.7, 0.9, 0.97])
def test_pass_rate_is_unbiased_and_its_interval_covers_the_truth(rate):
    truth, found = simulate(rate)

    assert np.mean([each.value for each in found]) == pytest.approx(truth, abs=0.01)
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.93


def test_share_among_the_drawn_would_be_biased_where_the_estimate_is_not():
    truth, _ = simulate(0.9, seeds=range(1))
    drawn_twice = [Drawn(id="bad", probability=0.8), Drawn(id="good", probability=0.2)]

    found = pass_rate(drawn_twice, {"bad": False, "good": True})

    assert found.value == pytest.approx(0.8)  # not the .5 of the two that were drawn
    assert truth < 1


def test_pass_rate_of_a_round_where_all_passed_is_not_certain():
    drawn = [Drawn(id=str(n), probability=0.1) for n in range(100)]

    found = pass_rate(drawn, {each.id: True for each in drawn})

    assert found.value == found.high == 1
    assert 0.96 < found.low < 0.97  # Clopper and Pearson for 100 of 100: .9638


def test_pass_rate_leaves_out_what_nobody_decided():
    drawn = [Drawn(id=str(n), probability=0.5) for n in range(10)]

    assert pass_rate(drawn, {"0": True, "1": False}).decided == 2


def test_pass_rate_refuses_decisions_of_another_round_and_none_at_all():
    drawn = [Drawn(id="a", probability=0.5)]

    with pytest.raises(ValueError, match="rubric b was decided on but is not of this round"):
        pass_rate(drawn, {"b": True})
    with pytest.raises(ValueError, match="no decisions yet"):
        pass_rate(drawn, {})


def rate(low):
    return PassRate(value=0.98, low=low, high=1.0, decided=500)


def test_reviewing_stops_only_when_the_lower_ends_of_two_rounds_pass():
    assert not may_stop([], 0.964)
    assert not may_stop([rate(0.97)], 0.964)
    assert not may_stop([rate(0.97), rate(0.96)], 0.964)
    assert not may_stop([rate(0.96), rate(0.97)], 0.964)
    assert may_stop([rate(0.9), rate(0.97), rate(0.964)], 0.964)
