"""Evaluations as a whole: every metric beside its controls, as JSON, Markdown and figures; real data where present."""

import json
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures.controls import LONGER, MAJORITY, longer_answer
from promedical_data.measures.evaluation import DIMENSIONS, MODEL, Evaluation, evaluate
from promedical_data.measures.figures import accuracy_plot, reliability_plot
from promedical_data.measures.markdown import TITLES, report
from promedical_data.measures.metrics import accuracy_macro, accuracy_micro
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import MissingPredictionsError, Prediction, Predictions, table
from promedical_data.reading import read

CRITERIA = (
    Criterion(id="good", text="States the dose.", dimension=Dimension.PROFICIENCY),
    Criterion(id="bad", text="Neglects the dose.", dimension=Dimension.PROFICIENCY, polarity=Polarity.NEGATIVE),
    Criterion(id="kind", text="Is kind.", dimension=Dimension.EXCELLENCE),
    Criterion(id="veto", text="Invents a source.", dimension=Dimension.SAFETY),
)


def prompts(count: int = 12, criteria: tuple[Criterion, ...] = CRITERIA) -> list[LabelledPrompt]:
    """Labels are coins; texts differ in length, which says nothing."""
    rng = np.random.default_rng(0)

    def response(name: int) -> LabelledResponse:
        met = {criterion.id: bool(rng.random() < 0.5) for criterion in criteria}
        labels = {key: Label(met=value, kind="llm", votes=(value,)) for key, value in met.items()}
        return LabelledResponse(id=str(name), text="x" * (10 * int(rng.integers(9)) + name), labels=labels)

    turns = (Message(role="user", content="How much?"),)
    return [
        LabelledPrompt(
            id=str(i), source="test", turns=turns, criteria=criteria, responses=tuple(response(j) for j in range(4))
        )
        for i in range(count)
    ]


def says(data: Sequence[LabelledPrompt], sure: float) -> dict[tuple[str, str, str], Prediction]:
    """Logit `sure` for what is met, `-sure` for what is not."""
    return {
        (prompt.id, response.id, criterion): Prediction(
            logit=logit, probability=float(1 / (1 + np.exp(-logit))), met=logit > 0
        )
        for prompt in data
        for response in prompt.responses
        for criterion, label in response.labels.items()
        for logit in [sure if label.met else -sure]
    }


def value(evaluation: Evaluation, judge: str, metric: str, dimension: str = "overall") -> float | None:
    return evaluation.scores[judge][metric][dimension].value


def test_evaluate_perfect_and_reversed_judges() -> None:
    data = prompts()
    evaluation = evaluate(data, says(data, 9.0), controls={"reversed": says(data, -9.0), "blank": says(data, 0.0)})

    for metric in (
        "pair_accuracy_macro",
        "ranked_accuracy_micro",
        "item_accuracy_micro",
        "auc_within_macro",
        "auc_pooled",
        "f1",
    ):
        assert value(evaluation, MODEL, metric) == pytest.approx(1)
        assert value(evaluation, "reversed", metric) == pytest.approx(0)
    assert value(evaluation, MODEL, "veto_balanced_accuracy", "safety") == 1
    assert value(evaluation, "blank", "pair_accuracy_macro") == 0
    assert value(evaluation, "blank", "pair_ties") == 1
    assert value(evaluation, "blank", "auc_within_macro") == pytest.approx(0.5)


def test_evaluate_has_every_metric_for_every_dimension_and_judge() -> None:
    data = prompts()
    evaluation = evaluate(data, says(data, 1.0), controls={"untrained": says(data, 0.0)})

    assert list(evaluation.scores) == [MODEL, "untrained", LONGER, MAJORITY]
    assert list(evaluation.differences) == ["untrained", LONGER]
    assert set(evaluation.model) <= set(TITLES)
    assert set(evaluation.model["ece"]) == set(DIMENSIONS)
    assert evaluation.counts["labels"] == 12 * 4 * 4


def test_evaluate_measures_only_labels_of_a_judge_that_reads_no_response() -> None:
    data = prompts()
    evaluation = evaluate(data, says(data, 1.0), blind={"blank": says(data, 2.0)})

    assert value(evaluation, "blank", "auc_pooled") == pytest.approx(1)
    assert not [name for name in evaluation.scores["blank"] if name.startswith(("pair", "item", "auc_within"))]
    assert list(evaluation.differences) == [LONGER]


def test_evaluate_differences_are_of_the_same_pairs() -> None:
    data = prompts()
    evaluation = evaluate(data, says(data, 1.0))
    found = evaluation.differences[LONGER]["pair_accuracy_macro"]["overall"]

    longer = value(evaluation, LONGER, "pair_accuracy_macro")
    assert found.value == pytest.approx(1 - longer)
    assert found.low <= found.value <= found.high


def test_evaluate_undefined_is_none_and_json_holds_no_nan() -> None:
    data = prompts(criteria=CRITERIA[:2])
    evaluation = evaluate(data, says(data, 1.0))

    assert value(evaluation, MODEL, "pair_accuracy_macro", "safety") is None
    assert evaluation.model["veto_recall"]["safety"].n == 0
    json.dumps(evaluation.as_dict(), allow_nan=False)
    assert "| safety | - | - | 0 |" in report(evaluation)


def test_evaluate_without_any_label_is_all_none() -> None:
    evaluation = evaluate([], {})

    assert {e.value for scores in evaluation.model.values() for e in scores.values()} == {None}
    assert report(evaluation)


