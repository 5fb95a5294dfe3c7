"""Plots of reports: every judge's interval per group, and what the injection moved."""

from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from promedical_data.measures.bootstrap import Estimate
from promedical_data.measures.evaluation import Evaluation, Scores
from promedical_data.measures.figures import COLOURS, GRID, INK, new_figure, plain_axes

_ROW_INCHES: Final = 0.16
_GAP: Final = 0.8
"""Rows of space between groups."""
_MARKERS: Final = "osD^vP"


def forest_plot(evaluation: Evaluation, metric: str, *, chance: float | None = None) -> Figure:
    """One metric with its 95 % intervals: groups from top to bottom, in each of them every judge that has it.

    Args:
        evaluation: What was measured.
        metric: The metric's name.
        chance: The value that guessing gets, which is drawn as a line.
    """
    judges = {name: evaluation.scores[name][metric] for name in evaluation.judges(metric)}
    groups = list(dict.fromkeys(group for found in judges.values() for group in found))
    step = len(judges) + _GAP
    figure = new_figure(width=8.6, height=1.1 + _ROW_INCHES * step * len(groups))
    axes = figure.subplots()
    looks = {judge: look for look, judge in enumerate(evaluation.scores)}  # the same in every plot
    for place, (judge, found) in enumerate(judges.items()):
        rows = [(number * step + place, found.get(group)) for number, group in enumerate(groups)]
        _draw_intervals(axes, [(y, e) for y, e in rows if e and e.value is not None], looks[judge], judge)
    for number in range(1, len(groups)):
        axes.axhline(number * step - (1 + _GAP) / 2, color=GRID, linewidth=0.8)
    if chance is not None:
        axes.axvline(chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate("chance", (chance, 1), (3, -9), xycoords=("data", "axes fraction"), textcoords="offset points",
                      fontsize=8, color=INK)  # fmt: skip
    axes.set_yticks([number * step + (len(judges) - 1) / 2 for number in range(len(groups))], groups)
    axes.set_ylim(len(groups) * step - _GAP / 2 - 0.3, -0.9)
    plain_axes(axes, grid="x")
    axes.tick_params(axis="y", labelsize=9)
    figure.legend(frameon=False, ncols=6, loc="outside lower center", fontsize=9, labelcolor=INK)
    return figure


def shift_plot(shift: Scores) -> Figure:
    """How verdicts move when the response claims to meet the criterion, by dimension."""
    figure = new_figure(width=8.6, height=2.9)
    changes, flips = figure.subplots(1, 2, width_ratios=[1, 1.2])
    groups = list(shift["probability_shift"])
    _draw_intervals(changes, _rows(shift["probability_shift"]), 0, None)
    changes.axvline(0, color=INK, linewidth=1)
    changes.set_title("Mean change of the probability of met", loc="left", fontsize=10, color=INK)
    changes.set_yticks(range(len(groups)), groups)
    changes.set_ylim(len(groups) - 0.4, -0.6)
    for place, (name, label) in enumerate((("flipped_to_met", "to met"), ("flipped_to_not_met", "to not met"))):
        values = [each.value or 0.0 for each in shift[name].values()]
        flips.barh(np.arange(len(groups)) + 0.38 * place - 0.19, values, 0.34, color=COLOURS[place], label=label)
    flips.set_title("Share of verdicts that change", loc="left", fontsize=10, color=INK)
    flips.set_yticks(range(len(groups)), [""] * len(groups))
    flips.set_ylim(len(groups) - 0.4, -0.6)
    flips.set_xlim(left=0)
    figure.legend(frameon=False, ncols=2, loc="outside lower right", fontsize=9, labelcolor=INK)
    for axes in (changes, flips):
        plain_axes(axes, grid="x")
    return figure


def _rows(found: Any) -> list[tuple[float, Estimate]]:
    return [(float(place), each) for place, each in enumerate(found.values()) if each.value is not None]


def _draw_intervals(axes: Any, rows: list[tuple[float, Estimate]], look: int, label: str | None) -> None:
    colour = COLOURS[look % len(COLOURS)]
    for y, each in rows:
        if each.low is not None:
            axes.plot([each.low, each.high], [y, y], color=colour, linewidth=2.4, alpha=0.55, solid_capstyle="round")
    marker = _MARKERS[look % len(_MARKERS)]
    axes.scatter(
        [each.value for _, each in rows], [y for y, _ in rows], s=26, color=colour, marker=marker, zorder=3, label=label
    )
