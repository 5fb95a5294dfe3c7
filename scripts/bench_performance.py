"""`make performance`: the engines, bare and through the service, beside their peers, in one run on this machine.

1. The row of `make bench-engine`: flat transformers, vLLM with and without its prefix cache, the tree engine, and the
   arithmetic floor. Every round scores other tokens, so that no cache remembers them; the best round of each counts.
2. The default model: the bare torch engine, then both engines behind the service under saturating bulk load.
3. The same service under bulk load and a product's single requests at once.

Runs in .venv-vllm. `--write` keeps the result in docs/performance.json and its plot, from which docs/performance.md is
made.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench_engine import (
    MATMUL,
    Way,
    computing_parameters,
    engine_way,
    flat_way,
    matmul_seconds,
    reference_model,
    reference_tree,
)
from conditions import Conditions, conditions
from demo import running_service
from performance_plot import plot
from rich.console import Console

from promedical.messages import Message
from promedical_bench.load.driving import GROUP, Plan
from promedical_bench.load.run import Loaded, drive
from promedical_bench.load.traffic import items
from promedical_bench.running import Connection
from promedical_model.tree import TokenTree
from promedical_service.engines.load import ModelChoice, load_oracle
from promedical_service.engines.vllm_core import CoreOptions, launch_core
from promedical_service.engines.vllm_engine import EngineHooks, VllmEngine

RESULT: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.json"
MODEL: Final = "default"
BARE_ITEMS: Final = 4
RATE_PER_S: Final = 0.4
BINDINGS: Final = ("auto", f"0-{(os.cpu_count() or 1) - 1}")
"""Of vLLM's threads: its default leaves a core to its scheduler; the other takes all."""
KV_CACHE_GIB: Final = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way to score the reference row."""

    name: str
    scores_per_s: float
    max_abs_difference: float | None
    """To flat transformers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Conditions):
    """One run. `served` and `mixed` are what `promedical-bench load` measures."""

    tokens_flat: int
    tokens_unique: int
    matmul_gflops: float
    ways: list[Measured]
    bare_scores_per_s: float
    served: dict[str, dict[str, Any]]
    mixed: dict[str, Any]


def main() -> int:
    """Measure, and keep the result if asked."""
    options = _options()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", KV_CACHE_GIB)
    console = Console()
    result = measure(options, console)
    console.print_json(json.dumps(asdict(result)))
    if options.write:
        RESULT.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
        plot(asdict(result), RESULT.with_suffix(".svg"))
    return 0


def measure(options: argparse.Namespace, console: Console) -> Result:
    """All three parts."""
    trees = [reference_tree(seed) for seed in range(options.rounds + 1)]  # the first is the warm-up
    ways, gflops = reference_ways(trees, console)
    bare = bare_scores_per_s(console)
    served = {engine: served_load(engine, Plan(seconds=options.seconds), console) for engine in ("torch", "vllm")}
    mixed = served_load("torch", Plan(seconds=options.seconds, rate_per_s=RATE_PER_S), console)
    return Result(
        **asdict(conditions("torch", "transformers", "vllm-cpu")),
        tokens_flat=trees[0].flat_tokens,
        tokens_unique=trees[0].unique_tokens,
        matmul_gflops=round(gflops, 1),
        ways=ways,
        bare_scores_per_s=round(bare, 2),
        served={engine: loaded.as_dict() for engine, loaded in served.items()},
        mixed=mixed.as_dict(),
    )


def reference_ways(trees: Sequence[TokenTree], console: Console) -> tuple[list[Measured], float]:
    """Every way on the same trees, and GFLOP/s of a large matrix product."""
    stock = reference_model("sdpa")
    console.print("measuring flat transformers and the tree engine")
    flat = [timed(flat_way(stock), tree) for tree in trees]
    engine = engine_way(stock)
    own = [timed(engine, tree) for tree in trees]
    gflops = 2 * MATMUL**3 / min(matmul_seconds() for _ in range(2)) / 1e9
    expected = [scores for _, scores in flat]
    ways = [way("transformers, one pass per criterion", flat, expected)]
    with tempfile.TemporaryDirectory() as folder:
        stock.save_pretrained(folder)
        for name, caching in (("vLLM without prefix cache", False), ("vLLM, prefix cache, blocks of 32", True)):
            console.print(f"measuring {name}")
            ways.append(way(name, vllm_rounds(Path(folder), trees, caching=caching), expected))
    ways.append(way("promedical, torch engine", own, expected))
    floor_s = 2 * computing_parameters(stock) * trees[0].unique_tokens / (gflops * 1e9)
    ways.append(Measured(name="arithmetic floor", scores_per_s=trees[0].leaf_count / floor_s, max_abs_difference=None))
    return ways, gflops


