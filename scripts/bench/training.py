"""`make bench-training`: training on trees beside one sequence per response and criterion, in one run.

It trains the base of the default model with the adapter of its recipe, in fp32, on one prompt of 4 responses and 12
criteria with the lengths of real data. The text is synthetic or, with PROMEDICAL_DATA, a labelled prompt of the dev
split. Both ways run forward and backward on the same weights, and their gradients are compared, so that the ratio is
one of equal work. This needs about 12 GB of memory; `--responses 1` needs 8 GB.
`--write` keeps the result in docs/results/bench-training.json.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.table import Table

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension
from promedical_bench.loadtest.traffic import WORDS
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.reading import read
from promedical_model.bundle.bundle import open_bundle
from promedical_trainer.rm.backbone import trainable_model
from promedical_trainer.rm.expansion import Expansion, Group
from promedical_trainer.rm.recipe import RmRecipe, load_rm_recipe
from promedical_trainer.rm.throughput import FLAT_SEQUENCES, Throughput, measure
from scripts.bench.conditions import Conditions, conditions

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "bench-training.json"
RECIPE: Final = "rm-smollm2-135m"
DATA: Final = "PROMEDICAL_DATA"
PROMPT_WORDS, RESPONSE_WORDS, CRITERION_WORDS = 160, 425, 22
AT_LEAST_RATIO, AT_MOST_DIFFERENCE = 5.0, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Conditions):
    """One run. Rates are criteria trained per second of the best repeat."""

    model: str
    text: str
    responses: int
    criteria: int
    flat_sequences: int
    tokens_flat: int
    tokens_tree: int
    flat_criteria_per_s: float
    tree_criteria_per_s: float
    tree_over_flat: float
    max_relative_gradient_difference: float
    loss_difference: float


def main() -> int:
    """Measure, print, and keep the result if asked; fail if a target is missed."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console()
    with console.status("loading the model and training both ways"):
        result = bench(options)
    show(result, console)
    if options.write:
        RESULT.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    same = max(result.max_relative_gradient_difference, result.loss_difference) <= AT_MOST_DIFFERENCE
    return 0 if same and result.tree_over_flat >= AT_LEAST_RATIO else 1


def bench(options: argparse.Namespace) -> Result:
    """Train both ways on one group."""
    recipe = load_rm_recipe(RECIPE)
    bundle = open_bundle(recipe.base)
    prompt = real_prompt(options) if DATA in os.environ else synthetic_prompt(options.responses, options.criteria)
    torch.manual_seed(0)
    model = trainable_model(bundle, recipe.adapter, dtype=torch.float32, checkpointing=False)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # its initial value, zero, would hide half of the adapter's gradients
            torch.nn.init.normal_(parameter, std=0.01)
    found = measure(
        model, bundle.renderer(), [whole_group(prompt)], options.repeats, flat_sequences=options.flat_sequences
    )
    return _result(found, prompt, recipe, options)


def _result(found: Throughput, prompt: LabelledPrompt, recipe: RmRecipe, options: argparse.Namespace) -> Result:
    return Result(
        **asdict(conditions("torch", "transformers")),
        model=f"{recipe.base}, {f'LoRA of rank {recipe.adapter.rank}' if recipe.adapter else 'all weights'}, fp32",
        text=prompt.source,
        responses=len(prompt.responses),
        criteria=len(prompt.criteria),
        flat_sequences=options.flat_sequences,
        tokens_flat=found.flat_tokens,
        tokens_tree=found.tree_tokens,
        flat_criteria_per_s=round(found.flat_per_s, 3),
        tree_criteria_per_s=round(found.tree_per_s, 3),
        tree_over_flat=round(found.ratio, 2),
        max_relative_gradient_difference=float(f"{found.gradient_difference:.1e}"),
        loss_difference=float(f"{found.loss_difference:.1e}"),
    )


def whole_group(prompt: LabelledPrompt) -> Group:
    """All responses and all criteria in one tree."""
    most = max(2, len(prompt.responses), len(prompt.criteria))
    expansion = Expansion(responses_per_tree=most, criteria_per_tree=most)
    return expansion.groups([prompt], seed=0, epoch=0)[0]


def synthetic_prompt(responses: int, criteria: int) -> LabelledPrompt:
    """Random everyday words of about a token each, with labels that differ between responses."""
    rng = random.Random(0)  # noqa: S311 - not for secrets

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(words))

    named = tuple(
        Criterion(id=str(index), text=text(CRITERION_WORDS), dimension=Dimension.PROFICIENCY)
        for index in range(criteria)
    )
    return LabelledPrompt(
        id="synthetic",
        source="synthetic",
        turns=(Message(role="user", content=text(PROMPT_WORDS)),),
        criteria=named,
        responses=tuple(_labelled(str(row), text(RESPONSE_WORDS), named, rng) for row in range(responses)),
    )


def _labelled(name: str, text: str, criteria: Sequence[Criterion], rng: random.Random) -> LabelledResponse:
    met = {criterion.id: rng.random() < 0.5 for criterion in criteria}  # noqa: PLR2004 - a coin
    labels = {key: Label(met=value, kind="llm", votes=(value,)) for key, value in met.items()}
    return LabelledResponse(id=name, text=text, labels=labels)


def real_prompt(options: argparse.Namespace) -> LabelledPrompt:
    """The first prompt of the dev split with enough criteria and responses, cut to the numbers asked for."""
    path = Path(os.environ[DATA]) / "criteria" / "dev.jsonl.gz"
    for prompt in read(path).prompts:
        if len(prompt.criteria) >= options.criteria and len(prompt.responses) >= options.responses:
            return LabelledPrompt(
                id=prompt.id,
                source=prompt.source,
                turns=prompt.turns,
                criteria=prompt.criteria[: options.criteria],
                responses=prompt.responses[: options.responses],
            )
    sys.exit(f"{path}: no prompt has {options.criteria} criteria and {options.responses} responses; ask for fewer")


def show(result: Result, console: Console) -> None:
    """Print the table."""
    table = Table(
        title=f"{result.responses} responses x {result.criteria} criteria ({result.text}); {result.model}",
        caption=f"{result.machine}, {result.torch_threads} threads",
    )
    for name in ("training", "tokens", "criteria/s"):
        table.add_column(name, justify="left" if name == "training" else "right")
    table.add_row("one sequence per criterion", f"{result.tokens_flat:,}", f"{result.flat_criteria_per_s:.2f}")
    table.add_row("one tree", f"{result.tokens_tree:,}", f"{result.tree_criteria_per_s:.2f}")
    console.print(table)
    console.print(f"tree over flat: {result.tree_over_flat} (at least {AT_LEAST_RATIO})")
    console.print(
        f"largest relative difference of a gradient: {result.max_relative_gradient_difference:.1e} "
        f"(at most {AT_MOST_DIFFERENCE:.0e}); of the loss: {result.loss_difference:.1e}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--responses", type=int, default=4)
    parser.add_argument("--criteria", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=2, help="runs of each way; the best run counts")
    parser.add_argument(
        "--flat-sequences", type=int, default=FLAT_SEQUENCES, help="sequences in a batch of the flat way"
    )
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--write", action="store_true", help=f"keep the result in docs/results/{RESULT.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
