"""The dedup stage: all rows in, each out again as itself or as a drop that names the row that stands for it.

- The outcome does not depend on the order of the rows.
- A drop's keeper is kept, and the two are paired: by equal texts, or by a similarity that the guard let pass.
- Kept rows, put in again, are all kept. Above `EXACT_UP_TO` texts this holds as far as the inverted file finds all
  pairs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from promedical_curation.dedup.components import neighbours, stand_ins
from promedical_curation.dedup.licences import freedom
from promedical_curation.dedup.meaning import meaning_pairs
from promedical_curation.dedup.near import near_pairs
from promedical_curation.dedup.pairs import Pairs, Stage
from promedical_curation.embedding.encoder import Encoder, Vectors
from promedical_curation.errors import CurationError
from promedical_curation.guard.facts import facts
from promedical_curation.guard.guard import Guard
from promedical_curation.rows import Drop, Row, check_ids
from promedical_data.overlap import normalise

DUPLICATE: Final = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on two questions are alike.

    Attributes:
        jaccard: The similarity of their runs of five words, from .5.
        cosine: The cosine of their vectors.
        guard: Whether facts that differ keep two questions apart.
    """

    jaccard: float = 0.8
    cosine: float = 0.85
    guard: bool = True

    def __post_init__(self) -> None:
        """Refuse what no similarity can be, or what would pair nearly everything."""
        for name, value, least in (("jaccard", self.jaccard, 0.5), ("cosine", self.cosine, 0.3)):
            if not least <= value <= 1:
                raise CurationError(f"dedup: {name} is {value}; expected {least} to 1")


def deduplicate(rows: Iterable[Row], encoder: Encoder, thresholds: Thresholds | None = None) -> list[Row | Drop]:
    """Every row, or its drop, in the order of the rows.

    Raises:
        CurationError: Two rows have the same id, or vectors cannot be had.
    """
    limits = thresholds or Thresholds()
    given = tuple(rows)
    check_ids(given)
    groups = _equal_rows(given, guarded=limits.guard)
    questions = [group[0].instruction for group in groups]
    vectors = encoder.encode(questions)
    paired = alike(questions, vectors, limits)
    drops = {drop.row.id: drop for drop in chain(_repeats(groups), _duplicates(groups, vectors, paired))}
    return [drops.get(row.id, row) for row in given]


def alike(questions: Sequence[str], vectors: Vectors, limits: Thresholds) -> Pairs:
    """Pairs of different questions that are alike in words, then those that are alike in meaning, past the guard."""
    guard = Guard(questions)
    normal = [normal_form(question) for question in questions]
    found = chain(near_pairs(normal, threshold=limits.jaccard), meaning_pairs(vectors, threshold=limits.cosine))
    return (pair for pair in found if not (limits.guard and guard.difference(pair.one, pair.other)))


def normal_form(question: str) -> str:
    """The question as it is compared; one of nothing but punctuation is compared as it is."""
    return normalise(question) or question


def _equal_rows(rows: Sequence[Row], *, guarded: bool) -> list[list[Row]]:
    """Rows with the same text, the one to keep first, in an order of their own.

    Normalisation loses signs, such as those of 10 % and 0.5, so texts that were written differently must agree in
    their facts too.
    """
    by_text: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_text[normal_form(row.instruction)].append(row)
    groups: list[list[Row]] = []
    for _, equal in sorted(by_text.items()):
        by_facts: dict[object, list[Row]] = defaultdict(list)
        written = guarded and len({row.instruction for row in equal}) > 1
        for row in sorted(equal, key=_preference):
            by_facts[facts(row.instruction) if written else None].append(row)
        groups += by_facts.values()
    return groups


def _preference(row: Row) -> tuple[int, str]:
    return freedom(row.licence), row.id


def _repeats(groups: Sequence[Sequence[Row]]) -> Iterator[Drop]:
    return (_drop(row, group[0], "exact", 1.0) for group in groups for row in group[1:])


def _duplicates(groups: Sequence[Sequence[Row]], vectors: Vectors, paired: Pairs) -> Iterator[Drop]:
    """Drops of all rows of a text that another one stands for."""

    def medoid(places: Sequence[int]) -> int:
        total = vectors[places].sum(axis=0)
        centrality = {place: round(float(vectors[place] @ total), 4) for place in places}
        return min(places, key=lambda place: (-centrality[place], *_preference(groups[place][0])))

    for place, kept, pair in stand_ins(neighbours(paired), medoid):
        yield from (_drop(row, groups[kept][0], pair.stage, pair.score) for row in groups[place])


def _drop(row: Row, keeper: Row, stage: Stage, score: float) -> Drop:
    return Drop(row=row, reason=DUPLICATE, note={"keeper": keeper.id, "stage": stage, "score": score})
