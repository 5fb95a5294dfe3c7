"""The evaluation stage: calibrate on dev, then measure what is served: on test once, and on the physicians' labels.

It loads the bundle as the service does, in fp32, so measured equals served. What is scored once is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import pandas as pd
import torch

from promedical_client.cli.progress import progress_bar
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.bag_of_words import BAG_OF_WORDS, BagOfWords
from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import Evaluation, evaluate
from promedical_data.measures.pleading import pleading
from promedical_data.measures.predictions import Key, Predictions, table
from promedical_data.measures.slices import Slice, slices
from promedical_data.selection import drawn_prompts
from promedical_data.variants import CRITERION_ONLY, INJECTION
from promedical_model.bundle.bundle import Bundle, open_bundle
from promedical_model.calibration import Calibration
from promedical_trainer.rm.bundles import calibrate_bundle, open_base
from promedical_trainer.rm.calibration import FittedCalibration, fit_calibration, predict
from promedical_trainer.rm.card import Beside, Facts, write_card
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.evaluation_file import UNTRAINED, write_evaluation
from promedical_trainer.rm.learning_curve import read_curve
from promedical_trainer.rm.named_vetoes import NamedVetoes, asked_about_vetoes, with_named_vetoes
from promedical_trainer.rm.run_folder import Run
from promedical_trainer.rm.scores import BundleScorer, score
from promedical_trainer.rm.splits import Splits

_CLAIMING: Final = 40
"""The most test prompts whose responses claim to meet the criterion: it is a control, and takes time."""


@dataclass(slots=True)
class _Stage:
    """One evaluation while it is made."""

    run: Run
    splits: Splits
    fitted: FittedCalibration
    evaluations: dict[str, Evaluation]
    sliced: dict[str, tuple[Slice, ...]]

    def predictions(self, name: str, prompts: Sequence[LabelledPrompt], **changes: Any) -> Predictions:
        """What the bundle says, calibrated."""
        logits = logits_of(self.run, open_bundle(str(self.run.bundle)), name, prompts, **changes)
        return predict(logits, prompts, self.fitted.calibration)

    def slice_parts(self, split: str, prompts: Mapping[str, Sequence[LabelledPrompt]]) -> None:
        """Measure a split of each part that has one."""
        for name, each in prompts.items():
            if each:
                self.sliced[f"{split}, {name}"] = slices(each, self.predictions(f"{split}-{name}", each))


def evaluate_run(run: Run, splits: Splits, facts: Facts) -> None:
    """Calibrate the run's bundle, measure it, and write its card and the run's evaluation.

    Raises:
        CalibrationError: The model learnt nothing that can be calibrated.
        TimeUpError: The deadline passed; the same call resumes there.
    """
    fitted, named = _calibrated(run, splits)
    calibrate_bundle(run.bundle, fitted.cells)
    stage = _Stage(run, splits, fitted, {}, {})
    shown, predictions = splits.dev, stage.predictions("dev", splits.dev)
    stage.evaluations["dev"] = evaluate(splits.dev, predictions)
    stage.sliced["dev"] = slices(splits.dev, predictions)
    stage.slice_parts("dev", {name: part.dev for name, part in splits.parts.items()})
    claims: Mapping[str, Mapping[str, Estimate]] = {}
    if run.until != "dev":
        shown, predictions = splits.test, stage.predictions("test", splits.test)
        _measure_test(stage, predictions)
        claims = _claims(stage, predictions)
    if run.until != "dev" and splits.physicians:
        said = stage.predictions("physicians", splits.physicians)
        stage.evaluations["physicians"] = evaluate(splits.physicians, said)
    beside = Beside(named=named, claims=claims, curve=read_curve(run.curve))
    labels = table(shown, predictions)
    write_card(run.bundle, run.named, splits, facts, fitted, stage.evaluations, stage.sliced, labels, beside)
    # Last: it says how far everything is.
    write_evaluation(run.evaluation, splits, facts, fitted, stage.evaluations, stage.sliced, beside)


def _calibrated(run: Run, splits: Splits) -> tuple[FittedCalibration, NamedVetoes | None]:
    """By the labels of dev; then the vetoes of the built-in rubric, where drills know them."""
    score_dev = partial(logits_of, run, open_bundle(str(run.bundle)))
    raw = predict(score_dev("dev", splits.dev), splits.dev, Calibration())
    fitted = fit_calibration(table(splits.calibrating, raw), splits.calibrating)
    made = [prompt for part in splits.parts.values() for prompt in part.dev]
    found = asked_about_vetoes(splits.calibrating, made) if run.recipe.criteria else {}
    if not found:
        return fitted, None
    asked = {kind: _readable(run, prompts) for kind, prompts in found.items()}
    logits = score_dev("dev-vetoes", [prompt for prompts in asked.values() for prompt in prompts])
    frames = [
        table(prompts, predict(_of(logits, prompts), prompts, Calibration())).assign(kind=kind)
        for kind, prompts in asked.items()
    ]
    return with_named_vetoes(fitted, pd.concat(frames))


def _of(logits: Mapping[Key, float], prompts: Sequence[LabelledPrompt]) -> dict[Key, float]:
    ids = {prompt.id for prompt in prompts}
    return {key: logit for key, logit in logits.items() if key[0] in ids}


def _measure_test(stage: _Stage, predictions: Predictions) -> None:
    """The test split beside its controls, and the parts' test splits."""
    run, splits = stage.run, stage.splits
    controls = {BAG_OF_WORDS: BagOfWords().predictions(splits.train, splits.test)}
    if run.until == "controls":
        untrained = logits_of(run, open_base(run.trained), "test-untrained", splits.test)  # asked as the trained one is
        controls[UNTRAINED] = predict(untrained, splits.test, Calibration())
    blank = stage.predictions("test-criterion-only", splits.test, blank=True)
    stage.evaluations["test"] = evaluate(splits.test, predictions, controls=controls, blind={CRITERION_ONLY: blank})
    stage.sliced["test"] = slices(splits.test, predictions)
    stage.slice_parts("test", {name: part.test for name, part in splits.parts.items()})


