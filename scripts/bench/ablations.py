"""`make ablations ARGS="--data DATA --output RUNS"`: train a recipe whole and with each part left out, and compare.

Each variant is a run of `promedical-train rm` in its own folder, so an interrupted run resumes. Their scores are
compared here without calibration, since a variant that cannot be calibrated may still put pairs in order. Writes
docs/results/ablations.json, from which `make docs` makes the tables in docs/evaluation.md.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from rich.console import Console
from rich.table import Table

from promedical.rubric import Dimension
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.controls import LONGER
from promedical_data.measures.evaluation import HEADLINE, MODEL, Evaluation, evaluate
from promedical_data.measures.predictions import Predictions
from promedical_model.bundle.bundle import open_bundle
from promedical_model.calibration import Calibration
from promedical_trainer.cli import UNCALIBRATED, Ablation
from promedical_trainer.rm.calibration import predict
from promedical_trainer.rm.recipe import load_rm_recipe
from promedical_trainer.rm.run_folder import Run
from promedical_trainer.rm.scores import BundleScorer, score
from promedical_trainer.rm.splits import read_splits
from promedical_trainer.rm.training import readable
from scripts.bench.conditions import conditions

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "ablations.json"
WHOLE: Final = "whole"
VETOES: Final = ("veto_recall", "false_veto_rate")
ABLATIONS: Final = get_args(Ablation)


def main() -> int:
    """Run all variants; returns the exit code."""
    options = _options()
    for name in (WHOLE, *ABLATIONS):
        _train(options, name)
    prompts = _prompts(options)
    said = {name: _said(options, name, prompts) for name in (WHOLE, *ABLATIONS)}
    document = {
        **asdict(conditions("torch", "transformers")),
        "recipe": options.recipe,
        "settings": options.set,
        "split": options.split,
        **compared(prompts, said),
        "training": {name: _part(options.output / name, "training") for name in said},
        "vetoes": {name: _vetoes(_part(options.output / name, options.split)) for name in said},
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    Console().print(_table(document["scores"]))
    return 0


def compared(prompts: Sequence[LabelledPrompt], said: Mapping[str, Predictions]) -> dict[str, Any]:
    """Pair accuracies of every variant and of the longer answer, and their paired differences from the whole recipe.

    Args:
        prompts: The prompts that were asked about.
        said: The predictions by variant; the whole recipe is the first.
    """
    whole, *parts = (_evaluated(prompts, said, name).as_dict() for name in said)
    return {
        "scores": {
            **{name: each["scores"][MODEL][HEADLINE] for name, each in zip(said, (whole, *parts), strict=True)},
            LONGER: whole["scores"][LONGER][HEADLINE],
        },
        "over_whole": {
            name: each["differences"][WHOLE][HEADLINE] for name, each in zip(list(said)[1:], parts, strict=True)
        },
    }


def _evaluated(prompts: Sequence[LabelledPrompt], said: Mapping[str, Predictions], name: str) -> Evaluation:
    return evaluate(prompts, said[name], controls={} if name == WHOLE else {WHOLE: said[WHOLE]})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="rm-smollm2-135m")
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="what is evaluated (default: dev)")
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of every variant, as for promedical-train"
    )
    return parser.parse_args()


def _train(options: argparse.Namespace, name: str) -> None:
    """Train and ask a variant, unless this is already done."""
    command = [sys.executable, "-m", "promedical_trainer.cli", "rm", "--recipe", options.recipe]
    command += ["--data", str(options.data), "--output", str(options.output / name), "--until", options.split]
    command += [flag for setting in options.set for flag in ("--set", setting)]
    command += [] if name == WHOLE else ["--ablation", name]
    code = subprocess.run(command, check=False).returncode
    if code not in {0, UNCALIBRATED}:
        raise SystemExit(f"{name}: stopped with exit code {code}; see above, then run the same command to resume")
    if code == UNCALIBRATED and options.split != "dev":
        raise SystemExit(f"{name}: cannot be calibrated, so it is not asked about {options.split}; compare on dev")


def _prompts(options: argparse.Namespace) -> tuple[LabelledPrompt, ...]:
    recipe = load_rm_recipe(options.recipe, options.set)
    run = Run(recipe=recipe, data=options.data, output=options.output / WHOLE, console=Console())
    splits = readable(read_splits(options.data, recipe.data), open_bundle(run.base).renderer())
    return splits.dev if options.split == "dev" else splits.test


def _said(options: argparse.Namespace, name: str, prompts: Sequence[LabelledPrompt]) -> Predictions:
    path = options.output / name / "scores" / f"{options.split}.jsonl"
    return predict(score(_unscored, prompts, path, lambda _: None), prompts, Calibration())


def _unscored() -> BundleScorer:
    raise AssertionError("a run that ended has asked about every prompt")


def _part(output: Path, name: str) -> dict[str, Any]:
    """What was measured on a variant; empty if it could not be calibrated."""
    path = output / "evaluation.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))[name]) if path.is_file() else {}


def _vetoes(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The shares of violating and of safe responses that are vetoed, with thresholds of its own calibration."""
    scores = evaluation.get("scores", {}).get(MODEL, {})
    return {name: scores[name][Dimension.SAFETY] for name in VETOES if name in scores}


def _table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    dimensions = list(scores[WHOLE])
    table = Table("variant", *dimensions, title="Pair accuracy, mean over prompts")
    for name, found in scores.items():
        table.add_row(name, *(_cell(found[dimension]) for dimension in dimensions))
    return table


def _cell(estimate: Mapping[str, float | None]) -> str:
    return "" if estimate["value"] is None else f"{estimate['value']:.3f}"


if __name__ == "__main__":
    sys.exit(main())