def test_evaluate_refuses_a_control_that_lacks_predictions() -> None:
    data = prompts()

    with pytest.raises(MissingPredictionsError, match="192 of 192"):
        evaluate(data, says(data, 1.0), controls={"untrained": {}})


def test_evaluate_caps_pairs_and_not_the_auc() -> None:
    data = prompts()
    capped, full = (evaluate(data, says(data, 1.0), pair_cap=cap) for cap in (1, None))

    assert capped.counts["pairs"] < full.counts["pairs"]
    assert capped.model["pair_accuracy_micro"]["overall"].n == capped.counts["pairs"]
    assert capped.model["auc_within_micro"] == full.model["auc_within_micro"]


def test_evaluate_judges_single_votes_only_where_there_are_several() -> None:
    label = Label(met=True, kind="physician", votes=(True, True, False))
    data = prompts()
    voted = LabelledPrompt(
        id="v", source="test", turns=(), criteria=CRITERIA,
        responses=(LabelledResponse(id="r", text="x", labels={"good": label}),),
    )  # fmt: skip

    assert "balanced_f1_votes" not in evaluate(data, says(data, 1.0)).model
    found = evaluate([*data, voted], says([*data, voted], 1.0)).model["balanced_f1_votes"]["overall"]
    assert found.n == 12 * 16 + 3
    assert found.value < 1


def test_report_holds_every_table() -> None:
    data = prompts()
    evaluation = evaluate(data, says(data, 1.0))
    text = report(evaluation)

    assert f"Model minus {LONGER}" in text
    assert text.count("| dimension | model | longer answer | n |") == 8
    assert [f"**All metrics: {name}**" in text for name in evaluation.scores] == [True] * 3
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 8 + 1 + 3
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    for scores in evaluation.scores.values():
        assert len(scores) + 2 in {len(lines) for lines in tables}


@pytest.mark.parametrize("criteria", [CRITERIA, CRITERIA[:1]])
def test_figures_are_drawn_for_what_was_measured(criteria: tuple[Criterion, ...]) -> None:
    data = prompts(criteria=criteria)
    said = says(data, 1.0)

    assert png(reliability_plot(table(data, said)))
    assert png(accuracy_plot(evaluate(data, said)))
    assert png(accuracy_plot(evaluate(data, said), "f1"))


def test_reliability_plot_draws_the_published_wilson_interval() -> None:
    """81 of 263 give 0.2553 to 0.3662: Newcombe (1998), Two-sided confidence intervals, table I."""
    met = np.arange(263) < 81
    frame = pd.DataFrame({"prompt": "p", "dimension": "proficiency", "probability": 0.5, "met": met})

    [line] = reliability_plot(frame).axes[0].collections[0].get_segments()  # type: ignore[attr-defined]

    assert line[:, 1] == pytest.approx([0.2553, 0.3662], abs=5e-5)


def png(figure: Figure) -> bool:
    file = BytesIO()
    figure.savefig(file)
    return file.getvalue().startswith(b"\x89PNG")


# ---- real data ----


def split(name: str) -> tuple[LabelledPrompt, ...]:
    path = Path(os.environ.get("PROMEDICAL_DATA", "")) / "criteria" / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path.name} is absent; set PROMEDICAL_DATA to the folder that holds criteria/")
    return read(path).prompts


def noise(data: Sequence[LabelledPrompt]) -> Predictions:
    rng = np.random.default_rng(0)
    return {key: Prediction(logit=float(rng.normal()), probability=0.5, met=True) for key in says(data, 1.0)}


def test_longer_answer_on_the_test_split_gives_the_published_numbers() -> None:
    """Those are of the pairs whose texts differ in length."""
    data = split("test")
    frame = longer_answer(pairs(data, noise(data)))
    parts = dict(list(frame[frame["margin"] != 0].groupby("dimension")))
    dimensions = ("proficiency", "excellence", "safety")

    assert [len(parts[d]) for d in dimensions] == [8010, 825, 532]
    macros = [round(accuracy_macro(part).value, 3) for part in (*map(parts.get, dimensions), frame[frame.margin != 0])]
    micros = [round(accuracy_micro(part).value, 3) for part in (*map(parts.get, dimensions), frame[frame.margin != 0])]
    assert macros == [0.671, 0.527, 0.429, 0.652]
    assert micros == [0.658, 0.547, 0.479, 0.638]
    assert (frame["margin"] == 0).sum() == 6


def test_noise_on_the_test_split_is_at_chance() -> None:
    data = split("test")
    evaluation = evaluate(data, noise(data))

    assert evaluation.counts == {
        "prompts": 137, "responses": 839, "labels": 9843, "pairs": 9373, "item_pairs": 3141,
    }  # fmt: skip
    assert evaluation.model["veto_recall"]["safety"].n == 443
    for metric in ("pair_accuracy_micro", "auc_within_micro", "auc_pooled"):
        found = evaluation.model[metric]["overall"]
        assert found.low - 0.01 <= 0.5 <= found.high + 0.01
    assert evaluation.differences[LONGER]["pair_accuracy_macro"]["overall"].high < 0
    assert evaluation.scores[LONGER]["pair_accuracy_macro"]["safety"].value == pytest.approx(0.429, abs=5e-4)


def test_physicians_votes_are_judged_one_by_one() -> None:
    data = split("kqa_physicians")
    found = evaluate(data, says(data, 1.0)).model

    votes = sum(len(label.votes) for prompt in data for r in prompt.responses for label in r.labels.values())
    assert votes == 3 * 798
    assert found["balanced_f1"]["overall"].value == 1
    assert found["balanced_f1_votes"]["overall"].n == votes
    assert 0.8 < found["balanced_f1_votes"]["overall"].value < 1
