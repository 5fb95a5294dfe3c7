"""`make bench-engine`: the tree engine beside flat transformers and the arithmetic floor, in one run.

The reference: a random Qwen3 classifier (8 layers, hidden 512, MLP 1536, 8 heads and 4 key-value heads of 64,
vocabulary 8192) and one row of work: prompt 120, response 300, criterion 30 tokens, 8 responses, 12 criteria.
Rounds alternate, so that other work on the machine affects all ways equally; the best round of each counts. `--write`
keeps the result in docs/results/bench-engine.json, from which the tables in README.md and
docs/performance.md are made.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table
from transformers import Qwen3Config, Qwen3ForSequenceClassification

from promedical_client.cli.progress import tracked
from promedical_model.tree import attention
from promedical_model.tree.cpu_linear import OneDnnLinear, use_onednn
from promedical_model.tree.token_tree import Branch, TokenTree
from promedical_model.tree.tree_model import TreeModel
from promedical_service.engines.base import BranchScores
from promedical_service.engines.torch_engine import CPU_ROW_TOKENS, TorchEngine
from scripts.bench.conditions import Conditions, conditions

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "bench-engine.json"
REFERENCE: Final = {
    "vocab_size": 8192,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
}
PROMPT, RESPONSE, CRITERION, RESPONSES, CRITERIA = 120, 300, 30, 8, 12
FLAT_BATCH, MATMUL = 16, 4096
AT_LEAST_FLAT, AT_MOST_FLOOR = 7.5, 1.6

Way = Callable[[Sequence[TokenTree]], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Conditions):
    """One run. Rates are scores per second of the best round."""

    tokens_flat: int
    tokens_unique: int
    matmul_gflops: float
    onednn_gflops: float
    flat_scores_per_s: float
    tree_scores_per_s: float
    floor_scores_per_s: float
    tree_over_flat: float
    floor_over_tree: float
    onednn_floor_over_tree: float
    max_abs_difference: float


def main() -> int:
    """Measure, print, and keep the result if asked; fail if a target is missed."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    result = measure(options.rounds)
    show(result)
    if options.write:
        RESULT.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return 0 if result.tree_over_flat >= AT_LEAST_FLAT and result.floor_over_tree <= AT_MOST_FLOOR else 1


def measure(rounds: int) -> Result:
    """Run all ways, alternating."""
    tree, stock = reference_tree(), reference_model("sdpa")
    trees = [tree]
    flat, engine = flat_way(stock), engine_way(stock)
    expected, got = flat(trees), engine(trees)
    seconds: dict[str, list[float]] = {"flat": [], "tree": [], "matmul": [], "onednn": []}
    for _ in tracked(Console(), "measuring", range(rounds)):
        seconds["matmul"].append(matmul_seconds())
        seconds["onednn"].append(matmul_seconds(OneDnnLinear))
        seconds["tree"].append(timed(lambda: engine(trees)))
        seconds["flat"].append(timed(lambda: flat(trees)))
    best = {name: min(times) for name, times in seconds.items()}
    gflops, onednn_gflops = (2 * MATMUL**3 / best[way] / 1e9 for way in ("matmul", "onednn"))
    gflop = 2 * computing_parameters(stock) * tree.unique_tokens / 1e9
    floor_s = gflop / gflops
    return Result(
        **asdict(conditions("torch", "transformers")),
        tokens_flat=tree.flat_tokens,
        tokens_unique=tree.unique_tokens,
        matmul_gflops=round(gflops, 1),
        onednn_gflops=round(onednn_gflops, 1),
        flat_scores_per_s=round(tree.leaf_count / best["flat"], 2),
        tree_scores_per_s=round(tree.leaf_count / best["tree"], 2),
        floor_scores_per_s=round(tree.leaf_count / floor_s, 2),
        tree_over_flat=round(best["flat"] / best["tree"], 2),
        floor_over_tree=round(best["tree"] / floor_s, 2),
        onednn_floor_over_tree=round(best["tree"] * onednn_gflops / gflop, 2),
        max_abs_difference=max(abs(a - b) for a, b in zip(expected, got, strict=True)),
    )


