"""What physicians changed in rubrics, by dimension. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import fmean

from promedical.rubric import Dimension
from promedical_data.rounds.round import Proposed

_Fate = tuple[Proposed, Proposed | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """Edits of the criteria of one dimension.

    Attributes:
        proposed: How many criteria the rubrics had.
        reworded: How many got another wording.
        moved: How many went to another dimension.
        removed: How many were deleted.
        added: How many physicians added.
        distance: The mean share of words that changed, over the criteria that were proposed: 0 for one that was left
            as it was, 1 for one that was deleted. None where nothing was proposed.
    """

    proposed: int
    reworded: int
    moved: int
    removed: int
    added: int
    distance: float | None


def edits_by_dimension(changes: Iterable[tuple[Sequence[Proposed], Sequence[Proposed]]]) -> dict[Dimension, Edits]:
    """Count the edits in pairs of rubrics, before and after.

    A criterion that was moved counts in the dimension that it came from.
    """
    fates: list[_Fate] = []
    added: list[Proposed] = []
    for before, after in changes:
        now = {each.criterion.id: each for each in after}
        fates += [(each, now.pop(each.criterion.id, None)) for each in before]
        added += now.values()
    return {each: _edits(each, fates, added) for each in Dimension}


def distance(before: str, after: str) -> float:
    """The share of words that differ: 1 - 2 M / T, where M words of both T are matched in order (difflib's ratio)."""
    return 1 - SequenceMatcher(None, before.split(), after.split(), autojunk=False).ratio()


def _edits(dimension: Dimension, fates: Sequence[_Fate], added: Sequence[Proposed]) -> Edits:
    mine = [
        (was.criterion, now.criterion if now else None) for was, now in fates if was.criterion.dimension is dimension
    ]
    left = [(was, now) for was, now in mine if now is not None]
    distances = [1.0 if now is None else distance(was.text, now.text) for was, now in mine]
    return Edits(
        proposed=len(mine),
        reworded=sum(was.text != now.text for was, now in left),
        moved=sum(was.dimension is not now.dimension for was, now in left),
        removed=len(mine) - len(left),
        added=sum(each.criterion.dimension is dimension for each in added),
        distance=fmean(distances) if distances else None,
    )
