"""The generated parts of docs/performance.md, from the committed result of `make performance`."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from promedical_bench.loadtest.driver import GROUP
from scripts.bench.capacity import rounded
from scripts.docs.tables import table

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "performance.json"
CAPACITY: Final = RESULT.with_name("capacity.json")
FLAT, OURS, FLOOR = "transformers, one pass per criterion", "promedical, torch engine", "arithmetic floor"
VLLM_AT_BEST: Final = "vLLM, prefix cache, blocks of 32"
NOTHING: Final = "Not measured yet: `make performance ARGS=--write`.\n"


def performance_ways() -> str:
    """Every way on the reference row."""
    if not RESULT.is_file():
        return NOTHING
    result = _result()
    flat = _rates(result)[FLAT]
    note = (
        f"One run on {result['date']}: {result['machine']}, {result['torch_threads']} threads, {result['versions']}. "
        f"{result['tokens_flat']:,} tokens flat, {result['tokens_unique']:,} as a tree; a large matrix product runs at "
        f"{result['matmul_gflops']:.0f} GFLOP/s.\n\n"
    )
    head = "| way | scores/s | times flat | largest difference to flat |"
    plot = "\n![Criterion scores per second of every way](results/performance.svg)\n"
    return note + table(head, [_way_row(way, flat) for way in result["ways"]]) + plot


def performance_service() -> str:
    """Bare engine, service, and both lanes at once."""
    if not RESULT.is_file():
        return NOTHING
    result = _result()
    bare = result["bare_scores_per_s"]
    served = {f"service, {name} engine, 2 trainers": each["summary"] for name, each in result["served"].items()}
    product = f"2 trainers and {result['mixed']['plan']['rate_per_s']:g} single requests/s"
    served |= {f"service, torch engine, {product}": result["mixed"]["summary"]}
    rows = [f"| bare torch engine | | {bare:.1f} | 1.00 | | |"]
    rows += [_load_row(name, summary, bare) for name, summary in served.items()]
    return table("| what | calls | scores/s | times bare | bulk p50, p95 in s | interactive p50, p95 in s |", rows)


def performance_capacity() -> str:
    """What one replica bears, and how many a load of groups needs."""
    if not RESULT.is_file():
        return NOTHING
    result = _result()
    loads = {name: each["summary"] for name, each in result["served"].items()}
    loads = {f"{name} engine, bulk alone": summary for name, summary in loads.items()}
    loads |= {"torch engine, bulk beside single requests": result["mixed"]["summary"]}
    rows = [_capacity_row(name, summary) for name, summary in loads.items()]
    note = f"Measured on {result['date']}: {result['machine']}, client and service on the same cores.\n\n"
    head = "| one replica of the default model | tokens/s | groups per minute | replicas for 100 groups per minute |"
    return note + table(head, rows)


def performance_gpu_capacity() -> str:
    """What one replica on a GPU bears: by arithmetic, until somebody has measured it."""
    result = json.loads(CAPACITY.read_text(encoding="utf-8"))
    rows = [_gpu_row(row, result["tokens_per_group"]) for row in result["rows"]]
    note = (
        f"The share is {result['share']:.2f}, and a group has {result['tokens_per_group']:,} unique tokens. "
        f"Data sheets say, in TFLOP/s: {', '.join(f'{gpu} {rate:,.0f}' for gpu, rate in result['tflops'].items())}.\n\n"
    )
    return note + table("| one replica on one GPU | model | tokens/s | groups per minute | from |", rows)


def performance_targets() -> str:
    """What was wanted, and what was measured."""
    if not RESULT.is_file():
        return NOTHING
    result = _result()
    rates = _rates(result)
    vllm = max(rate for name, rate in rates.items() if name.startswith("vLLM"))
    flat, torch, floor = rates[FLAT], rates[OURS], rates[FLOOR]
    served = result["served"]["torch"]["summary"]["scores_per_s"]
    rate = result["mixed"]["plan"]["rate_per_s"]
    wait_s = result["mixed"]["summary"]["lanes"]["interactive"]["latency_s"].get("p95", float("inf"))
    rows = [
        _at_least("torch engine over vLLM at its best", torch / vllm, 3),
        _at_least("torch engine over flat transformers", torch / flat, 7.5),
        _at_most("floor over torch engine", floor / torch, 1.6),
        _at_least("service at saturation over bare engine", served / result["bare_scores_per_s"], 0.9),
        _at_most(f"interactive p95 under bulk load, {rate:g} requests/s, in seconds", wait_s, 3),
    ]
    return table("| ratio | measured | wanted | holds |", rows)


def _result() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return result


def _rates(result: Mapping[str, Any]) -> Mapping[str, float]:
    return {way["name"]: way["scores_per_s"] for way in result["ways"]}


def _way_row(way: Mapping[str, Any], flat: float) -> str:
    difference = way["max_abs_difference"]
    shown = "" if difference is None else f"{difference:.0e}"
    return f"| {way['name']} | {way['scores_per_s']:.1f} | {way['scores_per_s'] / flat:.2f} | {shown} |"


def _load_row(name: str, summary: Mapping[str, Any], bare: float) -> str:
    latencies = (summary["lanes"].get(lane, {}).get("latency_s", {}) for lane in ("bulk", "interactive"))
    shown = (f"{each['p50']:.2f}, {each['p95']:.2f}" if each else "" for each in latencies)
    calls = ", ".join(f"{each['calls']}" for each in summary["lanes"].values())
    rate = summary["scores_per_s"]
    return f"| {name} | {calls} | {rate:.1f} | {rate / bare:.2f} | {' | '.join(shown)} |"


def _capacity_row(name: str, summary: Mapping[str, Any]) -> str:
    groups = summary["lanes"]["bulk"]["scores_per_s"] * 60 / GROUP.scores
    return f"| {name} | {summary['tokens_per_s']:,.0f} | {groups:.1f} | {math.ceil(100 / groups)} |"


def _gpu_row(row: Mapping[str, Any], tokens_per_group: float) -> str:
    groups = rounded(row["tokens_per_s"] * 60 / tokens_per_group)
    source = "measured" if row["measured"] else "estimated, not measured"
    return f"| {row['gpu']} | {row['model']} | {row['tokens_per_s']:,.0f} | {groups:,.0f} | {source} |"


def _at_least(name: str, value: float, limit: float) -> str:
    return f"| {name} | {value:.2f} | at least {limit} | {'yes' if value >= limit else 'no'} |"


def _at_most(name: str, value: float, limit: float) -> str:
    return f"| {name} | {value:.2f} | at most {limit} | {'yes' if value <= limit else 'no'} |"
