"""Rubrics that physicians corrected, as examples for drafters: the nearest by wording of the question.

The pool grows with every round. Rubrics of the held-out slice never enter it, so that what drafters learn is measured
on questions whose corrections they have not seen.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from promedical.rubric import Criterion
from promedical_curation.rubrics.similarity import by_words

HELD_OUT: Final = 0.1
"""The share of questions whose corrected rubrics are kept out of the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question and the rubric that physicians left it with."""

    id: str
    instruction: str
    criteria: tuple[Criterion, ...]


def held_out(row_id: str, share: float = HELD_OUT) -> bool:
    """Whether the rubric of this row never enters the pool; a hash decides, so it is the same in every run."""
    return int(hashlib.sha256(f"held-out/{row_id}".encode()).hexdigest(), 16) < share * 16**64


class Pool:
    """Examples to choose from.

    Args:
        examples: Corrected rubrics; those of the held-out slice are left out here, whoever brings them.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        self.examples = tuple(sorted((each for each in examples if not held_out(each.id)), key=lambda each: each.id))

    def nearest(self, row_id: str, instruction: str, most: int) -> Sequence[Example]:
        """The examples whose questions are most alike, best first; never the question itself."""
        others = [each for each in self.examples if each.id != row_id]
        if not others:
            return ()
        alike = by_words([instruction], [each.instruction for each in others])[0]
        order = sorted(range(len(others)), key=lambda place: (-alike[place], others[place].id))
        return [others[place] for place in order[:most]]
