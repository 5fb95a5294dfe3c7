"""What judges said of cases: the oracle, or one of the judges that read nothing and stand beside it. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeAlias

import pandas as pd

from promedical.rubric import Criterion, Dimension, Polarity
from promedical_bench.cases import Case
from promedical_data.measures.predictions import Prediction
from promedical_data.variants import SCALAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a judge said of one response.

    Attributes:
        reward: With S1 from probabilities (soft), so that few responses tie.
        rank: Lexicographic place among the responses of the case, 1 is best; equal ranks are ties.
        verdicts: By criterion id.
        dimensions: Of those criteria.
    """

    reward: float
    rank: int
    verdicts: Mapping[str, Prediction]
    dimensions: Mapping[str, Dimension]


Answers: TypeAlias = Mapping[str, tuple[Answer | None, ...]]
"""By case id, one per response in order; None where the response was not scored, and never a number for that."""

Judge: TypeAlias = Callable[[str, Criterion], float]
"""From a response and a criterion to a number; above 0 the criterion as worded is met."""


def restricted(answers: Answers, to: Answers) -> Answers:
    """The answers to those responses that another judge scored too."""
    return {
        case: tuple(mine if theirs else None for mine, theirs in zip(answers[case], others, strict=True))
        for case, others in to.items()
        if case in answers
    }


def count_scored(answers: Answers) -> int:
    """How many responses have scores."""
    return sum(each is not None for said in answers.values() for each in said)


def longer_is_better(cases: Sequence[Case]) -> Answers:
    """The control "the longer answer wins": better, and meeting what speaks for it, if longer than the middle.

    The middle is the median length of all responses. Polarity is handled: a longer answer meets less of what is
    worded as a fault.
    """
    middle = median(len(response) for case in cases for response in case.responses)
    return judged(cases, lambda response, criterion: _good(criterion) * (len(response) - middle))


def majority_says(cases: Sequence[Case], labels: pd.DataFrame) -> Answers:
    """The control "majority": the more frequent label of the dimension and polarity, of these very labels."""
    shares = labels["met"].astype(float).groupby([labels["dimension"], labels["polarity"]]).mean().to_dict()
    return judged(cases, lambda _, criterion: shares.get((criterion.dimension, criterion.polarity), 0.0) - 0.5)


def spread(answers: Answers, cases: Sequence[Case]) -> Answers:
    """The control "without criteria": the verdict on the whole response, as one on each criterion.

    A good answer meets what speaks for it and does not meet what speaks against it. Cases without criteria of their
    own keep the verdict as it is.
    """
    return {
        case.id: tuple(each and _spread(each, case.criteria) for each in answers[case.id])
        for case in cases
        if case.id in answers
    }


def judged(cases: Sequence[Case], judge: Judge) -> Answers:
    """What a judge of one criterion at a time would answer; its numbers order but are no probabilities."""
    return {
        case.id: _ranked([_answer(response, case.criteria, judge) for response in case.responses]) for case in cases
    }


def _answer(response: str, criteria: Sequence[Criterion], judge: Judge) -> Answer:
    scores = {each: judge(response, each) for each in criteria or (SCALAR,)}
    return Answer(
        reward=sum(_good(each) * score for each, score in scores.items()) / len(scores),
        rank=1,
        verdicts={
            each.id: Prediction(logit=score, probability=float(score > 0), met=score > 0)
            for each, score in scores.items()
        },
        dimensions={each.id: each.dimension for each in scores},
    )


def _spread(answer: Answer, criteria: Sequence[Criterion]) -> Answer:
    if not criteria:
        return answer
    said = answer.verdicts[SCALAR.id]
    against = Prediction(logit=-said.logit, probability=1 - said.probability, met=not said.met)
    return replace(
        answer,
        verdicts={each.id: said if _good(each) > 0 else against for each in criteria},
        dimensions={each.id: each.dimension for each in criteria},
    )


def _ranked(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    return tuple(replace(each, rank=1 + sum(other.reward > each.reward for other in answers)) for each in answers)


def _good(criterion: Criterion) -> int:
    return -1 if criterion.polarity is Polarity.NEGATIVE else 1


def scored_pairs(first: Answers, second: Answers) -> Iterator[tuple[str, Answer, Answer]]:
    """Case id and both answers, for every response that both judges scored."""
    for case, mine in first.items():
        for one, other in zip(mine, second.get(case, ()), strict=False):
            if one is not None and other is not None:
                yield case, one, other
