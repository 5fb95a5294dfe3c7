"""Relevance: the beginning of the answer to this question, or of answers to others of the same kind. Pure."""

import random
from collections.abc import Sequence
from typing import Final

from promedical_data.labelled import LabelledPrompt
from promedical_trainer.drills.items import drill, proficiency, response
from promedical_trainer.drills.questions import Question
from promedical_trainer.drills.splits import Split
from promedical_trainer.drills.wordings import wordings

_LEAST_SENTENCES: Final = 2
_MOST_SENTENCES: Final = 5
_COPIES: Final = 2


def make_relevance(
    question: Question, others: Sequence[Question], split: Split, draw: random.Random
) -> LabelledPrompt | None:
    """A drill; None if the answer is too short."""
    if len(question.answer) <= _LEAST_SENTENCES:
        return None
    sides = [(question, True)] * _COPIES + [(other, False) for other in others]
    responses = [
        response(f"{'own' if own else 'other'}-{number}", _beginning(asked, draw), {"relevant": own})
        for number, (asked, own) in enumerate(sides, start=1)
    ]
    worded = wordings().phrasings["relevant"].drawn(split, draw)
    return drill("relevance", question, [proficiency("relevant", worded)], responses)


def _beginning(question: Question, draw: random.Random) -> tuple[str, ...]:
    return question.answer[: draw.randint(_LEAST_SENTENCES, _MOST_SENTENCES)]
