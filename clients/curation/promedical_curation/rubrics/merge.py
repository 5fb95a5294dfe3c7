"""Two drafters' criteria become one list: what both say is kept once, what they contradict each other on is not kept.

The merge is conservative (as in RubricHub, arXiv 2601.08430): nothing is reworded, so each criterion that is left is
one that a drafter wrote.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from promedical.rubric import Dimension
from promedical_curation.rubrics.drafts import Draft
from promedical_data.rubric_lint import lint

Similarity = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""Of two lists of texts, how alike each pair is: shape (first, second), 1 for the same."""

SAME: Final = 0.8
"""From this similarity on, two criteria are taken to say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two drafts that say the same and count it in opposite ways; neither is kept."""

    first: Draft
    second: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The result of a merge.

    Attributes:
        drafts: What is kept: first what both drafters said, then what one said, in their order.
        contradictions: What is not.
    """

    drafts: tuple[Draft, ...]
    contradictions: tuple[Contradiction, ...]


def merge(first: Sequence[Draft], second: Sequence[Draft], similarity: Similarity, *, same: float = SAME) -> Merged:
    """Merge two drafts of a rubric.

    Args:
        first: One drafter's criteria.
        second: The other's; ids may be the same as in the first, and are made unique.
        similarity: Compares wordings.
        same: From which similarity on two criteria say the same.
    """
    pairs = _matched(first, second, similarity, same)
    agreed = [(one, other) for one, other in pairs if _agree(one, other)]
    opposed = [Contradiction(first=one, second=other) for one, other in pairs if not _agree(one, other)]
    used = {id(draft) for pair in pairs for draft in pair}
    alone = [draft for draft in (*first, *second) if id(draft) not in used]
    kept = [*(_joined(one, other) for one, other in agreed), *alone]
    return Merged(drafts=tuple(_renamed(kept)), contradictions=tuple(opposed))


def _matched(
    first: Sequence[Draft], second: Sequence[Draft], similarity: Similarity, same: float
) -> list[tuple[Draft, Draft]]:
    """Pairs that say the same, the most alike first; each draft is in one pair at most."""
    if not first or not second:
        return []
    alike = similarity([each.criterion.text for each in first], [each.criterion.text for each in second])
    places = [divmod(int(place), len(second)) for place in np.argsort(-alike, axis=None, kind="stable")]
    rows: set[int] = set()
    columns: set[int] = set()
    found = []
    for row, column in places:
        if alike[row, column] >= same and row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            found.append((row, column))
    return [(first[row], second[column]) for row, column in sorted(found)]


def _agree(one: Draft, other: Draft) -> bool:
    """Both count it for the response or both against it; a veto is one only if both call it one."""
    vetoes = {draft.criterion.dimension is Dimension.SAFETY for draft in (one, other)}
    return one.criterion.polarity is other.criterion.polarity and len(vetoes) == 1


def _joined(one: Draft, other: Draft) -> Draft:
    """The better worded of the two, said by both."""
    better = min((one, other), key=lambda draft: len(lint([draft.criterion])))
    drafters = tuple(sorted({*one.drafters, *other.drafters}))
    citation = better.citation or one.citation or other.citation
    return replace(better, drafters=drafters, citation=citation, factual=one.factual or other.factual)


def _renamed(drafts: Sequence[Draft]) -> list[Draft]:
    """With ids that are unique: both drafters may call their first criterion c1."""
    return [
        replace(draft, criterion=replace(draft.criterion, id=f"c{number}"))
        for number, draft in enumerate(drafts, start=1)
    ]