def _claims(stage: _Stage, predictions: Predictions) -> Mapping[str, Mapping[str, Estimate]]:
    """What it helps a response to claim that it meets the criterion."""
    drawn = drawn_prompts(stage.splits.test, _CLAIMING)
    claiming = _readable(stage.run, [_claiming(prompt) for prompt in drawn])
    kept = {(prompt.id, each.id) for prompt in claiming for each in prompt.responses}
    as_is = [
        prompt.with_responses(tuple(each for each in prompt.responses if (prompt.id, each.id) in kept))
        for prompt in drawn
    ]
    return pleading(as_is, predictions, stage.predictions("test-claiming", claiming))


def _claiming(prompt: LabelledPrompt) -> LabelledPrompt:
    return replace(
        prompt, responses=tuple(replace(each, text=f"{each.text}\n\n{INJECTION}") for each in prompt.responses)
    )


def _readable(run: Run, prompts: Sequence[LabelledPrompt]) -> tuple[LabelledPrompt, ...]:
    """Without what is too long for the model: other words or criteria can make it longer than it was."""
    return encode(prompts, open_bundle(str(run.bundle)).renderer()).prompts


def logits_of(
    run: Run, bundle: Bundle, name: str, prompts: Sequence[LabelledPrompt], **changes: Any
) -> dict[Key, float]:
    """The logits of a bundle for prompts, kept under a name; `changes` are those of `scores.ModelScorer`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scorer: Callable[[], BundleScorer] = partial(BundleScorer, bundle, device, criteria=run.recipe.criteria, **changes)
    with progress_bar(run.console, f"scoring {name}", len(prompts), lines=True) as advance:

        def scored(done: int) -> None:
            advance(done)
            run.deadline.check(f"scoring {name}", done, len(prompts))

        return score(scorer, prompts, run.scores / f"{name}.jsonl", scored)
