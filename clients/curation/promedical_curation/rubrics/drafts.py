"""A criterion as a drafter proposes it, before anybody has judged by it."""

from dataclasses import dataclass

from promedical.rubric import Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A proposed criterion.

    Attributes:
        criterion: Its wording, dimension, weight and polarity.
        drafters: Who proposed it, sorted; two after a merge.
        citation: Where the fact that it rests on stands; None where the drafter named none.
        factual: Whether it states a medical fact, and so needs a citation.
    """

    criterion: Criterion
    drafters: tuple[str, ...]
    citation: str | None = None
    factual: bool = False
