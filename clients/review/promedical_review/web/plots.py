"""Numbers with their intervals as the marks of an SVG, which the page's own style draws in light and in dark. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 300
_LEFT: Final = 14
_RIGHT: Final = 286
_ROW: Final = 44
_LINE: Final = 32
_TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its ends, as a line of a plot."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Mark:
    """An interval where it is drawn."""

    label: str
    y: float
    x: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of intervals, one below the other.

    Attributes:
        title: What it shows.
        width: In the units of the drawing, as all places.
        height: The same.
        marks: The intervals.
        ticks: The places of the axis, with what stands there.
    """

    title: str
    width: int
    height: int
    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]


def interval_plot(title: str, intervals: Sequence[Interval]) -> Plot:
    """A plot from 0, or from the lowest end below it, to 1."""
    least = min([0.0, *(each.low for each in intervals)])

    def place(value: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (value - least) / (1 - least), 1)

    marks = [
        Mark(each.label, _ROW * n + _LINE, place(each.value), place(each.low), place(each.high))
        for n, each in enumerate(intervals)
    ]
    ticks = [(place(tick), f"{tick:g}") for tick in _TICKS]
    return Plot(title=title, width=_WIDTH, height=_ROW * len(marks) + 24, marks=marks, ticks=ticks)
