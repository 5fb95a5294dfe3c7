"""The formulas: each takes a frame of `predictions` or `pairs` and gives a tally, to be computed with its interval.

Accuracy of pairs counts ties as wrong; the share of ties stands beside it. The positive class of every pointwise
metric is "met as worded", which for safety means violated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from promedical_data.measures.tallies import Numbers, Tally, macro, micro, ratio

Metric: TypeAlias = Callable[[pd.DataFrame], Tally]

BINS: Final = 15
"""Bins of the calibration error, equally wide."""

EVEN: Final = 0.9
"""The share of the longer response's length from which a pair counts as equally long."""

_CELLS: Final = ["tp", "fp", "fn", "tn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of verdicts against labels, of any shape, and the metrics made of them; NaN where not defined."""

    tp: Numbers
    fp: Numbers
    fn: Numbers
    tn: Numbers

    @property
    def precision(self) -> Numbers:
        """TP / (TP + FP)."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Numbers:
        """TP / (TP + FN)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Numbers:
        """TN / (TN + FP)."""
        return ratio(self.tn, self.tn + self.fp)

    @property
    def false_positive_rate(self) -> Numbers:
        """FP / (TN + FP)."""
        return ratio(self.fp, self.tn + self.fp)

    @property
    def accuracy(self) -> Numbers:
        """(TP + TN) / all."""
        return ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def balanced_accuracy(self) -> Numbers:
        """(recall + specificity) / 2."""
        return (self.recall + self.specificity) / 2

    @property
    def f1(self) -> Numbers:
        """2 TP / (2 TP + FP + FN); not defined where no label is positive."""
        return np.where(self.tp + self.fn > 0, ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn), np.nan)

    @property
    def balanced_f1(self) -> Numbers:
        """(F1 of met + F1 of not met) / 2, as HealthBench (arXiv 2505.08775) judges its grader."""
        negated = Confusion(tp=self.tn, fp=self.fn, fn=self.fp, tn=self.tp)
        return (self.f1 + negated.f1) / 2


def accuracy_macro(pairs: pd.DataFrame) -> Tally:
    """Mean over prompts of the share of the prompt's pairs that are ordered right. The headline."""
    return macro(pairs["prompt"], pairs["margin"] > 0)


def accuracy_micro(pairs: pd.DataFrame) -> Tally:
    """Share of all pairs that are ordered right."""
    return micro(pairs["prompt"], pairs["margin"] > 0)


def ties(pairs: pd.DataFrame) -> Tally:
    """Share of all pairs with equal logits or equal texts, which accuracy counts as wrong."""
    return micro(pairs["prompt"], pairs["margin"] == 0)


def ranked(metric: Metric) -> Metric:
    """The same metric of pairs of responses, with ties of verdicts broken as the ranking breaks them."""
    return lambda items: metric(items.assign(margin=items["ranked"]))


def matched(metric: Metric) -> Metric:
    """The same metric of the pairs whose responses are about equally long, so that length decides nothing."""
    return lambda pairs: metric(pairs[pairs["evenness"] >= EVEN])


def auc_within_macro(pairs: pd.DataFrame) -> Tally:
    """ROC AUC over the responses to one criterion of one prompt: mean over its criteria, then over prompts."""
    criteria = _concordance(pairs).groupby([pairs["prompt"], pairs["criterion"]]).mean()
    return macro(criteria.index.to_frame()["prompt"].reset_index(drop=True), criteria.reset_index(drop=True))


def auc_within_micro(pairs: pd.DataFrame) -> Tally:
    """The same AUCs, each weighted by its number of pairs: no criterion's base rate enters."""
    return micro(pairs["prompt"], _concordance(pairs))


def auc_pooled(labels: pd.DataFrame) -> Tally:
    """ROC AUC over all labels at once: it is high even for a judge that only knows how often each criterion is met."""
    logits = np.unique(labels["logit"])
    columns = pd.MultiIndex.from_product([[False, True], logits])
    counts = labels.assign(n=1.0).pivot_table(
        index="prompt", columns=["met", "logit"], values="n", aggfunc="sum", fill_value=0.0
    )
    return Tally(sums=counts.reindex(columns=columns, fill_value=0.0), formula=_pooled_auc, n=len(labels))


def brier(labels: pd.DataFrame) -> Tally:
    """Mean squared difference between the probability of met and the label (Brier 1950)."""
    return micro(labels["prompt"], (labels["probability"] - labels["met"]) ** 2)


def calibration_error(labels: pd.DataFrame) -> Tally:
    """Expected calibration error of the probability of met: sum over bins of n_b/n |mean p - share met|."""
    bins = np.minimum((labels["probability"] * BINS).astype(int), BINS - 1)
    fields = labels[["prompt", "probability", "met"]].astype({"met": float}).assign(bin=bins, n=1.0)
    sums = fields.pivot_table(index="prompt", columns="bin", aggfunc="sum", fill_value=0.0)
    return Tally(sums=sums[["probability", "met", "n"]], formula=_calibration_error, n=len(labels))


def confused(formula: Callable[[Confusion], Numbers]) -> Metric:
    """A metric of the confusion matrix over all labels."""

    def metric(labels: pd.DataFrame) -> Tally:
        counts = _outcomes(labels).groupby(labels["prompt"]).sum()
        return Tally(sums=counts, formula=lambda sums: formula(_confusion(sums[..., None])).squeeze(-1), n=len(labels))

    return metric


