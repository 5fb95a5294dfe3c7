"""`python scripts/bench_gpu.py OUT`: the torch engine on one NVIDIA GPU, with random weights in the shape of Qwen3-8B.

First the tests of tests/gpu, then, in one run: flat transformers, the tree engine by FlashAttention over spans and by
masked segments, and the arithmetic floor at the measured rate of matrix products. Writes OUT/bench-gpu.json.

Needs torch, transformers, pytest, hypothesis, rich, pydantic and tokenizers, no network and nothing installed of this
project: PYTHONPATH=proto:clients/python:service:scripts:tests.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import torch
from bench_engine import (
    computing_parameters,
    engine_way,
    flat_way,
    matmul_seconds,
    reference_model,
    reference_tree,
    timed,
)
from conditions import Conditions, conditions
from rich.console import Console
from rich.table import Table

from promedical_model import attention

ROOT: Final = Path(__file__).resolve().parents[1]
QWEN3_8B: Final = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
MATMUL: Final = 8192
ROW_TOKENS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Of one way to score the row of work."""

    scores_per_s: float
    unique_tokens_per_s: float
    share_of_matmul: float
    largest_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Conditions):
    """One run. A way's differences are from flat passes, in logits, in bf16."""

    gpu: str
    tests: str
    matmul_tflops: float
    ways: dict[str, Rate]


def main() -> int:
    """Test, measure, print, and write the result."""
    options = _options()
    if not torch.cuda.is_available():
        raise SystemExit("bench_gpu: torch finds no CUDA device here; run it on a machine with an NVIDIA GPU")
    tests = run_tests()
    with torch.device("cuda"), default_dtype(torch.bfloat16):
        result = measure(options.rounds, tests)
    show(result)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench-gpu.json").write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return 0


def run_tests() -> str:
    """The closing line of the tests that need a GPU.

    Raises:
        SystemExit: One of them failed; their output is printed.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        str(ROOT / "tests/gpu"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench_gpu: the engine is not right on this GPU, so nothing is measured\n{done.stdout}")
    return done.stdout.strip().splitlines()[-1]


def measure(rounds: int, tests: str) -> Result:
    """Run all ways, alternating; the best round of each counts."""
    stock = reference_model("sdpa", QWEN3_8B)
    tree, engine, flat = reference_tree(), engine_way(stock, QWEN3_8B, ROW_TOKENS), flat_way(stock)
    expected = flat(tree)

    def by_segments() -> list[float]:
        with mock.patch.object(attention, "runs_on_flash", return_value=False):
            return engine(tree)

    ways: dict[str, Callable[[], list[float]]] = {
        "transformers, one pass per criterion": lambda: flat(tree),
        "tree engine, masked segments": by_segments,
        "tree engine, FlashAttention over spans": lambda: engine(tree),
    }
    differences = {name: _largest(expected, way()) for name, way in ways.items()}
    seconds = {name: min(timed(way) for _ in range(rounds)) for name, way in ways.items()}
    matmul = 2 * MATMUL**3 / min(matmul_seconds(size=MATMUL) for _ in range(rounds))
    flop = 2 * computing_parameters(stock) * tree.unique_tokens
    return Result(
        **asdict(conditions("torch", "transformers")),
        gpu=torch.cuda.get_device_name(),
        tests=tests,
        matmul_tflops=round(matmul / 1e12, 1),
        ways={
            name: Rate(
                scores_per_s=round(tree.leaf_count / took, 2),
                unique_tokens_per_s=round(tree.unique_tokens / took, 1),
                share_of_matmul=round(flop / took / matmul, 3),
                largest_difference=differences[name],
            )
            for name, took in seconds.items()
        },
    )


def show(result: Result) -> None:
    """Print the table."""
    table = Table(title=f"{result.gpu}, matrix products at {result.matmul_tflops:.0f} TFLOP/s; {result.tests}")
    for name in ("way", "scores/s", "unique tokens/s", "share of matmul", "largest difference"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for name, rate in result.ways.items():
        table.add_row(
            name,
            f"{rate.scores_per_s:.1f}",
            f"{rate.unique_tokens_per_s:,.0f}",
            f"{rate.share_of_matmul:.0%}",
            f"{rate.largest_difference:.1e}",
        )
    Console().print(table)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New tensors have it until the block ends."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _largest(expected: list[float], got: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(expected, got, strict=True))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for bench-gpu.json")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
