"""The model card: what the bundle is, what it was made of, what was measured, and what it is not for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import HEADLINE, Evaluation
from promedical_data.measures.figures import accuracy_plot, reliability_plot
from promedical_data.measures.markdown import cell, report, slice_table
from promedical_data.measures.slices import Slice
from promedical_data.pages import page
from promedical_data.report import DataReport
from promedical_trainer.rm.calibration import FittedCalibration
from promedical_trainer.rm.learning_curve import CurvePoint
from promedical_trainer.rm.named_vetoes import NamedVetoes
from promedical_trainer.rm.recipe import RmRecipe, dump_rm_recipe
from promedical_trainer.rm.splits import Splits

_TITLES: Final = {
    "test": "Test split: neither trained nor calibrated on",
    "dev": "Dev split: calibrated on, so its calibration is flattered",
    "physicians": "Physicians' labels, as they come",
}
_TASK: Final = "text-classification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the training stage came to.

    Attributes:
        steps: Steps of the optimizer.
        pairs: Criterion-level pairs seen.
        prompts: Different prompts seen.
        responses: Responses that there were to learn from.
        too_long: Responses among them that were left out.
        seconds: Time of training, over all sessions.
        hardware: The hardware on which the training began.
    """

    steps: int
    pairs: int
    prompts: int
    responses: int
    too_long: int
    seconds: float
    hardware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What was measured beside the splits.

    Attributes:
        named: The vetoes of the built-in rubric; None where no drill knows them.
        claims: Pair accuracy where the worse response claims to meet the criterion, beside that of responses as they
            are; empty before the test split is looked at.
        curve: What was measured while the model learnt.
    """

    named: NamedVetoes | None = None
    claims: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()


NOTHING_BESIDE: Final = Beside()


def write_card(
    folder: Path,
    recipe: RmRecipe,
    splits: Splits,
    facts: Facts,
    fitted: FittedCalibration,
    evaluations: Mapping[str, Evaluation],
    sliced: Mapping[str, Sequence[Slice]],
    labels: pd.DataFrame,
    beside: Beside = NOTHING_BESIDE,
) -> None:
    """Write README.md and its two plots into a bundle; the plots show the test split, or dev while it is unread."""
    shown = "test" if "test" in evaluations else "dev"
    reliability_plot(labels).savefig(folder / "reliability.png", dpi=120)
    accuracy_plot(evaluations[shown]).savefig(folder / "accuracy.png", dpi=120)
    text = page(
        "promedical_trainer.rm",
        "card.md.j2",
        front_matter=front_matter(recipe, splits.reports, evaluations).to_yaml(),
        recipe=recipe,
        dumped=dump_rm_recipe(recipe),
        splits=splits,
        facts=facts,
        fitted=fitted,
        shown=shown,
        sliced=sliced,
        slice_table=slice_table,
        beside=beside,
        cell=cell,
        headline=evaluations[shown].model[HEADLINE],
        reports={title: report(evaluations[name]) for name, title in _TITLES.items() if name in evaluations},
    )
    ModelCard(text).save(folder / "README.md")


def front_matter(recipe: RmRecipe, data: Iterable[DataReport], evaluations: Mapping[str, Evaluation]) -> ModelCardData:
    """What the model learnt from and what was measured, for machines; docs/adr/0026 says why it stands here.

    Args:
        recipe: The recipe of the run.
        data: The report of every file.
        evaluations: What was measured, by split; the headline is shown, pair accuracy as the mean over prompts.
    """
    return ModelCardData(
        license="other",
        license_name="see-licence",
        pipeline_tag=_TASK,
        tags=["reward-model", "medical"],
        licence=recipe.licence,
        base=recipe.base,
        data=[{"file": each.path.name, "sha256": each.sha256} for each in data],
        model_name=recipe.bundle_name,
        eval_results=[
            EvalResult(
                task_type=_TASK,
                dataset_type="promedical",
                dataset_name=split,
                dataset_split=split,
                metric_type="accuracy",
                metric_name=f"pair accuracy, {dimension}",
                metric_value=round(each.value, 4),
            )
            for split, evaluation in evaluations.items()
            for dimension, each in evaluation.model[HEADLINE].items()
            if each.value is not None
        ],
    )
