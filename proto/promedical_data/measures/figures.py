"""Plots of quality, as figures of their own: no global state, no display."""

import base64
import io
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import binomtest

from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import DIMENSIONS, HEADLINE, MODEL, OVERALL, Evaluation
from promedical_data.measures.markdown import TITLES
from promedical_data.measures.metrics import BINS, calibration_error

INK: Final = "#37474f"
GRID: Final = "#dfe3e6"
COLOURS: Final = ("#0b6e99", "#f2a541", "#8d99a6", "#7a9e7e", "#b56576", "#c9ada7", "#5e548e", "#3d5a45")
"""The model first, then controls."""
_CHANCE_IS_ONE_HALF: Final = (
    "pair_accuracy",
    "ranked_accuracy",
    "item_accuracy",
    "auc",
    "balanced_accuracy",
    "veto_balanced_accuracy",
)


def reliability_plot(frame: pd.DataFrame) -> Figure:
    """Share of met labels against the probability of met, per dimension, over a histogram of the probabilities.

    A dot per bin of the calibration error, its area by the number of labels, with a 95 % interval.

    Args:
        frame: The table of `predictions.table`. Dimensions without labels are left out.
    """
    frames = {d: frame if d == OVERALL else frame[frame["dimension"] == d] for d in DIMENSIONS}
    shown = {dimension: labels for dimension, labels in frames.items() if len(labels)}
    figure = new_figure(width=2.9 * max(len(shown), 1) + 0.5, height=4.2)
    axes = figure.subplots(2, len(shown), squeeze=False, sharex=True, height_ratios=[3, 1]) if shown else np.array([])
    for column, (dimension, labels) in enumerate(shown.items()):
        _draw_reliability(axes[0, column], dimension, labels)
        _draw_histogram(axes[1, column], labels)
    if shown:
        axes[0, 0].set_ylabel("share of labels met", fontsize=9, color=INK)
        axes[1, 0].set_ylabel("labels", fontsize=9, color=INK)
    figure.supxlabel("probability of met", fontsize=9, color=INK)
    return figure


def accuracy_plot(evaluation: Evaluation, metric: str = HEADLINE) -> Figure:
    """The model's bars beside its controls', per dimension, with 95 % intervals; judges without the metric are absent.

    Args:
        evaluation: What was measured.
        metric: One of the metrics that are shares.
    """
    judges = evaluation.judges(metric)
    dimensions = [d for d in DIMENSIONS if d in evaluation.model[metric]]
    figure = new_figure(width=9, height=4.2)
    axes = figure.subplots()
    for index, judge in enumerate(judges):
        found = [evaluation.scores[judge][metric][dimension] for dimension in dimensions]
        _draw_bars(axes, found, place=(index, len(judges)), label=judge)
    if metric.startswith(_CHANCE_IS_ONE_HALF):
        _draw_chance(axes, len(dimensions))
    axes.set_xticks(range(len(dimensions)), [_with_n(evaluation.model[metric][d], d) for d in dimensions])
    axes.set_ylim(0, 1)
    axes.set_title(TITLES[metric], loc="left", color=INK, fontsize=11)
    figure.legend(frameon=False, ncols=5, loc="outside lower center", fontsize=9, labelcolor=INK)
    return figure


def new_figure(*, width: float, height: float) -> Figure:
    """A figure of its own, in inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def data_url(figure: Figure) -> str:
    """The figure as a data URL; an image of its own, so that ids inside it meet no others."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "promedical"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _draw_reliability(axes: Any, dimension: str, labels: pd.DataFrame) -> None:
    bins = np.minimum((labels["probability"] * BINS).astype(int), BINS - 1)
    points = labels[["probability", "met"]].astype(float).groupby(bins).agg(["mean", "sum", "size"])
    x, met, n = points["probability", "mean"], points["met", "mean"], points["met", "size"]
    low, high = zip(*map(_wilson, points["met", "sum"].astype(int), n), strict=True)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(x, low, high, color=COLOURS[0], linewidth=1.2, alpha=0.6)
    axes.scatter(x, met, s=4 + 90 * n / n.max(), color=COLOURS[0], linewidth=0, zorder=3)
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.set_title(f"{dimension}  (ECE {calibration_error(labels).value:.3f})", loc="left", fontsize=10, color=INK)
    plain_axes(axes, grid="both")


def _wilson(met: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); it takes labels as independent, so it is somewhat too narrow."""
    interval = binomtest(met, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _draw_histogram(axes: Any, labels: pd.DataFrame) -> None:
    axes.hist(labels["probability"], bins=np.linspace(0, 1, BINS + 1).tolist(), color=COLOURS[2], edgecolor="white")
    plain_axes(axes, grid="y")


def _draw_bars(axes: Any, found: Sequence[Estimate], *, place: tuple[int, int], label: str) -> None:
    index, of = place
    width = 0.8 / of
    at = [group - 0.4 + width * (index + 0.5) for group, e in enumerate(found) if e.value is not None]
    drawn = [e for e in found if e.value is not None]
    values = [_number(e.value) for e in drawn]
    colour = COLOURS[index % len(COLOURS)]
    axes.bar(at, values, width * 0.92, color=colour, label=label, zorder=2)
    lows = [value - _number(e.low, value) for e, value in zip(drawn, values, strict=True)]
    highs = [_number(e.high, value) - value for e, value in zip(drawn, values, strict=True)]
    axes.errorbar(at, values, yerr=np.maximum([lows, highs], 0), fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    if label == MODEL:
        for x, value, e in zip(at, values, drawn, strict=True):
            axes.annotate(f"{value:.2f}", (x, _number(e.high, value)), (0, 3), textcoords="offset points",
                          ha="center", fontsize=8, color=INK)  # fmt: skip
    plain_axes(axes, grid="y")


def _draw_chance(axes: Any, groups: int) -> None:
    axes.axhline(0.5, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(-0.5, groups - 0.3)
    axes.annotate("chance", (1, 0.5), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                  ha="right", fontsize=8, color=INK)  # fmt: skip


def _number(value: float | None, otherwise: float = 0.0) -> float:
    return otherwise if value is None else value


def _with_n(estimate: Estimate, dimension: str) -> str:
    return f"{dimension}\nn = {estimate.n}"


def plain_axes(axes: Any, *, grid: str) -> None:
    """Only what helps to read: a light grid, no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
