"""Thresholds for the vetoes of general-medical@1: chosen together, each for its own wording."""

import numpy as np
import pandas as pd
import pytest

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures.predictions import table
from promedical_model.calibration import Calibration, PlattCell, wording_cell
from promedical_trainer.rm.calibration import FittedCalibration, predict
from promedical_trainer.rm.named_vetoes import MADE, REAL, asked_about_vetoes, rubric_vetoes, with_named_vetoes

VETOES = rubric_vetoes()
NAMES = [each.id for each in VETOES]
TURNS = (Message(role="user", content="What now?"),)
BEFORE = FittedCalibration(cells={"global": PlattCell()}, notes=("before",), vetoes=None)


def label(met):
    return Label(met=met, kind="rule", votes=(met,))


def drill(number, violated):
    labels = {name: label(name == violated) for name in NAMES}
    return LabelledPrompt(
        id=f"drill-{number}", source="drills/vetoes/x", turns=TURNS, criteria=VETOES,
        responses=(LabelledResponse(id="a", text="text", labels=labels),),
    )  # fmt: skip


def drills(count):
    """Every second one violates one of the vetoes, in turn."""
    return [drill(n, NAMES[n // 2 % len(NAMES)] if n % 2 else None) for n in range(count)]


def real(number, met=None, name="own"):
    own = Criterion(id=name, text="Recommends harm.", dimension=Dimension.SAFETY)
    labels = {} if met is None else {name: label(met)}
    return LabelledPrompt(
        id=f"real-{number}", source="healthbench", turns=TURNS, criteria=(own,),
        responses=(LabelledResponse(id="a", text="text", labels=labels),),
    )  # fmt: skip


def frame_of(asked, strength, seed=0):
    """Logits that are noise, and higher by `strength` for violations."""
    draw = np.random.default_rng(seed)
    frames = []
    for kind, prompts in asked.items():
        logits = {
            (prompt.id, response.id, name): float(draw.normal()) + strength * response.labels[name].met
            for prompt in prompts
            for response in prompt.responses
            for name in response.labels
        }
        frames.append(table(prompts, predict(logits, prompts, Calibration())).assign(kind=kind))
    return pd.concat(frames)


@pytest.fixture(scope="module")
def frame():
    return frame_of(asked_about_vetoes([real(n) for n in range(300)], drills(600)), 3.0)


def test_responses_that_a_label_calls_a_violation_are_not_taken_as_safe():
    asked = asked_about_vetoes([real(0), real(1, met=False), real(2, met=True)], drills(2))

    assert [prompt.id for prompt in asked[REAL]] == ["real-0", "real-1"]
    assert all(prompt.criteria == VETOES for prompts in asked.values() for prompt in prompts)
    labels = [each for prompt in asked[REAL] for response in prompt.responses for each in response.labels.values()]
    assert {each.met for each in labels} == {False}


def test_nothing_is_asked_without_drills_that_know_the_vetoes():
    assert asked_about_vetoes([real(0)], [real(1, met=True)]) == {}


def test_all_vetoes_together_keep_what_each_alone_would_break(frame):
    fitted, found = with_named_vetoes(BEFORE, frame)

    assert max(found.false_vetoes.values()) <= 0.1
    assert max(found.false_vetoes.values()) > 0.1 - 2 / found.safe[REAL] - 2 / found.safe[MADE]  # no higher than needed
    assert max(each.false_alarms[REAL] for each in found.vetoes) < 0.05
    assert all(each.recall > 0.6 for each in found.vetoes)
    assert fitted.cells.keys() == {"global", *(wording_cell(each.text) for each in VETOES)}
    assert fitted.notes[0] == "before"
    assert "6 vetoes together veto" in fitted.notes[-1]


def test_what_is_reported_is_what_the_service_would_say(frame):
    fitted, found = with_named_vetoes(BEFORE, frame)
    by_id = {each.id: each for each in VETOES}
    said = [
        fitted.calibration.verdict(logit, by_id[name]).met
        for name, logit in zip(frame["criterion"], frame["logit"], strict=True)
    ]
    rows = frame.assign(said=said)
    vetoed = rows[rows["kind"] == REAL].groupby("prompt")["said"].any()
    assert vetoed.mean() == pytest.approx(found.false_vetoes[REAL])
    for each in found.vetoes:
        violations = rows[(rows["criterion"] == each.criterion) & rows["met"].astype(bool)]
        assert violations["said"].mean() == pytest.approx(each.recall)


def test_a_criterion_in_other_words_keeps_the_cell_of_its_kind(frame):
    fitted, _ = with_named_vetoes(BEFORE, frame)
    other = Criterion(id=NAMES[0], text="Harms in other words.", dimension=Dimension.SAFETY)

    assert fitted.calibration.verdict(0.3, other) == Calibration(cells=BEFORE.cells).verdict(0.3, other)
    assert fitted.calibration.verdict(0.3, VETOES[0]).threshold != 0.5


def test_a_model_that_separates_gets_thresholds_between_both(frame):
    del frame
    asked = asked_about_vetoes([real(n) for n in range(100)], drills(600))
    _, found = with_named_vetoes(BEFORE, frame_of(asked, 20.0))

    assert set(found.false_vetoes.values()) == {0.0}
    assert {each.recall for each in found.vetoes} == {1.0}


def test_without_a_safe_response_each_veto_keeps_its_best_threshold():
    violating = [drill(n, NAMES[n % len(NAMES)]) for n in range(600)]
    fitted, found = with_named_vetoes(BEFORE, frame_of(asked_about_vetoes([], violating), 3.0))

    assert found.false_vetoes == {}
    assert all(0.6 < each.recall <= 1 for each in found.vetoes)
    assert len(fitted.cells) == 1 + len(VETOES)


@pytest.mark.parametrize(
    ("count", "strength", "reason"),
    [(24, 3.0, "fewer than 200"), (600, -3.0, "do not rise with its labels")],
    ids=["few", "reversed"],
)
def test_vetoes_that_cannot_be_calibrated_keep_the_cell_of_their_kind(count, strength, reason):
    asked = asked_about_vetoes([real(n) for n in range(20)], drills(count))
    fitted, found = with_named_vetoes(BEFORE, frame_of(asked, strength))

    assert found is None
    assert fitted.cells == BEFORE.cells
    assert sum(reason in note for note in fitted.notes) == len(VETOES)
