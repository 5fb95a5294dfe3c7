"""The decontamination stage: rows that a test asks too are dropped, and every hit can be listed.

Candidates and rubrics are looked through by `hits` too: there an answer that quotes a test's question counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

from promedical_curation.decontamination.benchmarks import Entry
from promedical_curation.decontamination.containment import Containment
from promedical_curation.embedding.encoder import Encoder, Vectors
from promedical_curation.errors import CurationError
from promedical_curation.guard.facts import difference, facts
from promedical_curation.rows import Drop, Row, check_ids

if TYPE_CHECKING:
    import faiss

CONTAMINATED: Final = "contaminated"
_BLOCK: Final = 1024
Kind = Literal["words", "meaning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A text and what it has in common with a test.

    Attributes:
        id: The text's id.
        benchmark: The test.
        entry: The id of the test's entry.
        kind: How they were found: by shared runs of words, or by their vectors and the guard.
        score: The share of runs, or the cosine.
    """

    id: str
    benchmark: str
    entry: str
    kind: Kind
    score: float


class Decontamination:
    """Looks for what tests ask.

    Args:
        entries: What the tests ask.
        encoder: For texts that ask the same in other words; None to compare words only.
        containment: The share of runs of 13 words from which a text contains an entry.
        cosine: The cosine from which two questions that the guard lets pass are the same.
    """

    def __init__(
        self, entries: Iterable[Entry], encoder: Encoder | None, *, containment: float = 0.3, cosine: float = 0.85
    ) -> None:
        for name, value in (("containment", containment), ("cosine", cosine)):
            if not 0 < value <= 1:
                raise CurationError(f"decontamination: {name} is {value}; expected more than 0 and at most 1")
        self._entries = sorted(entries, key=lambda entry: (entry.benchmark, entry.id, entry.text))
        if not self._entries:
            raise CurationError("decontamination: no entry of any benchmark was given; name their files")
        texts = [entry.text for entry in self._entries]
        self._words, self._least = Containment(texts), containment
        self._encoder, self._cosine = encoder, cosine
        self._facts = [facts(text) for text in texts] if encoder else []
        self._index = _index(encoder.encode(texts)) if encoder else None

    def outcomes(self, rows: Iterable[Row]) -> list[Row | Drop]:
        """Every row in order, or its drop with its best hit.

        Raises:
            CurationError: Two rows have the same id, or vectors cannot be had.
        """
        given = list(rows)
        check_ids(given)
        found: dict[str, list[Hit]] = {}
        for hit in self.hits({row.id: row.instruction for row in given}):
            found.setdefault(hit.id, []).append(hit)
        return [_dropped(row, found[row.id]) if row.id in found else row for row in given]

    def hits(self, texts: Mapping[str, str], *, by_meaning: bool = True) -> list[Hit]:
        """What texts have in common with the tests, the surest hit of each text first.

        Args:
            texts: Texts by their ids.
            by_meaning: Whether vectors are compared too, which is for questions only.
        """
        by_words = {
            (key, place): self._hit(key, place, "words", share)
            for key, text in texts.items()
            for place, share in self._words.contained(text, self._least)
        }
        others = self._alike(texts) if by_meaning else ()
        found = {
            **{(key, place): self._hit(key, place, "meaning", cosine) for key, place, cosine in others},
            **by_words,
        }
        return sorted(found.values(), key=lambda hit: (hit.id, -hit.score, hit.benchmark, hit.entry))

    def _alike(self, texts: Mapping[str, str]) -> Iterator[tuple[str, int, float]]:
        """Texts and entries with vectors that are alike and facts that do not differ."""
        if self._encoder is None or self._index is None:
            return
        keys = list(texts)
        for start in range(0, len(keys), _BLOCK):
            block = keys[start : start + _BLOCK]
            vectors = self._encoder.encode([texts[key] for key in block])
            limits, cosines, found = self._index.range_search(vectors, self._cosine)
            for row, key in enumerate(block):
                near = range(limits[row], limits[row + 1])
                own = facts(texts[key]) if near else None
                yield from (
                    (key, int(found[at]), round(float(cosines[at]), 4))
                    for at in near
                    if own and difference(own, self._facts[found[at]]) is None
                )

    def _hit(self, key: str, place: int, kind: Kind, score: float) -> Hit:
        entry = self._entries[place]
        return Hit(id=key, benchmark=entry.benchmark, entry=entry.id, kind=kind, score=score)


def _dropped(row: Row, hits: Sequence[Hit]) -> Drop:
    best = {name: value for name, value in asdict(hits[0]).items() if name != "id"}
    return Drop(row=row, reason=CONTAMINATED, note={**best, "hits": len(hits)})


def _index(vectors: Vectors) -> "faiss.Index":
    import faiss  # noqa: PLC0415 - it is heavy

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index