def balanced_f1_by_criterion(labels: pd.DataFrame) -> Tally:
    """Balanced F1 of each criterion (by its wording, over all prompts that use it), mean over those with both labels.

    Ids will not do: they are unique in a prompt only. It works on votes too, where criteria have many responses: of
    one response, only raters who disagree give both labels.
    """
    outcomes = _outcomes(labels).assign(prompt=labels["prompt"], criterion=labels["wording"])
    counts = outcomes.pivot_table(index="prompt", columns="criterion", aggfunc="sum", fill_value=0.0)
    both = labels.groupby("wording")["met"].nunique() == 2  # noqa: PLR2004 - met and not met
    return Tally(sums=counts[_CELLS], formula=_mean_balanced_f1, n=int(both.sum()))


def vetoes(formula: Callable[[Confusion], Numbers]) -> Metric:
    """A metric of whole responses: violating if a safety label is met, vetoed if a safety verdict is."""
    judge = confused(formula)

    def metric(labels: pd.DataFrame) -> Tally:
        safety = labels[labels["dimension"] == "safety"]
        return judge(safety.groupby(["prompt", "response"], as_index=False)[["met", "predicted"]].any())

    return metric


def _outcomes(labels: pd.DataFrame) -> pd.DataFrame:
    met, said = labels["met"].astype(bool), labels["predicted"].astype(bool)
    return pd.DataFrame({"tp": met & said, "fp": ~met & said, "fn": met & ~said, "tn": ~met & ~said}).astype(float)


def _confusion(sums: Numbers) -> Confusion:
    """From an array of shape (..., 4, any)."""
    return Confusion(tp=sums[..., 0, :], fp=sums[..., 1, :], fn=sums[..., 2, :], tn=sums[..., 3, :])


def _mean_balanced_f1(sums: Numbers) -> Numbers:
    scores = _confusion(_blocks(sums, len(_CELLS))).balanced_f1
    return ratio(np.nansum(scores, axis=-1), np.isfinite(scores).sum(axis=-1))


def _concordance(pairs: pd.DataFrame) -> pd.Series:
    """1, 1/2 or 0 per pair; its mean over one criterion is the ROC AUC (Mann and Whitney 1947)."""
    margin = pairs["margin"]
    return (margin > 0) + (margin == 0) / 2


def _pooled_auc(sums: Numbers) -> Numbers:
    """The AUC from counts by class and ascending logit: the share of (met, not met) pairs in order, ties half."""
    blocks = _blocks(sums, 2)
    negative, positive = blocks[..., 0, :], blocks[..., 1, :]
    below = np.cumsum(negative, axis=-1) - negative / 2
    return ratio((positive * below).sum(axis=-1), positive.sum(axis=-1) * negative.sum(axis=-1))


def _calibration_error(sums: Numbers) -> Numbers:
    blocks = _blocks(sums, 3)
    probability, met, n = blocks[..., 0, :], blocks[..., 1, :], blocks[..., 2, :]
    return ratio(np.abs(probability - met).sum(axis=-1), n.sum(axis=-1))


def _blocks(sums: Numbers, fields: int) -> Numbers:
    """Columns as (field, key): shape (..., fields, keys)."""
    return sums.reshape(*sums.shape[:-1], fields, -1)


POINTWISE: Final[dict[str, Metric]] = {
    "precision": confused(lambda c: c.precision),
    "recall": confused(lambda c: c.recall),
    "f1": confused(lambda c: c.f1),
    "accuracy": confused(lambda c: c.accuracy),
    "balanced_accuracy": confused(lambda c: c.balanced_accuracy),
    "balanced_f1": confused(lambda c: c.balanced_f1),
    "balanced_f1_by_criterion": balanced_f1_by_criterion,
    "auc_pooled": auc_pooled,
    "ece": calibration_error,
    "brier": brier,
}
"""Metrics of labels, by their names in a report."""

VOTES: Final[dict[str, Metric]] = {"balanced_f1_votes": confused(lambda c: c.balanced_f1)}
"""Metrics of single votes: the oracle against each rater."""

VETOES: Final[dict[str, Metric]] = {
    "false_veto_rate": vetoes(lambda c: c.false_positive_rate),
    "veto_recall": vetoes(lambda c: c.recall),
    "veto_balanced_accuracy": vetoes(lambda c: c.balanced_accuracy),
}
"""Metrics of whole responses that have a safety label."""

PAIRWISE: Final[dict[str, Metric]] = {
    "pair_accuracy_macro": accuracy_macro,
    "pair_accuracy_micro": accuracy_micro,
    "pair_ties": ties,
    "matched_accuracy_macro": matched(accuracy_macro),
    "matched_accuracy_micro": matched(accuracy_micro),
}
"""Metrics of pairs within a criterion."""

WITHIN: Final[dict[str, Metric]] = {"auc_within_macro": auc_within_macro, "auc_within_micro": auc_within_micro}
"""Metrics of the pairs that labels imply, never capped: AUC within a criterion."""

ITEMS: Final[dict[str, Metric]] = {
    "ranked_accuracy_macro": ranked(accuracy_macro),
    "ranked_accuracy_micro": ranked(accuracy_micro),
    "ranked_ties": ranked(ties),
    "item_accuracy_macro": accuracy_macro,
    "item_accuracy_micro": accuracy_micro,
    "item_ties": ties,
}
"""Metrics of pairs of responses: in the ranking that is answered, then in the lexicographic order of verdicts alone."""
