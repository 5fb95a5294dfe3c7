"""Vetoes: a violation put into a good answer, beside a near miss in the same words; and whole short answers. Pure.

A response violates the veto that its wording was written for. Of vetoes that the wording may violate too, it has no
label; it violates no other one.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from promedical.rubric import Criterion, Dimension
from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_trainer.drills.items import drill, proficiency, response
from promedical_trainer.drills.language import content, continued, coverage, stands_alone
from promedical_trainer.drills.questions import Question
from promedical_trainer.drills.splits import Split
from promedical_trainer.drills.statements import SHARED
from promedical_trainer.drills.wordings import Pair, Situation, Veto, rubric_criteria, wordings

_LEAST_SENTENCES: Final = 2
_MOST_SENTENCES: Final = 8
_MOST_IN_RESPONSE: Final = 3
_LEAST_WORDS: Final = 5
_ALONE: Final = 0.5
_FIRST: Final = 0.5
_AS_IN_RUBRIC: Final = 0.6
"""How often a veto is worded as in the rubric, which is what it is mostly asked as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A text that violates a veto, or its near miss, which violates none."""

    name: str
    texts: tuple[str, ...]
    violates: Veto | None


def make_vetoes(
    question: Question, others: Sequence[Question], split: Split, draw: random.Random
) -> LabelledPrompt | None:
    """Violations of two vetoes and near misses of the same, each in some sentences of the answer."""
    del others
    sentences = question.answer[:_MOST_SENTENCES]
    if len(sentences) < _LEAST_SENTENCES:
        return None
    stated = _stated(sentences, draw)
    sides = [side for veto in _two(draw) for side in _sides(veto, veto.pairs[split], split, draw)]
    responses = [_embedded(side, sentences, stated, draw) for side in sides]
    return drill("vetoes", question, [*_veto_criteria(split, draw), *_states(stated, split, draw)], responses)


def make_answers(
    question: Question, others: Sequence[Question], split: Split, draw: random.Random
) -> LabelledPrompt | None:
    """Whole answers of two vetoes to the message of a patient, harmful ones and good ones."""
    del others
    sides = [side for veto in _two(draw) for side in _sides(veto, veto.answers[split], split, draw)]
    return drill("answers", question, _veto_criteria(split, draw), [_whole(side, split, draw) for side in sides])


def situations(split: Split) -> Iterator[tuple[Question, Situation, int]]:
    """The situations of a split, one for each prompt."""
    for number, situation in enumerate(wordings().situations[split], start=1):
        for place, prompt in enumerate(situation.prompts):
            yield Question(id=f"{split}-{number}-{place}", source="own", text=prompt, topic=prompt), situation, place


def make_situation(
    question: Question, situation: Situation, place: int, split: Split, draw: random.Random
) -> LabelledPrompt:
    """The answers that were written for a prompt, with and without polite words, and two that fit any prompt."""
    veto = wordings().vetoes[situation.violates]
    written = [
        Side(name=f"{name}-{copy}", texts=(texts[place],), violates=violated)
        for name, texts, violated in (("harmful", situation.harmful, veto), ("safe", situation.safe, None))
        for copy in ("a", "b")
    ]
    other = draw.choice(_others(veto))
    sides = [*written, *_sides(other, other.answers[split], split, draw)]
    return drill("answers", question, _veto_criteria(split, draw), [_whole(side, split, draw) for side in sides])


def _two(draw: random.Random) -> list[Veto]:
    return draw.sample(list(wordings().vetoes.values()), 2)


def _others(veto: Veto) -> list[Veto]:
    return [each for each in wordings().vetoes.values() if each is not veto]


def _sides(veto: Veto, pairs: Sequence[Pair], split: Split, draw: random.Random) -> Iterator[Side]:
    """Two violations and two near misses, of which one pair has the same words.

    Some of both have another near miss beside, so that no word of a near miss tells that the rest is safe.
    """
    places = draw.sample(range(len(pairs)), min(3, len(pairs)))
    for place, with_violation, with_miss in zip(places, (True, True, False), (True, False, True), strict=False):
        violating, safe = wordings().filled(pairs[place], split, draw)
        if with_violation:
            yield Side(
                name=f"violates-{veto.criterion}-{place}",
                texts=_with_another(violating, veto, split, draw),
                violates=veto,
            )
        if with_miss:
            yield Side(
                name=f"near-{veto.criterion}-{place}", texts=_with_another(safe, veto, split, draw), violates=None
            )


def _with_another(text: str, veto: Veto, split: Split, draw: random.Random) -> tuple[str, ...]:
    _, safe = wordings().filled(draw.choice(veto.pairs[split]), split, draw)
    if safe == text or draw.random() < _ALONE:
        return (text,)
    return (text, safe) if draw.random() < _FIRST else (safe, text)


def _veto_criteria(split: Split, draw: random.Random) -> list[Criterion]:
    return [
        Criterion(
            id=name,
            text=each.text
            if draw.random() < _AS_IN_RUBRIC
            else draw.choice(wordings().vetoes[name].paraphrases[split]),
            dimension=Dimension.SAFETY,
        )
        for name, each in rubric_criteria().items()
    ]


def _labels(violated: Veto | None) -> dict[str, bool | None]:
    labels: dict[str, bool | None] = dict.fromkeys(rubric_criteria(), False)
    if violated is not None:
        labels |= dict.fromkeys(violated.unclear) | {violated.criterion: True}
    return labels


def _stated(sentences: Sequence[str], draw: random.Random) -> str | None:
    """A sentence that no other one repeats; none of an answer so short that most responses would hold it."""
    alone = [
        each
        for each in sentences
        if stands_alone(each)
        and len(content(each)) >= _LEAST_WORDS
        and not any(coverage(each, other) >= SHARED for other in sentences if other != each)
    ]
    return draw.choice(alone) if alone and len(sentences) > _MOST_IN_RESPONSE else None


def _states(stated: str | None, split: Split, draw: random.Random) -> Iterator[Criterion]:
    """That it states a sentence: a violation says nothing about the rest of an answer."""
    if stated is not None:
        template = wordings().phrasings["states"].drawn(split, draw)
        yield proficiency("states", f"{template.format(statement=continued(stated))}.")


def _embedded(side: Side, sentences: Sequence[str], stated: str | None, draw: random.Random) -> LabelledResponse:
    count = draw.randint(1, min(_MOST_IN_RESPONSE, len(sentences)))
    chosen = [sentences[index] for index in sorted(draw.sample(range(len(sentences)), count))]
    for text in side.texts:
        chosen.insert(draw.randint(0, len(chosen)), text)
    states = {"states": stated in chosen} if stated else {}
    return response(side.name, chosen, _labels(side.violates) | states)


def _whole(side: Side, split: Split, draw: random.Random) -> LabelledResponse:
    fillers = draw.sample(wordings().phrasings["fillers"].of(split), draw.randint(0, 2))
    return response(side.name, [*side.texts, *fillers], _labels(side.violates))
