"""`make ablations ARGS="--data DATA --output RUNS"`: train a recipe whole and with each part left out, and compare.

Each variant is a run of `promedical-train rm` in its own folder, so what was cut off goes on. Writes
docs/ablations.json, from which `make docs` makes the table in docs/evaluation.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULT = Path(__file__).resolve().parents[1] / "docs" / "ablations.json"
VARIANTS = ("whole", "no-criteria", "no-safety", "pairwise-only", "pointwise-only")
METRIC = "pair_accuracy_macro"


def main() -> int:
    """Run all variants; returns the exit code."""
    options = _options()
    rows = {name: _measured(options, name) for name in VARIANTS}
    document = {
        "recipe": options.recipe,
        "settings": options.set,
        "metric": METRIC,
        "split": options.split,
        "variants": rows,
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    Console().print(_table(rows))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="rm-smollm2-135m")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="what is evaluated (default: dev)")
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of every variant, as for promedical-train"
    )
    return parser.parse_args()


def _measured(options: argparse.Namespace, name: str) -> dict[str, object]:
    output = options.output / name
    command = [sys.executable, "-m", "promedical_trainer.cli", "rm", "--recipe", options.recipe]
    command += ["--data", str(options.data), "--output", str(output), "--until", options.split]
    command += [flag for setting in options.set for flag in ("--set", setting)]
    command += [] if name == "whole" else ["--ablation", name]
    subprocess.run(command, check=True)
    evaluation = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    return dict(evaluation[options.split]["scores"]["model"][METRIC])


def _table(rows: dict[str, dict[str, object]]) -> Table:
    dimensions = list(next(iter(rows.values())))
    table = Table("variant", *dimensions, title="Pair accuracy, mean over prompts")
    for name, scores in rows.items():
        table.add_row(name, *(_cell(scores[dimension]) for dimension in dimensions))
    return table


def _cell(estimate: object) -> str:
    assert isinstance(estimate, dict)
    return "" if estimate["value"] is None else f"{estimate['value']:.3f}"


if __name__ == "__main__":
    sys.exit(main())
