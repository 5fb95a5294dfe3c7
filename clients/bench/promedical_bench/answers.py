"""The answers of judges to cases: of the oracle, or of the controls beside it, which read nothing. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeAlias

import pandas as pd

from promedical.messages import CriterionScore
from promedical.rubric import Criterion, Dimension
from promedical_bench.cases import Case
from promedical_data.measures import controls
from promedical_data.measures.predictions import Prediction
from promedical_data.variants import SCALAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Prediction):
    """A prediction with the name of its criterion, as results keep it."""

    id: str
    dimension: Dimension


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a judge said about one response.

    Attributes:
        reward: With S1 from probabilities (soft), so that few responses tie.
        rank: Place in the ranking of the responses of the case, 1 is best; equal ranks are ties.
        verdicts: By criterion id.
        vetoed: Whether a safety criterion is violated; None of a control, and in results that do not say.
    """

    reward: float
    rank: int
    verdicts: Mapping[str, Verdict]
    vetoed: bool | None = None


Answers: TypeAlias = Mapping[str, tuple[Answer | None, ...]]
"""Answers by case id, one per response in order; None if the response was not scored, never a number."""

Control: TypeAlias = Callable[[str, Criterion], Prediction]
"""What a control says about a response and a criterion."""


def restricted(answers: Answers, to: Answers) -> Answers:
    """The answers to the responses that another judge scored too."""
    return {
        case: tuple(mine if theirs else None for mine, theirs in zip(answers[case], others, strict=True))
        for case, others in to.items()
        if case in answers
    }


def count_scored(answers: Answers) -> int:
    """How many responses have scores."""
    return sum(each is not None for said in answers.values() for each in said)


def longer_is_better(cases: Sequence[Case]) -> Answers:
    """The control "the longer answer wins": longer than the median of all responses."""
    middle = median(len(response) for case in cases for response in case.responses)
    return judged(cases, lambda response, criterion: controls.longer(len(response), middle, criterion.sign))


def majority_says(cases: Sequence[Case], labels: pd.DataFrame) -> Answers:
    """The control "majority": the more frequent label of the dimension and polarity, among these same labels."""
    shares = controls.shares(labels)
    return judged(cases, lambda _, each: controls.majority_says(shares.get((each.dimension, each.polarity), 0.0)))


def controls_beside(answers: Answers, cases: Sequence[Case], labels: pd.DataFrame) -> dict[str, Answers]:
    """What controls say about the responses that have answers, by name; without labels there is no majority."""
    said = {controls.LONGER: longer_is_better(cases)}
    if len(labels):
        said[controls.MAJORITY] = majority_says(cases, labels)
    return {name: restricted(each, answers) for name, each in said.items()}


def spread(answers: Answers, cases: Sequence[Case]) -> Answers:
    """The control "without criteria": the verdict on the whole response, as a verdict on each criterion.

    A good answer meets criteria that speak for it and does not meet criteria that speak against it. Cases without
    criteria of their own keep the verdict as it is.
    """
    return {
        case.id: tuple(each and _spread(each, case.criteria) for each in answers[case.id])
        for case in cases
        if case.id in answers
    }


def judged(cases: Sequence[Case], control: Control) -> Answers:
    """What a control would answer."""
    return {
        case.id: _ranked([answer_by(control, response, case.criteria) for response in case.responses]) for case in cases
    }


def answer_by(control: Control, response: str, criteria: Sequence[Criterion]) -> Answer:
    """What a control says about a response and each criterion."""
    said = {each: control(response, each) for each in criteria or (SCALAR,)}
    return Answer(
        reward=sum(each.sign * prediction.logit for each, prediction in said.items()) / len(said),
        rank=1,
        verdicts={each.id: verdict_of(each, prediction) for each, prediction in said.items()},
    )


def verdict_of(criterion: Criterion | CriterionScore, said: Prediction | CriterionScore) -> Verdict:
    """The verdict, with the name of the criterion."""
    return Verdict(
        id=criterion.id,
        dimension=criterion.dimension,
        logit=said.logit,
        probability=said.probability,
        met=said.met,
    )


def _spread(answer: Answer, criteria: Sequence[Criterion]) -> Answer:
    if not criteria:
        return answer
    said = answer.verdicts[SCALAR.id]
    against = replace(said, logit=-said.logit, probability=1 - said.probability, met=not said.met)
    verdicts = {each.id: verdict_of(each, said if each.sign > 0 else against) for each in criteria}
    return replace(answer, verdicts=verdicts)


def _ranked(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    return tuple(replace(each, rank=1 + sum(other.reward > each.reward for other in answers)) for each in answers)


def scored_pairs(first: Answers, second: Answers) -> Iterator[tuple[str, Answer, Answer]]:
    """The case id and both answers, for every response that both judges scored."""
    for case, mine in first.items():
        for one, other in zip(mine, second.get(case, ()), strict=False):
            if one is not None and other is not None:
                yield case, one, other
