"""The plot of docs/performance.md: scores per second of every way, as bars."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from promedical_data.measures.figures import COLOURS, INK, new_figure, plain_axes


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Write the plot of a result of `make performance` as SVG."""
    ways = result["ways"]
    figure = new_figure(width=8.6, height=0.9 + 0.36 * len(ways))
    axes = figure.subplots()
    names, values = [way["name"] for way in ways], [way["scores_per_s"] for way in ways]
    colours = [COLOURS[0] if name.startswith("promedical") else "#c9ced6" for name in names]
    bars = axes.barh(names, values, 0.62, color=colours)
    axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=4, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("criterion scores per second", color=INK)
    plain_axes(axes, grid="x")
    with mpl.rc_context({"svg.hashsalt": "promedical"}):
        figure.savefig(path, metadata={"Date": None})
