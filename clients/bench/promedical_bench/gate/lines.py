"""One line of the gate: what was measured, what it must be, and whether it is. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from promedical_data.measures.bootstrap import Estimate

Rule = Literal["at least", "at most", "below", "above", "interval above"]


class Outcome(StrEnum):
    """What a line comes to."""

    HELD = "pass"
    MISSED = "miss"
    REPORTED = "reported"
    UNMEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line.

    Attributes:
        name: What is measured.
        found: The value with its interval.
        rule: How the value, or the lower end of its interval, must stand to the target; None: it is only reported.
        target: What it must be.
    """

    name: str
    found: Estimate
    rule: Rule | None = None
    target: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """Whether the line holds. The issue that set the targets asks for the value, except where it says interval."""
        value = self.found.low if self.rule == "interval above" else self.found.value
        if value is None:
            return Outcome.UNMEASURED
        match self.rule:
            case None:
                return Outcome.REPORTED
            case "at least":
                held = value >= self.target
            case "at most":
                held = value <= self.target
            case "below":
                held = value < self.target
            case "above" | "interval above":
                held = value > self.target
        return Outcome.HELD if held else Outcome.MISSED

    @property
    def holds(self) -> bool:
        """Whether it is no reason to stop: what has a target must meet it, and what was not measured does not."""
        return self.rule is None or self.outcome is Outcome.HELD

    @property
    def wanted(self) -> str:
        """The rule in words."""
        return "" if self.rule is None else f"{self.rule} {self.target:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The lines of one kind of data.

    Attributes:
        lines: Its lines.
        prompts: How many prompts they rest on.
        limited: Whether these are a part of the data only.
    """

    lines: tuple[Line, ...]
    prompts: int
    limited: bool = False
