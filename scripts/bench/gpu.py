"""`make bench-gpu ARGS=OUT`: the torch engine on one NVIDIA GPU, with random weights in the shape of Qwen3-8B.

It first runs tests/gpu. Then it measures in one run flat transformers, the tree engine with FlashAttention over spans
and with masked segments, and matrix products, on one group and on a full row of groups. Rounds alternate; the best
round of each counts. It writes OUT/bench-gpu.json.

For a machine without a network, build a wheel elsewhere with `pip wheel --no-deps .`. There, `pip install --no-deps`
that wheel and whatever is missing of torch, transformers, tokenizers, pydantic, rich and pytest; then run
`python -m scripts.bench.gpu OUT`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table

from promedical_model.tree import attention
from promedical_model.tree.token_tree import TokenTree
from scripts.bench.conditions import Conditions, conditions
from scripts.bench.engine import Way, computing_parameters, engine_way, flat_way, reference_model, reference_tree, timed
from scripts.bench.shapes import QWEN3_8B

ROOT: Final = Path(__file__).resolve().parents[2]
MATMUL, PRODUCTS = 8192, 20
ROW_TOKENS: Final = 65_536
ROW_TREES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The measurement of one way to score some trees; differences are from flat passes, in logits.

    `useful_share` is the share of the matrix products' rate that goes into tokens which had to be computed.
    """

    way: str
    trees: int
    unique_tokens: int
    scores_per_s: float
    unique_tokens_per_s: float
    useful_share: float
    max_abs_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Conditions):
    """One run, in bf16."""

    gpu: str
    tests: str
    matmul_tflops: float
    peak_memory_gib: float
    rates: list[Rate]


def main() -> int:
    """Test, measure, print, and write the result."""
    options = _options()
    if not torch.cuda.is_available():
        raise SystemExit("bench_gpu: torch finds no CUDA device here; run it on a machine with an NVIDIA GPU")
    tests = run_tests()
    torch.set_default_device("cuda")
    torch.set_default_dtype(torch.bfloat16)
    result = measure(options.rounds, tests)
    show(result)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench-gpu.json").write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return 0


def run_tests() -> str:
    """The closing line of the tests that need a GPU, run without the settings and plugins of the other tests.

    Raises:
        SystemExit: The tests did not pass; their output is printed.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--noconftest",
        "-c",
        "/dev/null",
        "-o",
        f"pythonpath={ROOT}/tests",
    ]
    done = subprocess.run(
        [*command, ROOT / "tests" / "gpu"], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SystemExit(f"bench_gpu: tests/gpu did not pass, so nothing is measured\n{done.stdout}")
    return done.stdout.strip().splitlines()[-1]


def measure(rounds: int, tests: str) -> Result:
    """One group, then a full row of groups."""
    stock = reference_model("sdpa", QWEN3_8B)
    ways = ways_of(stock, QWEN3_8B)
    products = min(matmul_seconds() for _ in range(rounds))
    row = [reference_tree(seed) for seed in range(ROW_TREES)]
    rates = [rate for trees in (row[:1], row) for rate in rates_of(ways, trees, rounds, stock, products)]
    return Result(
        **asdict(conditions("torch", "transformers")),
        gpu=torch.cuda.get_device_name(),
        tests=tests,
        matmul_tflops=round(2 * MATMUL**3 / products / 1e12, 1),
        peak_memory_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1),
        rates=rates,
    )


def ways_of(stock: Any, shape: Mapping[str, int]) -> dict[str, Way]:
    """All ways, on the same weights; flat passes come first."""
    engine = engine_way(stock, shape, ROW_TOKENS)

    def by_segments(trees: Sequence[TokenTree]) -> list[float]:
        with mock.patch.object(attention, "runs_on_flash", return_value=False):
            return engine(trees)

    return {
        "transformers, one pass per criterion": flat_way(stock),
        "tree engine, masked segments": by_segments,
        "tree engine, FlashAttention over spans": engine,
    }


def rates_of(ways: dict[str, Way], trees: Sequence[TokenTree], rounds: int, stock: Any, products: float) -> list[Rate]:
    """Every way on these trees; `products` are the seconds of a matrix product.

    Scores come back as numbers, so the GPU has finished when a way returns.
    """
    scores = {name: way(trees) for name, way in ways.items()}
    seconds = [{name: timed(partial(way, trees)) for name, way in ways.items()} for _ in range(rounds)]
    best = {name: min(each[name] for each in seconds) for name in ways}
    expected = next(iter(scores.values()))
    unique = sum(tree.unique_tokens for tree in trees)
    floor_s = computing_parameters(stock) * unique * products / MATMUL**3
    return [
        Rate(
            way=name,
            trees=len(trees),
            unique_tokens=unique,
            scores_per_s=round(len(expected) / best[name], 2),
            unique_tokens_per_s=round(unique / best[name], 1),
            useful_share=round(floor_s / best[name], 3),
            max_abs_difference=max(abs(a - b) for a, b in zip(expected, scores[name], strict=True)),
        )
        for name in ways
    ]


@torch.inference_mode()
def matmul_seconds() -> float:
    """Seconds of one large matrix product, from many in a row."""
    left, right = torch.randn(MATMUL, MATMUL), torch.randn(MATMUL, MATMUL)

    def products() -> None:
        for _ in range(PRODUCTS):
            torch.mm(left, right)
        torch.cuda.synchronize()

    products()
    return timed(products) / PRODUCTS


def show(result: Result) -> None:
    """Print the table."""
    table = Table(title=f"{result.gpu}, matrix products at {result.matmul_tflops:.0f} TFLOP/s; {result.tests}")
    for name in ("way", "trees", "scores/s", "unique tokens/s", "useful share", "largest difference"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for rate in result.rates:
        table.add_row(
            rate.way,
            str(rate.trees),
            f"{rate.scores_per_s:.1f}",
            f"{rate.unique_tokens_per_s:,.0f}",
            f"{rate.useful_share:.0%}",
            f"{rate.max_abs_difference:.1e}",
        )
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for bench-gpu.json")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
