"""Calibration: Platt scaling, which cell counts, rounding before decisions, and what parameters are refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.rubric import Criterion, Dimension, Polarity
from promedical_model.calibration import Calibration, PlattCell, is_cell_name, wording_cell

_FINITE = st.floats(allow_nan=False, allow_infinity=False)


def criterion(dimension: Dimension = Dimension.PROFICIENCY, polarity: Polarity | None = None) -> Criterion:
    return Criterion(id="c", text="States the dose.", dimension=dimension, polarity=polarity)


@given(st.floats(-30, 30), st.floats(0.01, 5), st.floats(-5, 5), st.floats(0.01, 0.99))
def test_verdict_is_platt_scaling_of_the_rounded_logit(
    logit: float, scale: float, offset: float, threshold: float
) -> None:
    cell = PlattCell(scale=scale, offset=offset, threshold=threshold)

    verdict = Calibration(cells={"global": cell}).verdict(logit, criterion())

    assert verdict.logit == round(logit, 3)
    assert verdict.probability == pytest.approx(1 / (1 + math.exp(-(scale * round(logit, 3) + offset))), rel=1e-9)
    assert verdict.met == (verdict.probability >= threshold)
    assert verdict.threshold == threshold


def test_verdict_without_cells_is_the_identity() -> None:
    calibration = Calibration()

    assert calibration.verdict(0.0, criterion()).probability == 0.5
    assert calibration.verdict(0.0, criterion()).met
    assert not calibration.verdict(-0.001, criterion()).met
    assert (calibration.kind, Calibration(cells={"global": PlattCell()}).kind) == ("identity", "platt")


@pytest.mark.parametrize("logit", [0.0004, -0.0004, 0.00049, -1e-9])
def test_verdict_is_the_same_for_logits_that_differ_by_float_noise(logit: float) -> None:
    assert Calibration().verdict(logit, criterion()) == Calibration().verdict(0.0, criterion())


@given(_FINITE, st.floats(1e-3, 1e300), st.floats(-1e300, 1e300))
def test_verdict_of_extreme_numbers_is_a_probability(logit: float, scale: float, offset: float) -> None:
    verdict = Calibration(cells={"global": PlattCell(scale=scale, offset=offset)}).verdict(logit, criterion())

    assert 0 <= verdict.probability <= 1


@pytest.mark.parametrize(("logit", "probability"), [(1e308, 1.0), (-1e308, 0.0), (800.0, 1.0), (-800.0, 0.0)])
def test_verdict_of_huge_logits_does_not_overflow(logit: float, probability: float) -> None:
    assert Calibration().verdict(logit, criterion()).probability == probability


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2).map(sorted))
def test_verdict_never_falls_when_the_logit_rises(logits: list[float]) -> None:
    low, high = (Calibration().verdict(logit, criterion()).probability for logit in logits)

    assert low <= high


def test_verdict_takes_the_most_specific_cell() -> None:
    thresholds = {"global": 0.1, "proficiency": 0.2, "proficiency/negative": 0.3, "safety/negative": 0.4}
    calibration = Calibration(cells={name: PlattCell(threshold=value) for name, value in thresholds.items()})

    def threshold(dimension: Dimension, polarity: Polarity) -> float:
        return calibration.verdict(0.0, criterion(dimension, polarity)).threshold

    assert threshold(Dimension.PROFICIENCY, Polarity.NEGATIVE) == 0.3
    assert threshold(Dimension.PROFICIENCY, Polarity.POSITIVE) == 0.2
    assert threshold(Dimension.EXCELLENCE, Polarity.POSITIVE) == 0.1
    assert threshold(Dimension.SAFETY, Polarity.NEGATIVE) == 0.4
    without_global = Calibration(cells={"safety": PlattCell(threshold=0.9)})
    assert without_global.verdict(0.0, criterion()).threshold == 0.5


@pytest.mark.parametrize(
    "parameters",
    [
        {"scale": 0.0}, {"scale": -1.0}, {"scale": math.nan}, {"scale": math.inf},
        {"offset": math.nan}, {"offset": -math.inf},
        {"threshold": 0.0}, {"threshold": 1.0}, {"threshold": -0.5}, {"threshold": math.nan},
    ],
)  # fmt: skip
def test_platt_cell_refuses_parameters_that_decide_nothing(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        PlattCell(**parameters)


def test_calibration_hash_changes_with_its_parameters_and_not_with_their_order() -> None:
    a, b = PlattCell(scale=2.0), PlattCell(offset=1.0)

    assert Calibration(cells={"global": a, "safety": b}).sha256 == Calibration(cells={"safety": b, "global": a}).sha256
    assert len({Calibration(cells={n: c}).sha256 for n in ("global", "safety") for c in (a, b)}) == 4


def test_verdict_takes_the_cell_of_the_wording_whatever_the_rubric_calls_it() -> None:
    own = PlattCell(scale=2.0, threshold=0.9)
    calibration = Calibration(cells={wording_cell("States the dose."): own, "safety/negative": PlattCell(offset=1.0)})
    named_otherwise = Criterion(id="other", text="States the dose.", dimension=Dimension.SAFETY)
    worded_otherwise = Criterion(id="other", text="States the dose", dimension=Dimension.SAFETY)

    assert calibration.verdict(1.0, named_otherwise).threshold == 0.9
    assert calibration.verdict(1.0, worded_otherwise).threshold == 0.5


@pytest.mark.parametrize("name", ["wording/", "wording/xyz", "wording/0123456789abcdef0", "safety/neutral", "Wording"])
def test_names_of_cells_are_kinds_or_hashes_of_wordings(name: str) -> None:
    assert not is_cell_name(name)
    assert is_cell_name(wording_cell("any text"))
    assert is_cell_name("safety/negative")
