"""The items that are sent under load: synthetic text from a seed, endless and never the same twice."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from promedical.messages import CriterionSpec, RubricSpec, ScoreItem
from promedical.rubric import Dimension

_SENTENCE: Final = (
    "the patient should take this dose with water after food and rest at home if there is pain or high fever for "
    "more than two days then see a doctor who can test for other signs of heart or skin disease before any new drug"
)
WORDS: Final = _SENTENCE.split()
"""Everyday words, about a token each."""
_DIMENSIONS: Final = tuple(Dimension)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of one item.

    Attributes:
        responses: The number of responses to the prompt; the group of GRPO.
        criteria: The number of criteria in the item's rubric.
        prompt_words: Words of the prompt; a word is about one token.
        response_words: Words of each response.
        criterion_words: Words of each criterion.
    """

    responses: int
    criteria: int
    prompt_words: int = 120
    response_words: int = 300
    criterion_words: int = 30

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: expected at least 1")

    @property
    def scores(self) -> int:
        """How many criterion scores one item asks for."""
        return self.responses * self.criteria


def items(shape: Shape, seed: str) -> Iterator[ScoreItem]:
    """An endless series of items of this shape; it is the same for the same seed, and no two items share a text."""
    draw = random.Random(seed)  # noqa: S311 - text, no secret
    number = 0
    while True:
        yield ScoreItem(
            id=f"{seed}-{number}",
            prompt=_text(draw, shape.prompt_words),
            responses=tuple(_text(draw, shape.response_words) for _ in range(shape.responses)),
            rubric=RubricSpec(criteria=tuple(_criterion(draw, shape, index) for index in range(shape.criteria))),
        )
        number += 1


def _criterion(draw: random.Random, shape: Shape, index: int) -> CriterionSpec:
    dimension = _DIMENSIONS[index % len(_DIMENSIONS)]
    return CriterionSpec(id=f"c{index}", text=_text(draw, shape.criterion_words), dimension=dimension)


def _text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))
