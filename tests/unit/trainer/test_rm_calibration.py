"""Calibration of a reward model: Platt's fit, which cells fall back, thresholds, and that measured equals served."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures.metrics import VETOES
from promedical_data.measures.predictions import Prediction, table
from promedical_model.calibration import CELL_NAMES, Calibration, PlattCell
from promedical_trainer.rm import calibration
from promedical_trainer.rm.calibration import (
    CalibrationError,
    FittedCalibration,
    fit_calibration,
    platt,
    predict,
)
from promedical_trainer.rm.veto_thresholds import choose_veto_threshold

GOOD = Criterion(id="good", text="States the dose.", dimension=Dimension.PROFICIENCY)
BAD = Criterion(id="bad", text="Neglects it.", dimension=Dimension.PROFICIENCY, polarity=Polarity.NEGATIVE)
KIND = Criterion(id="kind", text="Is kind.", dimension=Dimension.EXCELLENCE)
VETOES_ = tuple(Criterion(id=f"veto{i}", text=f"Violation {i}.", dimension=Dimension.SAFETY) for i in range(4))


def prompts(count: int, criteria: tuple[Criterion, ...], rates: dict[str, float]) -> list[LabelledPrompt]:
    """`count` prompts of three responses; a criterion is met as often as `rates` says, else half the time."""
    rng = np.random.default_rng(1)

    def response(name: int) -> LabelledResponse:
        met = {criterion.id: bool(rng.random() < rates.get(criterion.id, 0.5)) for criterion in criteria}
        labels = {key: Label(met=value, kind="llm", votes=(value,)) for key, value in met.items()}
        return LabelledResponse(id=str(name), text="text", labels=labels)

    turns = (Message(role="user", content="How much?"),)
    return [
        LabelledPrompt(
            id=str(i), source="test", turns=turns, criteria=criteria, responses=tuple(response(j) for j in range(3))
        )
        for i in range(count)
    ]


def logits(data: list[LabelledPrompt], signal: dict[str, float], default: float = 1.0) -> dict:
    """Noise plus `signal` (by criterion id) for what is met, minus it for what is not."""
    rng = np.random.default_rng(2)
    return {
        (prompt.id, response.id, criterion): float(rng.normal())
        + signal.get(criterion, default) * (1 if label.met else -1)
        for prompt in data
        for response in prompt.responses
        for criterion, label in response.labels.items()
    }


def frame_of(data: list[LabelledPrompt], raw: dict) -> pd.DataFrame:
    return table(data, predict(raw, data, Calibration()))


def fitted(
    count: int, *criteria: Criterion, signal: dict[str, float] | None = None, **rates: float
) -> FittedCalibration:
    data = prompts(count, criteria, rates)
    return fit_calibration(frame_of(data, logits(data, signal or {})), data)


def notes_on(found: FittedCalibration, name: str) -> list[str]:
    return [note for note in found.notes if note.startswith(f"{name}:")]


def test_platt_finds_the_scale_and_offset_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    met = rng.random(20_000) < 1 / (1 + np.exp(-(1.7 * x - 0.6)))

    assert platt(x.tolist(), met.tolist()) == pytest.approx((1.7, -0.6), abs=0.06)


def test_platt_of_separated_labels_is_finite_and_of_one_logit_is_platts_prior() -> None:
    scale, offset = platt([-1.0, -1.0, 1.0, 1.0, 1.0], [False, False, True, True, True])

    # Two points, two parameters: the fit meets the smoothed targets 4/5 and 1/4.
    assert 1 / (1 + math.exp(-(scale + offset))) == pytest.approx(4 / 5, abs=1e-6)
    assert 1 / (1 + math.exp(scale - offset)) == pytest.approx(1 / 4, abs=1e-6)


def test_platt_of_any_unit_gives_the_same_probabilities() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    met = rng.random(500) < 1 / (1 + np.exp(-x))
    scale, offset = platt(x.tolist(), met.tolist())

    for unit in (1e-3, 1e3):
        assert platt((x * unit).tolist(), met.tolist()) == pytest.approx((scale / unit, offset), rel=1e-3)


def test_fit_writes_cells_that_a_bundle_takes() -> None:
    found = fitted(80, GOOD, BAD, KIND, *VETOES_)

    assert set(found.cells) == {
        "global", "proficiency/positive", "proficiency/negative", "excellence/positive", "safety/negative",
    }  # fmt: skip
    assert set(found.cells) <= CELL_NAMES
    assert {cell.threshold for name, cell in found.cells.items() if name != "safety/negative"} == {0.5}


def test_fit_uses_logits_rounded_as_the_service_does() -> None:
    data = prompts(80, (GOOD,), {})
    frame = frame_of(data, logits(data, {}))
    noisy = frame.assign(logit=frame["logit"] + 4e-4)

    assert fit_calibration(noisy, data).cells == fit_calibration(frame, data).cells


@pytest.mark.parametrize(
    ("count", "signal", "rates", "reason"),
    [
        (60, {}, {}, "it has 180 labels, fewer than 200"),
        (80, {}, {"kind": 1.0}, "its 240 labels are all of one class"),
        (80, {"kind": -1.0}, {}, "its logits do not rise with its labels"),
    ],
)
def test_fit_cell_falls_back_to_global_and_says_why(
    count: int, signal: dict[str, float], rates: dict[str, float], reason: str
) -> None:
    found = fitted(count, GOOD, BAD, KIND, signal=signal, **rates)

    assert "excellence/positive" not in found.cells
    assert reason in notes_on(found, "excellence/positive")[0]


@pytest.mark.parametrize(("signal", "rate"), [(-1.0, 0.5), (1.0, 1.0)])
def test_fit_of_a_model_that_did_not_learn_raises(signal: float, rate: float) -> None:
    with pytest.raises(CalibrationError, match=r"has not learnt|of one class"):
        fitted(80, GOOD, signal={"good": signal}, good=rate)
    with pytest.raises(CalibrationError, match="0 labels"):
        fit_calibration(table([], {}), [])


def test_fit_safety_threshold_keeps_false_vetoes_as_served_within_a_tenth() -> None:
    data = prompts(120, (GOOD, *VETOES_), {criterion.id: 0.15 for criterion in VETOES_})
    raw = logits(data, {})
    found = fit_calibration(frame_of(data, raw), data)
    served = table(data, predict(raw, data, found.calibration))

    assert found.vetoes is not None
    assert VETOES["false_veto_rate"](served).value == pytest.approx(found.vetoes.false_veto_rate)
    assert VETOES["veto_recall"](served).value == pytest.approx(found.vetoes.recall)
    assert found.vetoes.false_veto_rate <= 0.1
    assert found.vetoes.false_veto_rate > 0.1 - 1 / found.vetoes.safe - 1e-9
    assert f"of {found.vetoes.violating} violating" in notes_on(found, "safety")[0]


def test_fit_safety_cell_is_written_with_the_global_parameters_when_it_falls_back() -> None:
    found = fitted(40, GOOD, BAD, VETOES_[0])
    cell, base = found.cells["safety/negative"], found.cells["global"]

    assert (cell.scale, cell.offset) == (base.scale, base.offset)
    assert cell.threshold == found.vetoes.threshold
    assert notes_on(found, "safety/negative")


@pytest.mark.parametrize("criteria", [(GOOD,), (GOOD, VETOES_[0])])
def test_fit_without_safe_responses_keeps_one_half_and_says_so(criteria: tuple[Criterion, ...]) -> None:
    found = fitted(80, *criteria, veto0=1.0)

    assert found.vetoes is None
    assert "safety/negative" not in found.cells
    assert "threshold 0.5" in notes_on(found, "safety")[0]


def test_fit_notes_cells_whose_verdict_is_always_the_same() -> None:
    found = fitted(120, GOOD, KIND, signal={"kind": 0.05}, kind=0.15)

    assert "0% of the dev verdicts are met" in notes_on(found, "excellence/positive")[0]
    assert not notes_on(found, "proficiency/positive")


def test_fit_does_not_depend_on_the_order_of_rows() -> None:
    data = prompts(80, (GOOD, BAD, VETOES_[0]), {})
    frame = frame_of(data, logits(data, {}))
    a, b = fit_calibration(frame, data), fit_calibration(frame.sample(frac=1, random_state=0), data)

    assert a.notes == b.notes
    for name, cell in a.cells.items():
        other = b.cells[name]
        assert (cell.scale, cell.offset, cell.threshold) == pytest.approx((other.scale, other.offset, other.threshold))


def test_predict_is_what_the_calibration_says() -> None:
    data = prompts(3, (GOOD, VETOES_[0]), {})
    served = Calibration(cells={"global": PlattCell(scale=2.0, offset=-0.4), "safety": PlattCell(threshold=0.2)})
    raw = logits(data, {})
    found = predict(raw, data, served)

    assert found.keys() == raw.keys()
    for (_, _, criterion), said in found.items():
        assert isinstance(said, Prediction)
        assert criterion in {"good", "veto0"}
    key = ("0", "0", "good")
    verdict = served.verdict(raw[key], GOOD)
    assert found[key] == Prediction(logit=verdict.logit, probability=verdict.probability, met=verdict.met)
    # On the threshold counts as met, as in the service.
    assert predict({key: 0.2}, data, served)[key].met


def safety_rows(*responses: tuple[bool, list[float]]) -> pd.DataFrame:
    """A response per tuple: whether its first label is violated, and the probabilities of its labels."""
    rows = [
        ("p", str(i), violated and j == 0, p)
        for i, (violated, probabilities) in enumerate(responses)
        for j, p in enumerate(probabilities)
    ]
    return pd.DataFrame(rows, columns=["prompt", "response", "met", "probability"])


def test_choose_veto_threshold_by_hand() -> None:
    safe = [(False, [0.01, p / 100]) for p in range(10, 30)]  # worst .10 ... .29, two of twenty may be vetoed
    found = choose_veto_threshold(safety_rows(*safe, (True, [0.275]), (True, [0.9, 0.1]), (True, [0.05])))

    assert found.threshold == pytest.approx((0.27 + 0.275) / 2)
    assert (found.false_veto_rate, found.recall) == pytest.approx((0.1, 2 / 3))
    assert (found.safe, found.violating) == (20, 3)


def test_choose_veto_threshold_with_few_responses_vetoes_none_of_the_safe() -> None:
    found = choose_veto_threshold(safety_rows((False, [0.6, 0.2]), (False, [0.3])))

    assert found.threshold == pytest.approx(0.8)
    assert (found.false_veto_rate, found.recall) == (0.0, None)


def test_choose_veto_threshold_of_certain_false_alarms_stays_a_threshold() -> None:
    found = choose_veto_threshold(safety_rows((False, [1.0]), (True, [1.0])))

    assert found.threshold < 1
    assert found.false_veto_rate == 1
    assert "more than the 10% aimed at" in calibration._veto_note(found)


@given(st.lists(st.tuples(st.booleans(), st.lists(st.floats(0, 0.999), min_size=1, max_size=3)), min_size=1))
def test_choose_veto_threshold_is_the_lowest_that_keeps_the_limit(rows: list[tuple[bool, list[float]]]) -> None:
    found = choose_veto_threshold(safety_rows(*rows))
    worst = np.array([max(probabilities) for violated, probabilities in rows if not violated])
    if found is None:
        assert not worst.size
        return

    assert 0 < found.threshold < 1
    assert (worst >= found.threshold).mean() <= 0.1
    lower = [p for _, probabilities in rows for p in probabilities if p < found.threshold]
    if lower:
        assert (worst >= max(lower)).mean() > 0.1


def test_choose_veto_threshold_shows_what_other_thresholds_cost() -> None:
    safe = [(False, [0.01, p / 100]) for p in range(10, 30)]
    found = choose_veto_threshold(safety_rows(*safe, (True, [0.275]), (True, [0.9, 0.1]), (True, [0.05])))
    costs = found.costs

    assert [each.false_veto_rate for each in costs] == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
    assert costs[2].threshold == found.threshold
    assert costs[2].recall == found.recall
    assert [each.threshold for each in costs] == sorted((each.threshold for each in costs), reverse=True)
    # Two of the forty labels of safe responses are called violated, so six independent vetoes would hit 26 %.
    assert costs[2].false_alarms == pytest.approx(0.05)
    assert costs[2].vetoed_by(1) == pytest.approx(0.05)
    assert costs[2].vetoed_by(6) == pytest.approx(1 - 0.95**6)
