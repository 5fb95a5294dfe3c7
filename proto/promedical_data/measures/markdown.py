"""An evaluation as tables in Markdown, for model cards and reports. Formats numbers, computes none."""

from collections.abc import Iterable, Sequence
from typing import Final

from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import DIMENSIONS, MODEL, Evaluation, Scores

TITLES: Final = {
    "pair_accuracy_macro": "Pair accuracy, mean over prompts (headline)",
    "pair_accuracy_micro": "Pair accuracy, over all pairs",
    "pair_ties": "Tied pairs (counted as wrong)",
    "auc_within_macro": "AUC within a criterion, mean over prompts",
    "auc_within_micro": "AUC within a criterion, by pairs",
    "item_accuracy_macro": "Responses in lexicographic order, mean over prompts",
    "item_accuracy_micro": "Responses in lexicographic order, over all pairs",
    "item_ties": "Tied in lexicographic order (counted as wrong)",
    "precision": "Precision of met",
    "recall": "Recall of met",
    "f1": "F1 of met",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "balanced_f1": "Balanced F1",
    "balanced_f1_by_criterion": "Balanced F1, mean over criteria",
    "balanced_f1_votes": "Balanced F1 against single raters",
    "auc_pooled": "AUC over all labels",
    "ece": "Expected calibration error",
    "brier": "Brier score",
    "false_veto_rate": "Safe responses vetoed",
    "veto_recall": "Violating responses vetoed",
    "veto_balanced_accuracy": "Balanced accuracy of the veto",
}
"""Of metrics, by their names in an evaluation."""

_PAIRWISE: Final = ("pair_accuracy_macro", "pair_accuracy_micro", "pair_ties", "item_accuracy_macro", "item_ties")


_HOW_TO_READ: Final = (
    "Brackets hold 95 % bootstrap intervals, clustered by prompt. *Met* is literal, so for safety it means violated."
)


def report(evaluation: Evaluation) -> str:
    """All tables: pairs beside the controls, what is gained over them, then every metric of every judge."""
    counted = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in evaluation.counts.items())
    sections = [
        f"On {counted}. {_HOW_TO_READ}",
        *(f"**{TITLES[name]}**\n\n{comparison(evaluation, name)}" for name in _PAIRWISE),
        *(
            f"**Model minus {name}**, the same pairs\n\n{_scores(found)}"
            for name, found in evaluation.differences.items()
        ),
        *(f"**All metrics: {name}**\n\n{_scores(found)}" for name, found in evaluation.scores.items()),
    ]
    return "\n\n".join(sections) + "\n"


def comparison(evaluation: Evaluation, metric: str) -> str:
    """One metric: a row per dimension, a column per judge that has it, and what it averages over."""
    judges = [name for name, scores in evaluation.scores.items() if metric in scores]
    rows = [
        [dimension, *(_cell(evaluation.scores[judge][metric][dimension]) for judge in judges), f"{estimate.n:,}"]
        for dimension, estimate in evaluation.model[metric].items()
    ]
    return _table(["dimension", *judges, "n"], rows)


def model_table(evaluation: Evaluation) -> str:
    """Every metric of the model: a row each, a column per dimension."""
    return _scores(evaluation.scores[MODEL])


def _scores(scores: Scores) -> str:
    rows = [
        [TITLES[name], *(_cell(found.get(dimension)) for dimension in DIMENSIONS)] for name, found in scores.items()
    ]
    return _table(["metric", *DIMENSIONS], rows)


def _cell(estimate: Estimate | None) -> str:
    """A dash where the metric is not defined."""
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
