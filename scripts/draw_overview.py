"""Draw docs/overview.svg, the picture of README.md: who asks, the token tree, and how scores become a reward."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "overview.svg"
BLUE, GREEN, AMBER, RED, GREY, WHITE = "#dbe9f6", "#dff0d8", "#fdf0d0", "#f8d7d4", "#eeeeee", "#ffffff"
EDGE: Final = "#4a5560"

Box = tuple[float, float, float, float]


def box(axes: Axes, place: Box, text: str, colour: str, size: float = 9) -> Box:
    """A rounded box at (x, y, width, height) with text."""
    x, y, width, height = place
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.12", fc=colour, ec=EDGE, lw=1)
    axes.add_patch(shape)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, color="#1c2733")
    return place


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str = "") -> None:
    """An arrow with a label above its middle."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": EDGE, "lw": 1.2})
    if label:
        axes.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.12, label, ha="center", fontsize=7.5, color=EDGE)


def right(place: Box, share: float = 0.5) -> tuple[float, float]:
    """A point on the right edge."""
    return place[0] + place[2], place[1] + place[3] * share


def left(place: Box, share: float = 0.5) -> tuple[float, float]:
    """A point on the left edge."""
    return place[0], place[1] + place[3] * share


def callers(axes: Axes, service: Box) -> None:
    """Who asks, on the left."""
    for y, text, wire in ((4.35, "RL trainers", "gRPC"), (2.95, "product teams", "REST"), (1.55, "bench, CLI", "SDK")):
        arrow(axes, right(box(axes, (0.1, y, 1.7, 0.8), text, BLUE)), (service[0], y + 0.4), wire)


def tree(axes: Axes) -> Sequence[Box]:
    """The token tree inside the service; returns the leaves' boxes."""
    prompt = box(axes, (3.15, 2.75, 1.15, 0.9), "prompt", WHITE)
    leaves = []
    for row, y in enumerate((4.3, 2.9, 1.5)):
        response = box(axes, (4.85, y, 1.35, 0.6), f"response {row + 1}", WHITE)
        arrow(axes, right(prompt), left(response))
        for column, (name, colour) in enumerate((("proficiency", GREEN), ("excellence", AMBER), ("safety", RED))):
            leaf = box(axes, (6.75, y + 0.62 - 0.4 * column, 1.35, 0.34), name, colour, 7.5)
            arrow(axes, right(response), left(leaf))
            leaves.append(leaf)
    return leaves


def outcome(axes: Axes, service: Box) -> None:
    """What comes back, on the right."""
    steps = (
        (4.25, "probability per criterion\nmet / not met", GREY),
        (3.05, "S1 weighted share met\nS2 bonuses met\nS3 violations", GREY),
        (1.85, r"reward = clip(S1 + $\alpha$ S2, 0, 1+$\beta$) - $\lambda$ S3", GREY),
        (0.85, "ranking: S3, then S1, then S2", GREY),
    )
    places = [box(axes, (9.15, y, 2.95, 0.95 if "\n" in text else 0.65), text, colour, 8) for y, text, colour in steps]
    arrow(axes, right(service, 0.78), left(places[0]))
    for upper, lower in pairwise(places):
        arrow(axes, (10.6, upper[1]), (10.6, lower[1] + lower[3]))


def main() -> None:
    """Write the picture."""
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "promedical", "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(figsize=(12.3, 5.9))
    axes.set(xlim=(0, 12.2), ylim=(0.3, 6.0))
    axes.axis("off")
    service = box(axes, (2.85, 0.75, 5.6, 4.9), "", "#f7f9fb")
    axes.text(5.65, 5.35, "promedical-serve: every shared token is computed once", ha="center", fontsize=9.5)
    axes.text(5.65, 0.95, "one GPU or CPU, two lanes, a batch whenever the engine is free", ha="center", fontsize=8)
    callers(axes, service)
    tree(axes)
    outcome(axes, service)
    figure.savefig(TARGET, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
