"""`make capacity`: what one replica on a GPU would bear, by arithmetic, until it is measured.

    tokens per second = share x rate / (2 x parameters)

The rate is that of the GPU's data sheet for dense products in bf16. A token takes two operations for each parameter of
the decoder. The share is half of what the service reaches on a CPU, by docs/results/performance.json: on a GPU,
attention, memory and the starts of kernels weigh more. The half is a guess; `make bench-gpu` replaces the estimate of
its GPU and model by a measurement, from docs/results/bench-gpu.json.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from promedical_bench.loadtest.driver import GROUP
from scripts.bench.shapes import DEFAULT_MODEL, QWEN3_8B

RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "results"
RESULT: Final = RESULTS / "capacity.json"
MEASURED: Final = RESULTS / "bench-gpu.json"
GPU_OVER_CPU: Final = 0.5
TFLOPS: Final = {"L4": 121.0, "A100": 312.0, "H100 or H200": 989.0}
"""Dense products in bf16, by NVIDIA's data sheets."""
MODELS: Final[Mapping[str, Mapping[str, int]]] = {"default model": DEFAULT_MODEL, "Qwen3-8B": QWEN3_8B}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One replica of a model on one GPU."""

    gpu: str
    model: str
    parameters: int
    tokens_per_s: float
    measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """All rows, and what they were computed from."""

    share: float
    tokens_per_group: float
    tflops: Mapping[str, float]
    rows: tuple[Row, ...]


def main() -> int:
    """Print, or write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results/capacity.json")
    text = json.dumps(asdict(capacity()), indent=1) + "\n"
    if parser.parse_args().write:
        RESULT.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


def capacity() -> Capacity:
    """The rows, from the committed measurements."""
    performance = _read(RESULTS / "performance.json")
    served = performance["served"]["torch"]["summary"]
    on_cpu = 2 * parameters(DEFAULT_MODEL) * served["tokens_per_s"] / (performance["matmul_gflops"] * 1e9)
    share = round(GPU_OVER_CPU * on_cpu, 2)
    rows = [estimate(gpu, name, share) for gpu in TFLOPS for name in MODELS]
    rows += measured(_read(MEASURED)) if MEASURED.is_file() else []
    tokens_per_group = served["tokens_per_s"] / served["scores_per_s"] * GROUP.scores
    return Capacity(share=share, tokens_per_group=round(tokens_per_group), tflops=TFLOPS, rows=tuple(rows))


def estimate(gpu: str, model: str, share: float) -> Row:
    """A row by the formula."""
    size = parameters(MODELS[model])
    rate = share * TFLOPS[gpu] * 1e12 / (2 * size)
    return Row(gpu=gpu, model=model, parameters=size, tokens_per_s=rounded(rate), measured=False)


def measured(result: Mapping[str, Any]) -> list[Row]:
    """The rows of `make bench-gpu`: our engine on a full row of groups."""
    full = max(rate["trees"] for rate in result["rates"])
    ours = [rate for rate in result["rates"] if rate["trees"] == full and rate["way"].startswith("tree engine")]
    best = max(rate["unique_tokens_per_s"] for rate in ours)
    size = parameters(QWEN3_8B)
    return [Row(gpu=result["gpu"], model="Qwen3-8B", parameters=size, tokens_per_s=rounded(best), measured=True)]


def parameters(shape: Mapping[str, int]) -> int:
    """The parameters of the decoder's layers that every token is multiplied by; embeddings are looked up."""
    hidden, head = shape["hidden_size"], shape["head_dim"]
    attention = 2 * hidden * head * (shape["num_attention_heads"] + shape["num_key_value_heads"])
    return shape["num_hidden_layers"] * (attention + 3 * hidden * shape["intermediate_size"])


def rounded(value: float) -> float:
    """Two digits: an estimate has no more."""
    return float(round(value, 1 - math.floor(math.log10(value))))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
