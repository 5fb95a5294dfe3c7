"""Writes what is generated in README.md and docs/: tables of settings, metrics, errors, the wire and measurements.

Each part is between `<!-- generated: NAME -->` and `<!-- end -->`; the schema of rubric files is a file of its own.
`--check` changes nothing and fails if a part is stale.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from promedical.errors import ERROR_TABLE, ITEM_ERROR_CODES, RETRYABLE_ITEM_CODES
from promedical_data.publishers.catalog import PUBLISHERS
from promedical_data.rubric_schema import schema_text
from promedical_service.settings import Settings
from promedical_service.telemetry.metrics import Metrics
from scripts.docs.curation_tables import dedup_quality, dedup_speed, screen_table, source_table
from scripts.docs.drill_tables import drill_tables
from scripts.docs.first_policy_table import first_policy
from scripts.docs.gate_table import gate_table
from scripts.docs.grpc_reference import grpc_messages, grpc_methods
from scripts.docs.install_tables import install_sizes, neighbours
from scripts.docs.licence_table import licence_table
from scripts.docs.performance_tables import (
    performance_capacity,
    performance_gpu_capacity,
    performance_service,
    performance_targets,
    performance_ways,
)
from scripts.docs.quality_tables import ablation_table, grpo_reference, quality_brief, quality_table
from scripts.docs.rest_reference import rest_endpoints, rest_schemas
from scripts.docs.reward_tables import reward_table
from scripts.docs.tables import cell, table

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / "docs" / "results"
DEMO: Final = RESULTS / "demo.txt"
NEXT_QUESTION: Final = "2 of "
"""Where the README's part of the demo ends; the whole output is in docs/results."""
PART: Final = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """Every setting: its flag, default and meaning."""
    rows = [
        f"| `--{name.replace('_', '-')}` | {_default(field.default)} | {cell(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    return table("| flag | default | meaning |", rows)


def metrics_table() -> str:
    """Every metric of the service itself."""
    families = [family for family in Metrics().registry.collect() if family.name.startswith("promedical_")]
    rows = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {cell(family.documentation)} |")
    return table("| metric | type | meaning |", rows)


def errors_table() -> str:
    """Every error code on both transports."""
    rows = [
        f"| `{code}` | {row.grpc_status} | {row.http_status} | {'yes' if row.retryable else 'no'} | {row.title} |"
        for code, row in ERROR_TABLE.items()
    ]
    rows += [
        f"| `{code}` | in an OK answer | in an OK answer | {'yes' if code in RETRYABLE_ITEM_CODES else 'no'} "
        "| One item or response was not scored |"
        for code in sorted(ITEM_ERROR_CODES)
    ]
    return table("| code | gRPC | HTTP | retry helps | meaning |", rows)


def formats_table() -> str:
    """Every format of publishers, and what is made of it."""
    rows = [
        f"| `{each.name}` | {cell(each.title)} | {cell(each.licence)} | {cell(each.reads)} | {cell(each.drops)} |"
        for each in PUBLISHERS
    ]
    return table("| name | what it is | licence | what is read | what is left out |", rows)


def demo_output() -> str:
    """What `make demo` prints about its first question."""
    first, _, more = DEMO.read_text(encoding="utf-8").rstrip("\n").partition(NEXT_QUESTION)
    shown = f"{first.rstrip()}\n\n..." if more else first.rstrip()
    return f"```text\n{shown}\n```\n"


def speed_brief() -> str:
    """The engine beside flat passes, in three columns."""
    result = json.loads((RESULTS / "bench-engine.json").read_text(encoding="utf-8"))
    rows = [
        f"| one pass per criterion (transformers) | {result['flat_scores_per_s']:.1f} | 1 |",
        f"| one pass per tree | {result['tree_scores_per_s']:.1f} | {result['tree_over_flat']:.1f} |",
    ]
    note = (
        f"8 responses to one prompt by 12 criteria, on {result['machine']}, in fp32. Both ways give the same scores "
        f"within {result['max_abs_difference']:.0e} ([more](docs/performance.md)).\n\n"
    )
    return note + table("| | scores/s | times faster |", rows)


def speed_table() -> str:
    """The engine beside its peers, from the committed result."""
    result = json.loads((RESULTS / "bench-engine.json").read_text(encoding="utf-8"))
    rows = [
        f"| transformers, one pass per criterion | {result['flat_scores_per_s']:.1f} | 1 |",
        f"| promedical tree engine | {result['tree_scores_per_s']:.1f} | {result['tree_over_flat']:.1f} |",
        f"| arithmetic floor at {result['matmul_gflops']:.0f} GFLOP/s | {result['floor_scores_per_s']:.1f} | |",
    ]
    note = (
        f"One run on {result['date']}: {result['machine']}, {result['torch_threads']} threads, {result['versions']}. "
        f"{result['tokens_flat']:,} tokens flat, {result['tokens_unique']:,} as a tree. The tree takes "
        f"{result['floor_over_tree']:.2f} times the floor at the rate of torch's own matrix product "
        f"({result['onednn_floor_over_tree']:.2f} times that of oneDNN at {result['onednn_gflops']:.0f} GFLOP/s, "
        f"which the engine uses), and its scores differ from the flat ones by at most "
        f"{result['max_abs_difference']:.0e}.\n\n"
    )
    return note + table("| way | scores/s | times flat |", rows)


def training_speed() -> str:
    """Tree-packed training beside flat sequences, from the committed result."""
    result = json.loads((RESULTS / "bench-training.json").read_text(encoding="utf-8"))
    return (
        f"{result['responses']} responses and {result['criteria']} criteria of one prompt train at "
        f"{result['tree_criteria_per_s']:.1f} criteria/s as one tree and at {result['flat_criteria_per_s']:.1f} as one "
        f"sequence per criterion: {result['tree_over_flat']:.1f} times faster, for gradients that differ by "
        f"{result['max_relative_gradient_difference']:.0e} (relative norm, the worst tensor) and a loss that "
        f"differs by {result['loss_difference']:.0e}. {result['model']}; "
        f"{result['date']}, {result['machine']}, {result['versions']}; `make bench-training`.\n"
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "demo": demo_output,
    "quality_brief": quality_brief,
    "speed_brief": speed_brief,
    "settings": settings_table,
    "licences": licence_table,
    "metrics": metrics_table,
    "errors": errors_table,
    "data_formats": formats_table,
    "speed": speed_table,
    "training": training_speed,
    "quality": quality_table,
    "ablation_table": ablation_table,
    "grpo": grpo_reference,
    "first_policy": first_policy,
    "rewards": reward_table,
    "gate": gate_table,
    "drills": drill_tables,
    "install_sizes": install_sizes,
    "neighbours": neighbours,
    "curation_sources": source_table,
    "curation_screens": screen_table,
    "curation_dedup_quality": dedup_quality,
    "curation_dedup_speed": dedup_speed,
    "rest_endpoints": rest_endpoints,
    "rest_schemas": rest_schemas,
    "grpc_methods": grpc_methods,
    "grpc_messages": grpc_messages,
    "performance_capacity": performance_capacity,
    "performance_gpu_capacity": performance_gpu_capacity,
    "performance_ways": performance_ways,
    "performance_service": performance_service,
    "performance_targets": performance_targets,
}
FILES: Mapping[Path, Callable[[], str]] = {ROOT / "docs" / "reference" / "rubric.schema.json": schema_text}
"""What is generated as a whole."""


def generated(text: str) -> str:
    """The document with every generated part as it is now."""
    return PART.sub(lambda match: match[1] + PARTS[match["name"]]() + match[3], text)


def documents() -> list[Path]:
    """The pages that may hold generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> int:
    """Write or check; return the exit code."""
    texts = {path: path.read_text(encoding="utf-8") for path in documents()}
    stale = {path: new for path, old in texts.items() if (new := generated(old)) != old}
    stale |= {path: text() for path, text in FILES.items() if not path.is_file() or path.read_text("utf-8") != text()}
    if "--check" not in sys.argv:
        for path, new in stale.items():
            path.write_text(new, encoding="utf-8")
        return 0
    missing = [name for name in PARTS if not any(f"<!-- generated: {name} -->" in old for old in texts.values())]
    if missing or stale:
        names = [str(path.relative_to(ROOT)) for path in stale]
        print(f"stale: {names}, parts without a place: {missing}; run 'make docs'")
        return 1
    print("the generated tables of README.md and docs/ are up to date")
    return 0


def _default(value: object) -> str:
    return "" if value is None else f"`{value}`"


if __name__ == "__main__":
    sys.exit(main())
