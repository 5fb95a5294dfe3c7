"""Generated parts about quality, from committed results: the default model, the ablations, the run of GRPO."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.docs.tables import table

RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "results"
DEFAULT: Final = RESULTS / "default-model.json"
GRPO: Final = RESULTS / "grpo-reference" / "summary.md"
ABLATIONS: Final = RESULTS / "ablations.json"
DIMENSIONS: Final = ("overall", "proficiency", "excellence", "safety")
BRIEF: Final = {"model": "default model", "longer answer": "longer answer wins", "untrained": "untrained base"}
DIFFERENCES: Final = (
    "The next table shows the difference from the whole recipe, paired by prompt; it is bold where the interval is on "
    "one side of 0."
)
NO_DEFAULT: Final = (
    "No adapter is shipped yet: `default` is the base alone, an untrained judge with verdicts at chance.\n"
)


def quality_table() -> str:
    """The default model beside its controls, from the committed evaluation: on test, or on dev while that is unread."""
    if not DEFAULT.is_file():
        return NO_DEFAULT
    measured = json.loads(DEFAULT.read_text(encoding="utf-8"))
    split = "test" if "test" in measured else "dev"
    judges, counts = measured[split]["scores"], measured[split]["counts"]
    rows = [
        f"| {judge} | " + " | ".join(_estimate(scores["pair_accuracy_macro"][each]) for each in DIMENSIONS) + " |"
        for judge, scores in judges.items()
        if "pair_accuracy_macro" in scores
    ]
    note = (
        f"Share of response pairs that a judge orders correctly per criterion: the mean over the {counts['prompts']} "
        f"prompts of the {split} split ({counts['pairs']:,} pairs; 95 % bootstrap intervals by prompt; ties count as "
        "wrong)." + ("" if split == "test" else " The test split has not been looked at yet.") + "\n\n"
    )
    return note + table(f"| judge | {' | '.join(DIMENSIONS)} |", rows) + "\n" + _verdicts(measured, split)


def quality_brief() -> str:
    """The same in one small table without intervals."""
    if not DEFAULT.is_file():
        return NO_DEFAULT
    measured = json.loads(DEFAULT.read_text(encoding="utf-8"))
    split = "test" if "test" in measured else "dev"
    judges, counts = measured[split]["scores"], measured[split]["counts"]
    rows = [
        f"| {name} | "
        + " | ".join(f"{judges[judge]['pair_accuracy_macro'][each]['value']:.2f}" for each in DIMENSIONS)
        + " |"
        for judge, name in BRIEF.items()
    ]
    note = (
        f"For each criterion, the share of response pairs that are ranked correctly, on {counts['prompts']} "
        f"held-out prompts ([intervals](docs/models.md#how-good-it-is)):\n\n"
    )
    return note + table(f"| | {' | '.join(DIMENSIONS)} |", rows) + "\n" + _verdicts_in_brief(measured, split)


def item_accuracy(judge: Mapping[str, Any]) -> tuple[str, str]:
    """The metric of whole responses, and how they were ordered; older evaluations know only verdicts."""
    ranked = "ranked_accuracy_macro"
    return (ranked, "as ranked") if ranked in judge else ("item_accuracy_macro", "by verdicts alone")


def _verdicts_in_brief(measured: Mapping[str, Any], split: str) -> str:
    metric, order = item_accuracy(measured[split]["scores"]["model"])
    ranked, longer = (_percent(measured, split, judge, metric, "overall") for judge in ("model", "longer answer"))
    found = _percent(measured, split, "model", "veto_recall", "safety")
    wrong = _percent(measured, split, "model", "false_veto_rate", "safety")
    return (
        f"The default model vetoes {found} of the unsafe responses and {wrong} of the safe ones. By all criteria "
        f"together, {order}, {ranked} of the pairs are in the right order, and ties count as wrong (the longer "
        f"answer: {longer}).\n"
    )


def _percent(measured: Mapping[str, Any], split: str, judge: str, metric: str, part: str) -> str:
    return f"{100 * measured[split]['scores'][judge][metric][part]['value']:.0f} %"


def _verdicts(measured: Mapping[str, Any], split: str) -> str:
    """What the verdicts come to: vetoes, and the order of whole responses."""
    vetoes = [
        f"on {on} it vetoes {_percent(measured, on, 'model', 'false_veto_rate', 'safety')} of the safe responses and "
        f"{_percent(measured, on, 'model', 'veto_recall', 'safety')} of the violating ones"
        for on in dict.fromkeys(("dev", split))
    ]
    metric, order = item_accuracy(measured[split]["scores"]["model"])
    ranked, longer = (_percent(measured, split, judge, metric, "overall") for judge in ("model", "longer answer"))
    return (
        f"{'; '.join(vetoes).capitalize()}. When whole responses are compared by vetoes, then proficiency, then "
        f"excellence, {order}, it puts {ranked} of the pairs in the right order, with ties counted as wrong; the "
        f"longer answer puts {longer} in the right order.\n"
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
        DIFFERENCES,
        _by_variant(measured["over_whole"], marked=True),
        "The last table shows the share of responses that are vetoed, with each model's own calibration on dev.",
        _vetoes_by_variant(measured["vetoes"]),
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _learnt_from(facts: Mapping[str, Any]) -> str:
    """What the whole recipe learnt from; nothing if it could not be calibrated, since its folder then does not say."""
    if not facts:
        return ""
    return (
        f"The whole recipe learnt from {facts['pairs']:,} pairs of {facts['prompts']:,} prompts in {facts['steps']:,} "
        f"steps, {facts['seconds'] / 60:.0f} minutes. "
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
    return table("| trained | violating responses vetoed | safe responses vetoed |", rows)


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
