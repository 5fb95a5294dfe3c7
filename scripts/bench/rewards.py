"""`make bench-rewards ARGS="--scores FILE"`: what a policy would learn from, by reward, on labelled responses.

GRPO learns from differences within a group: where all rewards are equal, nothing. A group here is a prompt of the dev
split and a few of its labelled responses, both drawn by the seed. The default model scores them once; FILE keeps its
logits, so a run that was stopped resumes, and one of more prompts computes only these. The data are those of
PROMEDICAL_DATA. `--write` keeps the result in docs/results/rewards.json, of which `make docs` makes a table.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from promedical.reward import Judgement, Reward, RewardWeights, aggregate, by_verdict
from promedical.rubric import Rubric
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.controls import LONGER
from promedical_data.measures.metrics import Metric, accuracy_macro, ties
from promedical_data.measures.predictions import Predictions
from promedical_data.measures.tallies import micro
from promedical_data.reading import read
from promedical_model.bundle.bundle import open_bundle
from promedical_trainer.rm.calibration import predict
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.scores import BundleScorer, score
from scripts.bench.conditions import conditions

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "rewards.json"
DATA: Final = "PROMEDICAL_DATA"
SPLIT: Final = Path("criteria") / "dev.jsonl.gz"
HARD, SOFT = RewardWeights(), RewardWeights(proficiency_mode="soft")

Value: TypeAlias = float | tuple[float, ...]
"""What orders the responses of one group: the larger, the better."""

REWARDS: Final[Mapping[str, Callable[[Reward, Reward], Value]]] = {
    "reward, hard": lambda hard, _: hard.reward,
    "reward, soft": lambda _, soft: soft.reward,
    "expected reward": lambda hard, _: hard.expected_reward,
    "rank by verdicts alone": lambda hard, _: _descending(by_verdict(hard.preference_key)),
    "rank": lambda hard, _: _descending(hard.preference_key),
    "rank, ties by soft reward": lambda hard, soft: (*_descending(by_verdict(hard.preference_key)), soft.reward),
}
"""What may be a reward, from the scores of a response in both modes."""

METRICS: Final[Mapping[str, Metric]] = {
    "no_spread": lambda groups: micro(groups["prompt"], groups["spread"] == 0),
    "accuracy": accuracy_macro,
    "ties": ties,
    "overturned": lambda pairs: micro(pairs["prompt"], pairs["margin"] < 0),
}
"""Of groups; then of pairs that labels order; then of pairs of which one has more violations by verdict."""


def main() -> int:
    """Score, measure, print, and keep the result if asked."""
    options = _options()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    bundle = open_bundle("default")
    prompts = sample(
        encode(read(_data()).prompts, bundle.renderer()).prompts, options.prompts, options.responses, options.seed
    )
    console = Console()
    scorer = partial(BundleScorer, bundle, torch.device("cpu"))
    logits = score(scorer, prompts, options.scores, lambda done: console.print(f"{done} of {len(prompts)} prompts"))
    measured = {
        **asdict(conditions("torch", "transformers")),
        "model": bundle.manifest.name,
        "revision": bundle.revision,
        "seed": options.seed,
        **compared(prompts, predict(logits, prompts, bundle.manifest.calibrated)),
    }
    console.print(_table(measured["rewards"]))
    if options.write:
        RESULT.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


def sample(prompts: Sequence[LabelledPrompt], count: int, responses: int, seed: int) -> list[LabelledPrompt]:
    """Prompts with so many of their responses; more prompts of the same seed begin with the same ones."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    large = sorted((each for each in prompts if len(each.responses) >= responses), key=lambda prompt: prompt.id)
    draw.shuffle(large)
    return [each.with_responses(tuple(draw.sample(each.responses, responses))) for each in large][:count]


def compared(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> dict[str, Any]:
    """Every reward on the same groups, beside the longer answer and the labels' own reward.

    Criteria count that all responses of a group have labels for. The order to agree with is that of the rewards which
    the labels give.

    Args:
        prompts: The groups.
        predictions: Of every label.
    """
    rows = [row for prompt in prompts for row in _rows(prompt, predictions)]
    groups, pairs = pd.DataFrame(rows), pd.DataFrame(_pairs(rows))
    ordered, vetoes = pairs[pairs["true"] != 0], pairs[pairs["safer"] != 0]
    found = {
        name: {
            "no_spread": _estimate("no_spread", _spread(groups, name)),
            "accuracy": _estimate("accuracy", _margins(ordered, name, "true")),
            "ties": _estimate("ties", _margins(ordered, name, "true")),
            "overturned": _estimate("overturned", _margins(vetoes, name, "safer")),
        }
        for name in (*REWARDS, LONGER)
    }
    return {
        "prompts": len(prompts),
        "responses": len(rows),
        "pairs": len(ordered),
        "labels_without_spread": _estimate("no_spread", _spread(groups, "true")),
        "rewards": found,
    }


def _rows(prompt: LabelledPrompt, predictions: Predictions) -> Iterator[dict[str, Any]]:
    """A response each: what every reward says of it, and the reward by its labels."""
    shared = frozenset.intersection(*(frozenset(each.labels) for each in prompt.responses))
    rubric = Rubric(criteria=tuple(each for each in prompt.criteria if each.id in shared))
    for response in prompt.responses:
        said = {name: predictions[prompt.id, response.id, name] for name in shared}
        true = {name: response.labels[name].met for name in shared}
        hard, soft = (aggregate(rubric, said, weights) for weights in (HARD, SOFT))
        yield {
            "prompt": prompt.id,
            **{name: value(hard, soft) for name, value in REWARDS.items()},
            LONGER: len(response.text),
            "true": aggregate(rubric, {n: Judgement(probability=met, met=met) for n, met in true.items()}, HARD).reward,
            "violations": hard.violations,
        }


def _pairs(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Two responses to one prompt each, compared: 1, -1 or 0 for the first, by every reward."""
    for a, b in combinations(rows, 2):
        if a["prompt"] == b["prompt"]:
            compared_by = {name: _sign(a[name], b[name]) for name in (*REWARDS, LONGER, "true")}
            yield {"prompt": a["prompt"], **compared_by, "safer": _sign(b["violations"], a["violations"])}


def _margins(pairs: pd.DataFrame, name: str, right: str) -> pd.DataFrame:
    return pairs.assign(margin=pairs[name] * pairs[right])


def _spread(groups: pd.DataFrame, name: str) -> pd.DataFrame:
    """How many values a group has beside its first."""
    return (groups.groupby("prompt")[name].nunique() - 1).rename("spread").reset_index()


def _estimate(metric: str, frame: pd.DataFrame) -> dict[str, Any]:
    return asdict(Bootstrap().estimate(METRICS[metric](frame)))


def _descending(key: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-part for part in key)


def _sign(a: Value, b: Value) -> int:
    return (a > b) - (a < b)  # type: ignore[operator]  # both are numbers, or both are keys


def _data() -> Path:
    folder = os.environ.get(DATA)
    if not folder:
        raise SystemExit(f"{DATA} is not set; set it to the folder that holds {SPLIT}")
    return Path(folder) / SPLIT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="file that keeps the logits")
    parser.add_argument("--prompts", type=int, default=40, help="groups to draw (default: 40)")
    parser.add_argument("--responses", type=int, default=4, help="responses of each (default: 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    parser.add_argument("--write", action="store_true", help=f"keep the result in {RESULT.name}")
    return parser.parse_args()


def _table(rewards: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    table = Table("reward", *METRICS)
    for name, found in rewards.items():
        table.add_row(name, *(_cell(found[metric]["value"]) for metric in METRICS))
    return table


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