def way(name: str, rounds: Sequence[tuple[float, list[float]]], expected: Sequence[list[float]]) -> Measured:
    """The best round but the first, and the largest difference of any score."""
    pairs = [pair for (_, got), want in zip(rounds, expected, strict=True) for pair in zip(got, want, strict=True)]
    best = min(seconds for seconds, _ in rounds[1:])
    worst = max(abs(a - b) for a, b in pairs)
    return Measured(name=name, scores_per_s=round(len(expected[0]) / best, 2), max_abs_difference=worst)


def vllm_rounds(folder: Path, trees: Sequence[TokenTree], *, caching: bool) -> list[tuple[float, list[float]]]:
    """Seconds and scores of every tree on the vllm engine, with the better of two bindings of its threads."""
    found = []
    for binding in BINDINGS:
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = binding
        found.append(_bound_rounds(folder, trees, caching=caching))
    best = min(range(len(found)), key=lambda index: min(seconds for seconds, _ in found[index][1:]))
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = BINDINGS[best]  # for the service, too
    return found[best]


def _bound_rounds(folder: Path, trees: Sequence[TokenTree], *, caching: bool) -> list[tuple[float, list[float]]]:
    options = CoreOptions(
        folder=folder,
        dtype="float32",
        tensor_parallel=1,
        max_path_tokens=1024,
        on_gpu=False,
        prefix_caching=caching,
    )

    async def run() -> list[tuple[float, list[float]]]:
        engine = VllmEngine(lambda: launch_core(options), dtype="float32", hooks=EngineHooks())
        rounds = []
        for tree in trees:
            started = time.perf_counter()
            scored = await engine.score([tree])
            seconds = time.perf_counter() - started
            rounds.append((seconds, [logit for branch in scored if isinstance(branch, tuple) for logit in branch]))
        await engine.close()
        return rounds

    return asyncio.run(run())


def timed(run: Way, tree: TokenTree) -> tuple[float, list[float]]:
    """Seconds and scores of one run."""
    started = time.perf_counter()
    scores = run([tree])
    return time.perf_counter() - started, scores


def bare_scores_per_s(console: Console) -> float:
    """The default model on the items of the load, without a service."""
    console.print("measuring the bare torch engine with the default model")
    choice = ModelChoice(model=MODEL, revision=None, dtype="float32", threads=None, max_batch_tokens=8192)
    oracle = load_oracle("torch", choice, EngineHooks())
    trees = [list(rendered(oracle.renderer, item)) for item in islice(items(GROUP, "bare"), BARE_ITEMS + 1)]

    async def run() -> float:
        await oracle.engine.score(trees[0])
        started = time.perf_counter()
        for each in trees[1:]:
            await oracle.engine.score(each)
        return BARE_ITEMS * GROUP.scores / (time.perf_counter() - started)

    return asyncio.run(run())


def rendered(renderer: Any, item: Any) -> Iterator[TokenTree]:
    """The trees of an item, as the service makes them."""
    criteria = [each.text for each in item.rubric.criteria]
    for each in renderer.render([Message(role="user", content=item.prompt)], item.responses, criteria).trees:
        yield each.tree


def served_load(engine: str, plan: Plan, console: Console) -> Loaded:
    """What `promedical-bench load` measures of a service with this engine."""
    with running_service(console, ["--engine", engine, "--model", MODEL]) as service:
        return asyncio.run(drive(service.grpc_url, plan, Connection(max_attempts=1), silent))


@contextmanager
def silent(_: str) -> Iterator[Callable[[int, int], None]]:
    """Shows nothing."""
    yield lambda *_: None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every way, after one to warm up")
    parser.add_argument("--seconds", type=float, default=180.0, help="length of every load")
    parser.add_argument("--write", action="store_true", help=f"keep the result in docs/{RESULT.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
