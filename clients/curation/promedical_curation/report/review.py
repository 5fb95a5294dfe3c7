"""What the rounds of review say of all rubrics: the strict pass rate with its interval."""

from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from promedical_curation.errors import CurationError
from promedical_curation.report.content import Bar, Line, Table
from promedical_curation.report.run_view import RunView

FOLDER: Final = "rounds"
ESTIMATE: Final = "estimate.json"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The strict pass rate."""

    value: float
    low: float
    high: float
    decided: int


@dataclass(frozen=True, kw_only=True)
class RoundEstimate:
    """What the decisions of a round say.

    Attributes:
        round: The round's name.
        level: The level of the interval.
        estimate: None as long as nothing was decided.
    """

    round: str
    level: float
    estimate: Estimate | None = None


def estimates(run: RunView) -> dict[int, RoundEstimate | None]:
    """By number, what the rounds of a run say; None for one that has no decisions.

    Raises:
        CurationError: A file is broken.
    """
    folder = run.path / FOLDER
    numbers = sorted(int(each.name) for each in folder.iterdir() if each.name.isdecimal()) if folder.is_dir() else []
    return {number: _read(folder / str(number) / ESTIMATE) for number in numbers}


def pass_rates(found: dict[int, RoundEstimate | None]) -> Table | None:
    """The rounds as a table; None if there are none."""
    if not found:
        return None
    levels = sorted({f"{each.level:.0%}" for each in found.values() if each is not None})
    return Table(
        title="Rubrics that physicians accept without an edit",
        columns=("round", "decided", "strict pass rate", "interval"),
        lines=tuple(_line(number, each.estimate if each else None) for number, each in found.items()),
        note=f"Estimated for all rubrics, with intervals of {', '.join(levels)}." if levels else "",
    )


def _line(number: int, found: Estimate | None) -> Line:
    if found is None:
        return Line(cells=(str(number), "0", "-", "-"))
    cells = (str(number), f"{found.decided:,}", f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}")
    return Line(cells=cells, bar=Bar(low=found.low, high=found.high, dot=found.value))


def _read(path: Path) -> RoundEstimate | None:
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise CurationError(f"{path}: is broken; import the decisions of its round again") from None


_ADAPTER: Final = TypeAdapter(RoundEstimate)