def reference_tree(seed: int = 0) -> TokenTree:
    """The row of work, with random tokens."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(10, 8000) for _ in range(count))

    leaves = tuple(tokens(CRITERION) for _ in range(CRITERIA))
    branches = tuple(Branch(response=tokens(RESPONSE), leaves=leaves) for _ in range(RESPONSES))
    return TokenTree(prompt=tokens(PROMPT), branches=branches)


def reference_model(implementation: str, shape: Mapping[str, int] = REFERENCE) -> Any:
    """A Qwen3 classifier with random weights, on torch's default device and with its default dtype."""
    torch.manual_seed(0)
    build: Any = Qwen3Config
    config = build(**shape, num_labels=1, pad_token_id=0, attn_implementation=implementation)
    classifier: Any = Qwen3ForSequenceClassification
    return classifier(config).eval()


def flat_way(model: Any) -> Way:
    """One forward per path, in batches: what a server without trees does."""

    @torch.inference_mode()
    def run(trees: Sequence[TokenTree]) -> list[float]:
        scores: list[float] = []
        paths = [path for tree in trees for path in tree.paths()]
        for start in range(0, len(paths), FLAT_BATCH):
            batch = torch.tensor(paths[start : start + FLAT_BATCH], device=model.device)
            hidden = model.model(input_ids=batch, use_cache=False).last_hidden_state[:, -1]
            scores += (hidden.float() @ model.score.weight[0].float()).tolist()
        return scores

    return run


def engine_way(stock: Any, shape: Mapping[str, int] = REFERENCE, max_row_tokens: int = CPU_ROW_TOKENS) -> Way:
    """The engine of the service, with the same weights."""
    attention.register()
    model = reference_model(attention.TREE_ATTENTION, shape)
    model.load_state_dict(stock.state_dict(), assign=True)
    use_onednn(model.model)
    engine = TorchEngine(TreeModel(model.model, model.score.weight[0]), max_row_tokens=max_row_tokens)

    def run(trees: Sequence[TokenTree]) -> list[float]:
        return logits_of(asyncio.run(engine.score(trees)))

    return run


def logits_of(scored: Sequence[BranchScores]) -> list[float]:
    """All numbers, in order."""
    return [logit for branch in scored if isinstance(branch, tuple) for logit in branch]


def timed(way: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


@torch.inference_mode()
def matmul_seconds(wrap: Callable[[torch.nn.Linear], torch.nn.Module] = lambda linear: linear) -> float:
    """Seconds of one large matrix product, the best that the machine can do, by torch's default library or another."""
    inputs, layer = torch.randn(MATMUL, MATMUL), wrap(torch.nn.Linear(MATMUL, MATMUL, bias=False))
    return min(timed(lambda: layer(inputs)) for _ in range(2))


def computing_parameters(model: torch.nn.Module) -> int:
    """The number of parameters that every token is multiplied with: all but the embeddings."""
    return sum(p.numel() for name, p in model.named_parameters() if "embed" not in name)


def show(result: Result) -> None:
    """Print the table."""
    table = Table(title=f"{result.tokens_flat:,} tokens flat, {result.tokens_unique:,} as a tree; {result.machine}")
    table.add_column("way")
    table.add_column("scores/s", justify="right")
    table.add_row("transformers, one pass per criterion", f"{result.flat_scores_per_s:.1f}")
    table.add_row("promedical tree engine", f"{result.tree_scores_per_s:.1f}")
    table.add_row(f"arithmetic floor at {result.matmul_gflops:.0f} GFLOP/s", f"{result.floor_scores_per_s:.1f}")
    console = Console()
    console.print(table)
    console.print(f"tree over flat: {result.tree_over_flat} (at least {AT_LEAST_FLAT})")
    console.print(
        f"time over floor: {result.floor_over_tree} (at most {AT_MOST_FLOOR}); over the floor at oneDNN's "
        f"{result.onednn_gflops:.0f} GFLOP/s: {result.onednn_floor_over_tree}"
    )
    console.print(f"largest difference of a score: {result.max_abs_difference:.1e}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--write", action="store_true", help=f"keep the result in docs/results/{RESULT.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
