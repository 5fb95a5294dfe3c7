"""Agreement, by hand, against scikit-learn on raw ratings, and against published examples."""

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


def counts_of(*raters: str) -> np.ndarray:
    """How many raters gave each level to each unit; a dot is a missing rating."""
    levels = sorted(set("".join(raters)) - {"."})
    return np.array([[unit.count(level) for level in levels] for unit in zip(*raters, strict=True)], dtype=float)


FOUR_OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


@pytest.mark.parametrize(
    ("raters", "level", "published"),
    [
        pytest.param(("0100000010", "1110010000"), "nominal", 0.095, id="A: binary data, two observers"),
        pytest.param(("aabbdcccedda", "babbbccceddd"), "nominal", 0.692, id="B: nominal data"),
        pytest.param(FOUR_OBSERVERS, "nominal", 0.743, id="C: four observers, missing ratings"),
        pytest.param(FOUR_OBSERVERS, "ordinal", 0.815, id="C: the same as ordinal data"),
    ],
)
def test_krippendorff_alpha_is_as_published(raters, level, published) -> None:
    """The examples of Krippendorff (2011), Computing Krippendorff's Alpha-Reliability."""
    counts = counts_of(*raters)
    assert round(agreement.alpha_of_units(counts, np.ones(len(counts)), level), 3) == published


def test_krippendorff_alpha_of_two_raters_is_that_of_their_units() -> None:
    """The package krippendorff, which is under the GPL and so cannot stand here, gave 0.53524861486 for these."""
    frame = ratings()
    units = counts_of(*("".join(map(str, frame[rater])) for rater in ("first", "second")))
    found = agreement.agreement(frame, levels=3)["krippendorff_alpha"].value
    assert found == pytest.approx(agreement.alpha_of_units(units, np.ones(len(units)), "ordinal"))
    assert found == pytest.approx(0.53524861486, abs=5e-12)


def test_krippendorff_alpha_leaves_out_units_with_one_rating() -> None:
    counts = counts_of(*FOUR_OBSERVERS)
    assert counts.sum(axis=1).tolist().count(1) == 1
    assert agreement.alpha_of_units(counts, np.ones(12)) == agreement.alpha_of_units(counts[:-1], np.ones(11))
    assert np.isnan(agreement.alpha_of_units(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), np.ones(3)))


def test_votes_alpha_is_that_of_its_units() -> None:
    """Also where units have different numbers of raters."""
    rng = np.random.default_rng(1)
    votes = rng.random((60, 3)) < np.linspace(0.1, 0.9, 60)[:, None]
    raters = np.where(np.arange(60) % 5, 3, 2)
    met = np.where(raters == 3, votes.sum(axis=1), votes[:, :2].sum(axis=1))
    frame = pd.DataFrame({"prompt": (np.arange(60) % 6).astype(str), "met": met, "raters": raters})

    expected = agreement.alpha_of_units(np.stack([raters - met, met], axis=1), np.ones(60))
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
