"""Agreement, by hand, against the packages on raw ratings, and against published examples."""

import krippendorff
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from promedical_data.measures import agreement
from promedical_data.measures.bootstrap import Bootstrap


def ratings(levels: int = 3, size: int = 200) -> pd.DataFrame:
    """The second rater repeats the first in six of ten cases and guesses otherwise."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, levels, size)
    second = np.where(rng.random(size) < 0.6, first, rng.integers(0, levels, size))
    return pd.DataFrame({"prompt": (np.arange(size) % 7).astype(str), "first": first, "second": second})


def test_measures_of_two_levels_by_hand() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: the example of Cohen's kappa in most textbooks."""
    table = np.array([[15.0, 10.0], [5.0, 20.0]])

    assert agreement.raw_agreement(table) == pytest.approx(0.7)
    assert agreement.kappa(table) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    share = (25 + 30) / 100  # of yes, over both raters
    chance = 2 * share * (1 - share)
    assert agreement.gwet_ac1(table) == pytest.approx((0.7 - chance) / (1 - chance))
    observed, expected = 30 / 100, 2 * 55 * 45 / (100 * 99)
    assert agreement.krippendorff_alpha(table) == pytest.approx(1 - observed / expected)


@pytest.mark.parametrize(
    ("name", "weights"), [("kappa", None), ("kappa_linear", "linear"), ("kappa_quadratic", "quadratic")]
)
def test_kappa_is_scikit_learns_on_the_ratings_themselves(name, weights) -> None:
    frame = ratings()
    expected = cohen_kappa_score(frame["first"], frame["second"], weights=weights)
    assert agreement.agreement(frame, levels=3)[name].value == pytest.approx(expected)


def test_gwet_ac1_is_that_of_the_package_irrcac() -> None:
    """That package, which pins an old scipy and so cannot stand here, gave 0.56608 for these ratings."""
    assert agreement.agreement(ratings(), levels=3)["gwet_ac1"].value == pytest.approx(0.56608, abs=5e-6)


def test_krippendorff_alpha_is_the_packages_on_the_ratings_themselves() -> None:
    frame = ratings()
    expected = krippendorff.alpha(frame[["first", "second"]].to_numpy().T, level_of_measurement="ordinal")
    assert agreement.agreement(frame, levels=3)["krippendorff_alpha"].value == pytest.approx(expected)


def test_votes_alpha_of_several_raters_is_the_packages() -> None:
    rng = np.random.default_rng(1)
    votes = rng.random((60, 3)) < np.linspace(0.1, 0.9, 60)[:, None]
    frame = pd.DataFrame({"prompt": (np.arange(60) % 6).astype(str), "met": votes.sum(axis=1), "raters": 3})

    expected = krippendorff.alpha(votes.T.astype(int), level_of_measurement="nominal")
    tally = agreement.votes_alpha(frame)
    estimate = Bootstrap(replicates=50).estimate(tally)

    assert tally.value == pytest.approx(expected)
    assert estimate.low is not None
    assert estimate.low < expected < estimate.high


def test_measures_are_not_defined_where_one_level_is_all_there_is() -> None:
    frame = ratings().assign(first=1, second=1)
    found = agreement.agreement(frame, levels=3)
    assert {name: tally.value for name, tally in found.items()} == {
        "raw_agreement": 1.0, "kappa": None, "kappa_linear": None, "kappa_quadratic": None,
        "gwet_ac1": 1.0, "krippendorff_alpha": None,
    }  # fmt: skip
    assert agreement.votes_alpha(pd.DataFrame({"prompt": ["a"], "met": [3], "raters": [3]})).value is None


def test_measures_without_ratings_have_no_value() -> None:
    found = agreement.agreement(ratings().iloc[:0])
    assert {tally.value for tally in found.values()} == {None}


def test_weighted_kappas_stand_only_where_levels_have_distances() -> None:
    assert "kappa_linear" not in agreement.agreement(ratings(levels=2))
    assert set(agreement.agreement(ratings(), levels=3)) <= set(agreement.TITLES)
