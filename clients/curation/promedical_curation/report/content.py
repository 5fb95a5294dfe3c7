"""What a report says, before it is HTML: tables of text with bars, examples, notes."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar beside a line of a table, on a scale from 0 to 1.

    Attributes:
        high: Where it ends.
        low: Where it starts.
        dot: A mark on it, for the value of an interval.
    """

    high: float
    low: float = 0.0
    dot: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a table: the first cell names, the others are numbers."""

    cells: tuple[str, ...]
    bar: Bar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines under a title."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str = ""

    @property
    def has_bars(self) -> bool:
        """Whether any line has a bar."""
        return any(line.bar is not None for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A row near a threshold.

    Attributes:
        id: The row's id, which `show` takes.
        decision: What was decided, and how near it was.
        texts: Named texts of the row.
    """

    id: str
    decision: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Rows near one threshold."""

    title: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rows come from, and whom to name."""

    name: str
    title: str
    licence: str
    credit: str
    url: str
    rows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All of a report."""

    title: str
    subtitle: str
    warnings: tuple[str, ...]
    tiles: tuple[tuple[str, str, str], ...]
    tables: tuple[Table, ...]
    examples: tuple[Examples, ...]
    sources: tuple[Source, ...]
    facts: tuple[tuple[str, str], ...]


def share(part: float, whole: float) -> str:
    """A part as a percentage; a dash where there is no whole."""
    return f"{part / whole:.1%}" if whole else "-"
