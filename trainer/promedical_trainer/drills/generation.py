"""From questions to drills by split: every prompt goes to one split, and takes text and wordings of that split only."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Protocol

from promedical_data.labelled import LabelledPrompt
from promedical_trainer.drills.balance import Balance
from promedical_trainer.drills.catalogue import Kind, catalogue
from promedical_trainer.drills.language import content
from promedical_trainer.drills.questions import Question
from promedical_trainer.drills.relevance import make_relevance
from promedical_trainer.drills.splits import SPLITS, Split, drawing, in_hash_order, split_of
from promedical_trainer.drills.statements import make_statements
from promedical_trainer.drills.vetoes import make_answers, make_situation, make_vetoes, situations

Drills = Mapping[Split, tuple[LabelledPrompt, ...]]

_DRAWS: Final = 8
_OTHERS: Final = 2
_TRIES: Final = 40
_SHARES: Final[Mapping[Split, float]] = {"train": 0.8, "dev": 0.1, "test": 0.1}


class Maker(Protocol):
    """Makes one drill about a question, or none if the question does not lend itself to it."""

    def __call__(
        self, question: Question, others: Sequence[Question], split: Split, draw: random.Random, /
    ) -> LabelledPrompt | None: ...


_MAKERS: Final[Mapping[Kind, Maker]] = {
    "statements": make_statements,
    "relevance": make_relevance,
    "vetoes": make_vetoes,
    "answers": make_answers,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How many drills are made.

    Attributes:
        prompts: The most prompts of each kind, over all splits.
        seed: The seed of everything that is drawn.
    """

    prompts: int
    seed: int


def generate(questions: Sequence[Question], amount: Amount, advance: Callable[[str, int], None]) -> Drills:
    """Drills by split; the same for the same questions, in whatever order they come."""
    by_split: dict[Split, list[Question]] = {split: [] for split in SPLITS}
    for question in questions:
        by_split[split_of(question.text)].append(question)
    return {split: tuple(_of_split(split, by_split[split], amount, advance)) for split in SPLITS}


def _of_split(
    split: Split, questions: Sequence[Question], amount: Amount, advance: Callable[[str, int], None]
) -> Iterator[LabelledPrompt]:
    balance = Balance()
    for kind, maker in _MAKERS.items():
        made = tuple(_of_kind(kind, maker, split, questions, amount, balance))
        advance(f"{split}, {kind}", len(made))
        yield from made
    for question, situation, place in situations(split):
        draws = [drawing(amount.seed, "situations", question.id, number) for number in range(_DRAWS)]
        kept = balance.kept(make_situation(question, situation, place, split, draw) for draw in draws)
        if kept is not None:
            yield kept


def _of_kind(
    kind: Kind, maker: Maker, split: Split, questions: Sequence[Question], amount: Amount, balance: Balance
) -> Iterator[LabelledPrompt]:
    ordered = _in_turn(kind, questions, amount.seed)
    most = max(1, round(amount.prompts * _SHARES[split]))
    made = 0
    for question in ordered:
        if made == most:
            return
        names = (amount.seed, kind, question.source, question.id)
        others = _others(question, ordered, drawing(*names, "others")) if kind in {"statements", "relevance"} else []
        draws = (maker(question, others, split, drawing(*names, number)) for number in range(_DRAWS))
        kept = balance.kept(prompt for prompt in draws if prompt is not None)
        if kept is not None:
            made += 1
            yield kept


def _in_turn(kind: Kind, questions: Sequence[Question], seed: int) -> list[Question]:
    """The questions that this kind is for, the sources taking turns, so that no large one drowns a small one."""
    sources: dict[str, dict[str, Question]] = {}
    for question in questions:
        if kind in catalogue().sources[question.source].kinds:
            sources.setdefault(question.source, {})[question.id] = question
    rows = [[found[name] for name in in_hash_order(list(found), seed)] for _, found in sorted(sources.items())]
    return [question for turn in zip_longest(*rows) for question in turn if question is not None]


def _others(question: Question, pool: Sequence[Question], draw: random.Random) -> list[Question]:
    """Questions about something else, of the same aspect, so that the style of an answer tells nothing."""
    said = content(f"{question.topic} {question.text}")
    found: dict[str, Question] = {}
    for other in (draw.choice(pool) for _ in range(_TRIES)):
        fits = other.aspect == question.aspect and len(other.answer) > _OTHERS
        if fits and not content(other.topic) & said:
            found.setdefault(other.topic, other)
        if len(found) == _OTHERS:
            break
    return list(found.values())
