"""An evaluation as tables in Markdown, for model cards and reports. Formats numbers, computes none."""

from collections.abc import Sequence
from typing import Final

from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import DIMENSIONS, Evaluation
from promedical_data.measures.slices import Slice
from promedical_data.pages import page

TITLES: Final = {
    "pair_accuracy_macro": "Pair accuracy, mean over prompts (headline)",
    "pair_accuracy_micro": "Pair accuracy, over all pairs",
    "pair_ties": "Tied pairs (counted as wrong)",
    "matched_accuracy_macro": "Pair accuracy where lengths match, mean over prompts",
    "matched_accuracy_micro": "Pair accuracy where lengths match, over all pairs",
    "auc_within_macro": "AUC within a criterion, mean over prompts",
    "auc_within_micro": "AUC within a criterion, by pairs",
    "ranked_accuracy_macro": "Responses as ranked, mean over prompts",
    "ranked_accuracy_micro": "Responses as ranked, over all pairs",
    "ranked_ties": "Tied as ranked (counted as wrong)",
    "item_accuracy_macro": "Responses in lexicographic order of verdicts, mean over prompts",
    "item_accuracy_micro": "Responses in lexicographic order of verdicts, over all pairs",
    "item_ties": "Tied in lexicographic order of verdicts (counted as wrong)",
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
"""Titles of metrics, by their names in an evaluation."""

_PAIRWISE: Final = (
    "pair_accuracy_macro",
    "pair_accuracy_micro",
    "pair_ties",
    "matched_accuracy_macro",
    "ranked_accuracy_macro",
    "ranked_ties",
    "item_accuracy_macro",
    "item_ties",
)


def report(evaluation: Evaluation) -> str:
    """All tables: pairs beside the controls, what is gained over them, then every metric of every judge."""
    return page(
        "promedical_data.measures",
        "evaluation.md.j2",
        evaluation=evaluation,
        pairwise=_PAIRWISE,
        dimensions=DIMENSIONS,
        titles=TITLES,
        cell=cell,
    )


def slice_table(found: Sequence[Slice]) -> str:
    """One row a slice."""
    return page("promedical_data.measures", "slices.md.j2", slices=found)


def cell(estimate: Estimate | None) -> str:
    """A number with its interval; a dash where the metric is not defined."""
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
