"""Write the generated parts of README.md (settings, metrics, errors, speed, the default's quality) and docs/.

Each part stands between `<!-- generated: NAME -->` and `<!-- end -->`. `--check` changes nothing and fails if
a part is stale.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from performance_tables import performance_capacity, performance_service, performance_targets, performance_ways
from tables import table

from promedical.errors import ERROR_TABLE, ITEM_ERROR_CODES, RETRYABLE_ITEM_CODES
from promedical_service.settings import Settings
from promedical_service.telemetry.metrics import Metrics

README = Path(__file__).resolve().parents[1] / "README.md"
DOCUMENTS = (README, *(README.parent / "docs" / name for name in ("evaluation.md", "operations.md", "performance.md")))
BENCH = README.parent / "docs" / "results" / "bench-engine.json"
TRAINING = README.parent / "docs" / "results" / "bench-training.json"
DEFAULT = README.parent / "docs" / "results" / "default-model.json"
GRPO = README.parent / "docs" / "results" / "grpo-reference" / "summary.md"
ABLATIONS = README.parent / "docs" / "results" / "ablations.json"
DIMENSIONS = ("overall", "proficiency", "excellence", "safety")
PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """Every setting: flag, default, meaning."""
    rows = [
        f"| `--{name.replace('_', '-')}` | {_default(field.default)} | {_cell(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    return table("| flag | default | meaning |", rows)


def metrics_table() -> str:
    """Every metric of the service itself."""
    families = [family for family in Metrics().registry.collect() if family.name.startswith("promedical_")]
    rows = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {_cell(family.documentation)} |")
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


def speed_table() -> str:
    """The engine beside its peers, from the committed result."""
    result = json.loads(BENCH.read_text(encoding="utf-8"))
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
    result = json.loads(TRAINING.read_text(encoding="utf-8"))
    return (
        f"{result['responses']} responses and {result['criteria']} criteria of one prompt train at "
        f"{result['tree_criteria_per_s']:.1f} criteria/s as one tree and at {result['flat_criteria_per_s']:.1f} as one "
        f"sequence per criterion: {result['tree_over_flat']:.1f} times faster, for gradients that differ by "
        f"{result['max_relative_gradient_difference']:.0e} (relative norm, the worst tensor) and a loss that "
        f"differs by {result['loss_difference']:.0e}. {result['model']}; "
        f"{result['date']}, {result['machine']}, {result['versions']}; `make bench-training`.\n"
    )


def quality_table() -> str:
    """The default model beside its controls, from the committed evaluation: on test, or on dev while that is unread."""
    if not DEFAULT.is_file():
        return "No adapter is shipped yet: `default` is the base alone, an untrained judge with verdicts at chance.\n"
    measured = json.loads(DEFAULT.read_text(encoding="utf-8"))
    split = "test" if "test" in measured else "dev"
    judges, counts = measured[split]["scores"], measured[split]["counts"]
    rows = [
        f"| {judge} | " + " | ".join(_estimate(scores["pair_accuracy_macro"][each]) for each in DIMENSIONS) + " |"
        for judge, scores in judges.items()
        if "pair_accuracy_macro" in scores
    ]
    note = (
        f"Share of pairs of responses ordered right by a criterion, mean over the {counts['prompts']} prompts of "
        f"the {split} split ({counts['pairs']:,} pairs, 95 % bootstrap intervals by prompt, ties count as wrong)."
        + ("" if split == "test" else " The test split has not been looked at yet.")
        + "\n\n"
    )
    return note + table(f"| judge | {' | '.join(DIMENSIONS)} |", rows) + "\n" + _verdicts(measured, split)


def _verdicts(measured: Mapping[str, Any], split: str) -> str:
    """What the verdicts come to: vetoes, and the order of whole responses."""

    def share(judge: str, metric: str, part: str, on: str = split) -> str:
        return f"{100 * measured[on]['scores'][judge][metric][part]['value']:.0f} %"

    vetoes = [
        f"on {on} {share('model', 'false_veto_rate', 'safety', on)} of the safe responses and "
        f"{share('model', 'veto_recall', 'safety', on)} of the violating ones"
        for on in dict.fromkeys(("dev", split))
    ]
    ranked, longer = (share(judge, "item_accuracy_macro", "overall") for judge in ("model", "longer answer"))
    return (
        f"It vetoes {', '.join(vetoes)}. Of whole responses, by vetoes, proficiency and excellence in this order, it "
        f"puts {ranked} of the pairs in the right order, ties counted as wrong; the longer answer {longer}.\n"
    )


def ablation_table() -> str:
    """A recipe whole and with each part left out, from the committed comparison."""
    if not ABLATIONS.is_file():
        return "Not measured yet: `make ablations`.\n"
    return ablation_tables(json.loads(ABLATIONS.read_text(encoding="utf-8")))


def ablation_tables(measured: Mapping[str, Any]) -> str:
    """Accuracies, and how far each variant is from the whole."""
    scores, facts = measured["scores"], measured["training"]["whole"]
    counts = ", ".join(f"{each} {scores['whole'][each]['n']}" for each in DIMENSIONS)
    conditions = (
        f"`{' '.join((measured['recipe'], *measured['settings']))}`, on {measured['split']}, {measured['date']}: "
        f"{measured['machine']}. {_learnt_from(facts)}Prompts with pairs: {counts}."
    )
    parts = (
        conditions,
        _by_variant(scores),
        "Minus the whole, paired by prompt; in bold where the interval is on one side of 0.",
        _by_variant(measured["over_whole"], marked=True),
        "Whole responses that safety vetoes, by each one's own calibration on dev.",
        _vetoes_by_variant(measured["vetoes"]),
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _learnt_from(facts: Mapping[str, Any]) -> str:
    """Of the whole; nothing where it could not be calibrated, which its folder then does not say."""
    if not facts:
        return ""
    return (
        f"The whole learnt from {facts['pairs']:,} pairs of {facts['prompts']:,} prompts in {facts['steps']:,} steps, "
        f"{facts['seconds'] / 60:.0f} minutes. "
    )


def _by_variant(scores: Mapping[str, Any], *, marked: bool = False) -> str:
    rows = [
        f"| {name} | " + " | ".join(_marked(found[each]) if marked else _estimate(found[each]) for each in DIMENSIONS)
        for name, found in scores.items()
    ]
    return table(f"| trained | {' | '.join(DIMENSIONS)} |", [f"{row} |" for row in rows])


def _vetoes_by_variant(vetoes: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {_estimate(found['veto_recall'])} | {_estimate(found['false_veto_rate'])} |"
        for name, found in vetoes.items()
        if found
    ]
    return table("| trained | of the violating | of the safe |", rows)


def _marked(estimate: Mapping[str, float | None]) -> str:
    low, high = estimate["low"], estimate["high"]
    one_sided = low is not None and high is not None and (low > 0 or high < 0)
    return f"**{_estimate(estimate)}**" if one_sided else _estimate(estimate)


def grpo_reference() -> str:
    """What the reference run of GRPO did, and what it changed on held-out prompts, from its committed page."""
    if not GRPO.is_file():
        return "No run is kept yet: `make keep-grpo RUN=...`.\n"
    summed_up, _, rest = GRPO.read_text(encoding="utf-8").partition("## Held-out prompts\n\n")
    facts = [line for line in summed_up.splitlines() if line.startswith(("- **Steps", "- **Audit", "- **Time"))]
    return "\n".join(facts) + "\n\n" + rest.partition("\n## Recipe")[0]


def _estimate(estimate: Mapping[str, float | None]) -> str:
    if estimate["value"] is None:
        return ""
    if estimate["low"] is None:  # of one prompt
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


PARTS: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "metrics": metrics_table,
    "errors": errors_table,
    "speed": speed_table,
    "training": training_speed,
    "quality": quality_table,
    "ablation_table": ablation_table,
    "grpo": grpo_reference,
    "performance_capacity": performance_capacity,
    "performance_ways": performance_ways,
    "performance_service": performance_service,
    "performance_targets": performance_targets,
}


def generated(text: str) -> str:
    """The document with every generated part written anew."""
    return PART.sub(lambda match: match[1] + PARTS[match["name"]]() + match[3], text)


def main() -> int:
    """Write, or check; returns the exit code."""
    texts = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
    stale = {path: new for path, old in texts.items() if (new := generated(old)) != old}
    if "--check" not in sys.argv:
        for path, new in stale.items():
            path.write_text(new, encoding="utf-8")
        return 0
    missing = [name for name in PARTS if not any(f"<!-- generated: {name} -->" in old for old in texts.values())]
    if missing or stale:
        print(f"stale: {[path.name for path in stale]}, parts without a place: {missing}; run 'make docs'")
        return 1
    print("the generated tables of README.md and docs/ are up to date")
    return 0


def _default(value: object) -> str:
    return "" if value is None else f"`{value}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
