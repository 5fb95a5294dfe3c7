"""A policy's empty answers: they meet no criterion, so that silence does not pay. Pure.

HealthBench and K-QA grade every answer of a policy. An empty one states nothing, and so it meets no criterion, neither
one that speaks for an answer nor one that speaks against it: its HealthBench score is 0, none of K-QA's statements is
entailed, and none is contradicted. The oracle does not judge an empty response, so this is what the bench says of it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from promedical.interop.markup import without_ending
from promedical.visible import is_blank
from promedical_bench.answers import Answer, Answers, answer_by
from promedical_bench.cases import Case
from promedical_data.measures.predictions import Prediction

_NOT_MET: Final = Prediction(logit=-20.0, probability=0.0, met=False)


def is_silent(response: str) -> bool:
    """Whether nothing of a response is visible but the tokens that end it."""
    return is_blank(without_ending(response))


def silent(cases: Sequence[Case]) -> Mapping[str, tuple[bool, ...]]:
    """Which responses are empty, by case."""
    return {case.id: tuple(map(is_silent, case.responses)) for case in cases}


def with_silence(answers: Answers, cases: Sequence[Case]) -> Answers:
    """The answers, with what every empty response of an answered case says to each criterion: not met."""
    return {case.id: tuple(map(_heard, answers[case.id], _said(case))) for case in cases if case.id in answers}


def without_silence(answers: Answers, cases: Sequence[Case]) -> Answers:
    """The answers to the responses that are not empty."""
    empty = silent(cases)
    return {
        case: tuple(None if nothing else each for each, nothing in zip(said, empty[case], strict=True))
        for case, said in answers.items()
    }


def _said(case: Case) -> list[Answer | None]:
    return [
        answer_by(lambda *_: _NOT_MET, response, case.criteria) if is_silent(response) else None
        for response in case.responses
    ]


def _heard(judged: Answer | None, of_silence: Answer | None) -> Answer | None:
    return of_silence or judged
