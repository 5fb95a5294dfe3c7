"""`make performance`: the engines, bare and through the service, beside their peers, in one run on this machine.

1. The row of `make bench-engine`: flat transformers, vLLM with and without its prefix cache, the tree engine, and the
   arithmetic floor. All are loaded at the same time and take turns, round by round. Every round scores other tokens,
   so that no cache has them, and the best round of each counts.
2. The default model: the bare torch engine, then both engines behind the service under saturating bulk load.
3. The same service under bulk load and a product's single requests at the same time.

It runs in .venv-vllm. `--write` keeps the result and its plot in docs/results, from which docs/performance.md is made.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from promedical.messages import Message
from promedical_bench.loadtest.driver import GROUP, Plan
from promedical_bench.loadtest.run import Loaded, drive
from promedical_bench.loadtest.traffic import items
from promedical_client.address import Address
from promedical_client.cli.progress import tracked
from promedical_model.tree.cpu_linear import OneDnnLinear
from promedical_model.tree.token_tree import TokenTree
from promedical_service.engines.load import ModelChoice, load_oracle
from promedical_service.engines.vllm.core import CoreOptions, launch_core
from promedical_service.engines.vllm.engine import EngineHooks, VllmEngine
from scripts.bench.conditions import Conditions, conditions
from scripts.bench.engine import (
    MATMUL,
    Way,
    computing_parameters,
    engine_way,
    flat_way,
    logits_of,
    matmul_seconds,
    reference_model,
    reference_tree,
)
from scripts.demo.running_service import running_service
from scripts.docs.performance_plot import plot
from scripts.docs.performance_tables import FLAT, FLOOR, OURS, RESULT, VLLM_AT_BEST

MODEL: Final = "default"
BARE_ITEMS: Final = 4
RATE_PER_S: Final = 0.1
VLLM: Final = {"vLLM without prefix cache": False, VLLM_AT_BEST: True}
BINDINGS: Final = ("auto", f"0-{(os.cpu_count() or 1) - 1}")
"""Cores of vLLM's threads: vLLM's default leaves a core to its scheduler; the other setting uses all cores."""
KV_CACHE_GIB: Final = "1"
PAUSE_S: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way to score the reference row."""

    name: str
    scores_per_s: float
    max_abs_difference: float | None
    """How far scores differ from those of flat transformers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Conditions):
    """One run. `served` and `mixed` are results of `promedical-bench load`."""

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
    before = bare_scores_per_s(console)
    served = {"torch": served_load("torch", Plan(seconds=options.seconds), console)}
    bare = (before + bare_scores_per_s(console)) / 2
    mixed = served_load("torch", Plan(seconds=2 * options.seconds, rate_per_s=RATE_PER_S), console)
    served["vllm"] = served_load("vllm", Plan(seconds=options.seconds), console)
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
    """Every way on the same trees, in turns, and GFLOP/s of a large matrix product by the faster of both libraries."""
    stock = reference_model("sdpa")
    ways = {FLAT: flat_way(stock), OURS: engine_way(stock)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stock.save_pretrained(folder)
        for name, caching in VLLM.items():
            for binding in BINDINGS:
                full_name = vllm_name(name, binding)
                console.print(f"starting {full_name}")
                ways[full_name] = stack.enter_context(vllm_way(folder, binding, caching=caching))
        rounds, products, order = [], [], deque(ways)
        for tree in tracked(console, "measuring", trees):
            products += [matmul_seconds(), matmul_seconds(OneDnnLinear)]
            rounds.append({name: timed(ways[name], tree) for name in order})
            order.rotate()
    gflops = 2 * MATMUL**3 / min(products) / 1e9
    found = [measured(name, rounds) for name in ways]
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = best_binding(found)  # this is for the service too
    flop = 2 * computing_parameters(stock) * trees[0].unique_tokens
    floor = Measured(name=FLOOR, scores_per_s=trees[0].leaf_count * gflops * 1e9 / flop, max_abs_difference=None)
    return [*found, floor], gflops


def measured(name: str, rounds: Sequence[Mapping[str, tuple[float, list[float]]]]) -> Measured:
    """The best round except the first, and the largest difference of any score from flat transformers."""
    pairs = [pair for each in rounds for pair in zip(each[name][1], each[FLAT][1], strict=True)]
    best = min(each[name][0] for each in rounds[1:])
    worst = max(abs(a - b) for a, b in pairs)
    return Measured(name=name, scores_per_s=round(len(rounds[0][FLAT][1]) / best, 2), max_abs_difference=worst)


def best_binding(found: Sequence[Measured]) -> str:
    """The faster binding of vLLM's threads."""
    rates = {way.name: way.scores_per_s for way in found}
    return max(BINDINGS, key=lambda binding: rates[vllm_name(VLLM_AT_BEST, binding)])


def vllm_name(name: str, binding: str) -> str:
    """The name of a way."""
    return f"{name}, {'one core for its scheduler' if binding == 'auto' else 'threads on all cores'}"


@contextmanager
def vllm_way(folder: Path, binding: str, *, caching: bool) -> Iterator[Way]:
    """The vllm engine, with its threads on some cores."""
    options = CoreOptions(
        folder=folder,
        dtype="float32",
        tensor_parallel=1,
        max_path_tokens=1024,
        on_gpu=False,
        prefix_caching=caching,
    )
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = binding
    engine = VllmEngine(lambda: launch_core(options), dtype="float32", hooks=EngineHooks())
    try:
        yield lambda trees: logits_of(asyncio.run(engine.score(trees)))
    finally:
        asyncio.run(engine.close())


def timed(run: Way, tree: TokenTree) -> tuple[float, list[float]]:
    """Seconds and scores of one run, after a pause in which threads of the previous run stop spinning."""
    time.sleep(PAUSE_S)
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
        seconds = time.perf_counter() - started
        await oracle.engine.close()
        return BARE_ITEMS * GROUP.scores / seconds

    return asyncio.run(run())


def rendered(renderer: Any, item: Any) -> Iterator[TokenTree]:
    """The trees of an item, as the service makes them."""
    criteria = [each.text for each in item.rubric.criteria]
    for each in renderer.render([Message(role="user", content=item.prompt)], item.responses, criteria).trees:
        yield each.tree


def served_load(engine: str, plan: Plan, console: Console) -> Loaded:
    """What `promedical-bench load` measures on a service with this engine."""
    with running_service(console, ["--engine", engine, "--model", MODEL]) as service:
        return asyncio.run(drive(Address(service.grpc_url), plan, silent))


@contextmanager
def silent(_: str) -> Iterator[Callable[[int, int], None]]:
    """Shows nothing."""
    yield lambda *_: None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every way, after a warm-up round")
    parser.add_argument(
        "--seconds",
        type=float,
        default=300.0,
        help="length of the bulk load; the load on both lanes is twice as long",
    )
    parser.add_argument("--write", action="store_true", help=f"keep the result in docs/results/{RESULT.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
