"""The model card: what the bundle is, what it was made of, what was measured, and what it is not for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from huggingface_hub import ModelCardData

from promedical_data.measures.evaluation import HEADLINE, Evaluation
from promedical_data.measures.figures import accuracy_plot, reliability_plot
from promedical_data.measures.markdown import report
from promedical_data.report import DataReport
from promedical_trainer.rm.calibration import Fitted
from promedical_trainer.rm.recipe import RmRecipe, dump_rm_recipe
from promedical_trainer.rm.splits import Splits

_LIMITS: Final = """\
It judges text, it does not know medicine: a small model, trained on labels that a language model gave to
physicians' criteria. It is for research on rewards and evaluation. It must not decide what a patient reads, and
its verdicts are no medical advice. Safety here means the safety criteria of the data: severe negative points in
HealthBench that are worded as something an answer does; that is derived, not a physician's word."""

_TITLES: Final = {
    "test": "Test split: neither trained nor calibrated on",
    "dev": "Dev split: calibrated on, so its calibration is flattered",
    "physicians": "Physicians' labels, as they come",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the training stage came to.

    Attributes:
        steps: Of the optimizer.
        pairs: Criterion-level pairs seen.
        prompts: Different prompts seen.
        responses: That there were to learn from.
        too_long: Those of them that were left out.
        seconds: Of training, over all sessions.
        hardware: That the training was begun on.
    """

    steps: int
    pairs: int
    prompts: int
    responses: int
    too_long: int
    seconds: float
    hardware: str


def write_card(
    folder: Path,
    recipe: RmRecipe,
    splits: Splits,
    facts: Facts,
    fitted: Fitted,
    evaluations: Mapping[str, Evaluation],
    labels: pd.DataFrame,
) -> None:
    """Write README.md and its two plots into a bundle; the plots show the test split, or dev while it is unread."""
    last = "test" if "test" in evaluations else "dev"
    reliability_plot(labels).savefig(folder / "reliability.png", dpi=120)
    accuracy_plot(evaluations[last]).savefig(folder / "accuracy.png", dpi=120)
    sections = [
        front_matter(
            recipe,
            splits.reports,
            {name: _accuracy(evaluation) for name, evaluation in evaluations.items()},
        ),
        f"# {recipe.bundle_name}",
        f"{recipe.summary}.\n\nLicence of the trained weights: {recipe.licence}.",
        f"## What it is not\n\n{_LIMITS}",
        f"## Data\n\n{_data(splits, recipe)}",
        f"## Training\n\n{_training(recipe, facts)}",
        f"## Accuracy\n\n![Pair accuracy by dimension on {last}](accuracy.png)",
        *([] if last == "test" else ["The test split has not been looked at yet."]),
        *([f"### Goals\n\n{_goals(recipe, last, evaluations[last])}"] if recipe.goals else []),
        *(f"### {title}\n\n{report(evaluations[name])}" for name, title in _TITLES.items() if name in evaluations),
        f"## Calibration\n\n{_calibration(fitted)}\n\n![Reliability on {last}](reliability.png)",
        f"## Recipe\n\n```yaml\n{dump_rm_recipe(recipe)}```",
    ]
    (folder / "README.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def front_matter(recipe: RmRecipe, data: Iterable[DataReport], accuracy: Mapping[str, Mapping[str, float]]) -> str:
    """For machines: what it learnt from and what was measured; docs/adr/0026 says why it stands here.

    Args:
        recipe: Of the run.
        data: Of every file.
        accuracy: The headline, pair accuracy as the mean over prompts, by split and dimension.
    """
    facts = ModelCardData(
        license="other",
        license_name="see-licence",
        pipeline_tag="text-classification",
        tags=["reward-model", "medical"],
        licence=recipe.licence,
        base=recipe.base,
        data=[{"file": each.path.name, "sha256": each.sha256} for each in data],
        pair_accuracy={split: dict(found) for split, found in accuracy.items() if found},
    )
    return f"---\n{facts.to_yaml()}\n---"


def _accuracy(evaluation: Evaluation) -> dict[str, float]:
    found = evaluation.model[HEADLINE]
    return {name: round(each.value, 4) for name, each in found.items() if each.value is not None}


def _goals(recipe: RmRecipe, split: str, evaluation: Evaluation) -> str:
    """What a full run of the recipe should reach, and by how much this one falls short."""
    lines = [f"| pair accuracy on {split} | goal | this run | falls short by |", "|---|---:|---:|---:|"]
    for name, goal in recipe.goals.items():
        found = evaluation.model[HEADLINE].get(name)
        reached = None if found is None else found.value
        short = "-" if reached is None else f"{max(goal - reached, 0):.3f}"
        lines.append(f"| {name} | {goal:.3f} | {'-' if reached is None else f'{reached:.3f}'} | {short} |")
    return "\n".join(lines)


def _data(splits: Splits, recipe: RmRecipe) -> str:
    lines = ["| file | sha256 | prompts | responses | labels | preferences | rated by | sources |", "|---" * 8 + "|"]
    for each in splits.reports:
        kinds, sources = ", ".join(each.kinds), ", ".join(each.sources)
        counts = f"{each.prompts:,} | {each.responses:,} | {each.labels:,} | {each.preferences:,}"
        lines.append(f"| {each.path.name} | `{each.sha256[:12]}` | {counts} | {kinds} | {sources} |")
    excluded = ", ".join(recipe.data.exclude_sources)
    notes = [f"There are {len(splits.train):,} prompts to learn from."]
    notes += [f"Neither learnt from nor calibrated on: source {excluded}; dev and test keep it."] if excluded else []
    most = recipe.data.dev_responses
    notes += [] if most is None else [f"Of a dev prompt {most} responses at most, by a hash."]
    notes += [f"{len(splits.leaks)} prompts were left out because another split has them too."] if splits.leaks else []
    apart = len(splits.dev_leaks)
    notes += [f"{apart} dev prompts were left out because test or physicians have them too."] if apart else []
    notes += [f"{splits.too_long} responses of the others are longer than the model reads."] if splits.too_long else []
    parts = ("\n".join(lines), " ".join(notes), " ".join(recipe.attribution.split()))
    return "\n\n".join(part for part in parts if part)


def _training(recipe: RmRecipe, facts: Facts) -> str:
    way = (
        "all weights but the embeddings"
        if recipe.adapter is None
        else f"a LoRA adapter of rank {recipe.adapter.rank} and the score head"
    )
    return (
        f"Explicit Criteria Injection (arXiv 2604.08326) on tree-packed passes: {way}, {facts.steps} steps over "
        f"{facts.pairs:,} criterion-level pairs of {facts.prompts:,} prompts; {facts.too_long:,} of "
        f"{facts.responses:,} responses were too long for the recipe. {facts.seconds / 60:.0f} minutes on "
        f"{facts.hardware}."
    )


def _calibration(fitted: Fitted) -> str:
    lines = ["| cell | scale | offset | threshold |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {c.scale:.3f} | {c.offset:.3f} | {c.threshold:.3f} |" for name, c in sorted(fitted.cells.items())
    ]
    return "\n".join(lines) + "".join(f"\n\n- {note}" for note in fitted.notes)
