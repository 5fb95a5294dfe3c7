"""Statements: an answer that says it, one that says it changed, one without it, and one to another question. Pure.

Met by rule: a sentence of an answer is stated by every text that holds it, and by no other one of the answer's
sentences, since none shares half of its words. What physicians state about an answer (K-QA) is stated by the sentences
that share its words, together, and not by those that share hardly any; in between there is no label.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Final

from promedical.rubric import Criterion, Polarity
from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_trainer.drills.changes import Change, changes, exchanged_numbers
from promedical_trainer.drills.items import drill, proficiency, response
from promedical_trainer.drills.language import content, continued, coverage, stands_alone
from promedical_trainer.drills.questions import Question
from promedical_trainer.drills.splits import Split
from promedical_trainer.drills.wordings import wordings

SHARED: Final = 0.5
"""The share of a statement's words from which another sentence may say the same."""

CROSSED: Final = "crossed"
"""How the ids of two responses begin that have the same words, with one statement changed in this and one in that."""

_SUPPORTS: Final = 0.35
_CLEAR: Final = 0.2
_SUPPORTED: Final = 0.6
_LEAST_WORDS: Final = 5
_LEAST_SENTENCES: Final = 4
_MOST_SENTENCES: Final = 12
_MOST_IN_RESPONSE: Final = 4
_TARGETS: Final = 2
_CANDIDATES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A statement.

    Attributes:
        text: The statement.
        support: The sentences of the answer that state it together.
        blurred: The sentences that may state some of it.
        changes: The statement changed by every rule that applies; in a drill, by one at most.
        swappable: Whether it is itself a sentence of the answer, which can be exchanged for the changed one.
        number: Its number in the drill.
    """

    text: str
    support: frozenset[int]
    blurred: frozenset[int]
    changes: tuple[Change, ...]
    swappable: bool
    number: int = 1

    @property
    def change(self) -> Change | None:
        """What it is changed to in a drill."""
        return self.changes[0] if self.changes else None

    def stated_by(self, chosen: frozenset[int]) -> bool | None:
        """Whether these sentences state it; None if the rule does not know."""
        if self.support <= chosen:
            return True
        return None if chosen & (self.support | self.blurred) else False


def make_statements(
    question: Question, others: Sequence[Question], split: Split, draw: random.Random
) -> LabelledPrompt | None:
    """A drill; None if the answer is too short or says everything twice."""
    sentences = question.answer[:_MOST_SENTENCES]
    if len(sentences) < _LEAST_SENTENCES:
        return None
    targets = _targets(question, sentences, draw)
    if not targets:
        return None
    responses = [*_own(sentences, targets, draw), *_foreign(targets, others, draw)]
    return drill("statements", question, _criteria(targets, split, draw), responses)


def _targets(question: Question, sentences: Sequence[str], draw: random.Random) -> list[Target]:
    """Statements that share few words, each with a change; if some allow changes of one kind, these."""
    candidates = question.statements or tuple(filter(stands_alone, sentences))
    shuffled = draw.sample(candidates, min(_CANDIDATES, len(candidates)))
    usable = [each for text in shuffled if (each := _target(text, sentences, changes(text, draw))) is not None]
    apart = [(one, other) for one, other in combinations(usable, _TARGETS) if coverage(one.text, other.text) < SHARED]
    if not apart:
        return [replace(each, number=1, changes=_one_of(each, draw)) for each in usable[:1]]
    one, other = max(apart, key=lambda pair: bool(_alike(*pair)))  # the first such pair, or the first of all
    pairs = _alike(one, other)
    first, second = draw.choice(pairs) if pairs else (_one_of(one, draw), _one_of(other, draw))
    return [replace(one, number=1, changes=first), replace(other, number=2, changes=second)]


def _alike(one: Target, other: Target) -> list[tuple[tuple[Change, ...], tuple[Change, ...]]]:
    """Changes of two sentences after which they have the same words whichever of them is changed."""
    if not (one.swappable and other.swappable):
        return []
    numbers = exchanged_numbers(one.text, other.text)
    possible = [*product(one.changes, other.changes), *([numbers] if numbers else [])]
    return [
        ((first,), (second,))
        for first, second in possible
        if _words(first.text, other.text) == _words(one.text, second.text)
    ]


def _words(*texts: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", " ".join(texts).lower()))


def _one_of(target: Target, draw: random.Random) -> tuple[Change, ...]:
    return (draw.choice(target.changes),) if target.changes else ()


def _target(text: str, sentences: Sequence[str], possible: Sequence[Change]) -> Target | None:
    if len(content(text)) < _LEAST_WORDS:
        return None
    shares = [coverage(text, each) for each in sentences]
    blurred = frozenset[int]()
    if text in sentences:
        support = frozenset({sentences.index(text)})
        usable = not any(share >= SHARED for index, share in enumerate(shares) if index not in support)
    else:
        support = frozenset(index for index, share in enumerate(shares) if share >= _SUPPORTS)
        blurred = frozenset(index for index, share in enumerate(shares) if _CLEAR <= share < _SUPPORTS)
        said = " ".join(sentences[index] for index in support)
        usable = coverage(text, said) >= _SUPPORTED and len(support | blurred) < len(sentences)
    if not usable:
        return None
    swappable = text in sentences
    return Target(text=text, support=support, blurred=blurred, changes=tuple(possible), swappable=swappable)


def _own(sentences: Sequence[str], targets: Sequence[Target], draw: random.Random) -> Iterator[LabelledResponse]:
    """What states one of them, what has one of them changed, what has all with one of them changed, and none."""
    changeable = [each for each in targets if each.change is not None and each.swappable]
    copies = ("a", "b")[: len(targets) % 2 + 1]
    asked: list[tuple[str, Sequence[Target], Target | None]] = [
        *((f"states-{each.number}-{copy}", [each], None) for each in targets for copy in copies),
        *((f"changed-{each.number}", [each], each) for each in changeable),
        ("without", [], None),
    ]
    for name, needed, changed in asked:
        chosen = _filled_up(_support(needed), sentences, targets, draw)
        if chosen:
            yield _response(name, sentences, targets, chosen, changed)
    if len(changeable) == _TARGETS:
        name = CROSSED if _alike(*changeable) else "both"
        chosen = _filled_up(_support(targets), sentences, targets, draw)  # the same sentences in either
        for each in changeable:
            yield _response(f"{name}-{each.number}", sentences, targets, chosen, each)


def _support(targets: Sequence[Target]) -> frozenset[int]:
    return frozenset[int]().union(*(each.support for each in targets))


def _filled_up(
    needed: frozenset[int], sentences: Sequence[str], targets: Sequence[Target], draw: random.Random
) -> frozenset[int]:
    """The needed sentences and some that say nothing of any target, so that length tells nothing."""
    said = frozenset[int]().union(*(each.support | each.blurred for each in targets))
    free = [index for index in range(len(sentences)) if index not in said]
    count = min(len(free), draw.randint(0 if needed else 1, _MOST_IN_RESPONSE))
    return needed | frozenset(draw.sample(free, count))


def _response(
    name: str, sentences: Sequence[str], targets: Sequence[Target], chosen: frozenset[int], changed: Target | None
) -> LabelledResponse:
    texts = {index: sentences[index] for index in sorted(chosen)}
    if changed is not None and changed.change is not None:
        texts |= dict.fromkeys(changed.support, changed.change.text)
    labels: dict[str, bool | None] = {}
    for target in targets:
        labels |= _labels(target, stated=target.stated_by(chosen), altered=target is changed)
    return response(name, texts.values(), labels)


def _labels(target: Target, *, stated: bool | None, altered: bool) -> dict[str, bool | None]:
    """An altered response states the changed statement in the place of the original."""
    says, says_changed = (False, True) if altered else (stated, None if stated is None else False)
    labels = {f"states-{target.number}": says}
    if target.change is not None:
        labels[f"states-changed-{target.number}"] = says_changed
        if target.change.contradicts:
            labels |= {f"contradicts-{target.number}": says_changed, f"contradicts-changed-{target.number}": says}
    return labels


def _foreign(targets: Sequence[Target], others: Sequence[Question], draw: random.Random) -> Iterator[LabelledResponse]:
    """Answers to other questions, which say little of the statements' words."""
    for copy, other in zip("ab", others, strict=False):
        count = min(len(other.answer), draw.randint(1, _MOST_IN_RESPONSE + 1))
        sentences = [other.answer[index] for index in sorted(draw.sample(range(len(other.answer)), count))]
        text = " ".join(sentences)
        labels: dict[str, bool | None] = {}
        for target in targets:
            labels |= _labels(target, stated=None if coverage(target.text, text) >= SHARED else False, altered=False)
        yield response(f"other-{copy}", sentences, labels)


def _criteria(targets: Sequence[Target], split: Split, draw: random.Random) -> Iterator[Criterion]:
    for target in targets:
        number, change = target.number, target.change
        yield proficiency(f"states-{number}", _worded("states", target.text, split, draw))
        if change is not None:
            yield proficiency(f"states-changed-{number}", _worded("states", change.text, split, draw))
            if change.contradicts:
                for name, text in (("contradicts", target.text), ("contradicts-changed", change.text)):
                    worded = _worded("contradicts", text, split, draw)
                    yield proficiency(f"{name}-{number}", worded, Polarity.NEGATIVE)


def _worded(phrase: str, statement: str, split: Split, draw: random.Random) -> str:
    template = wordings().phrasings["states" if phrase == "states" else "contradicts"].drawn(split, draw)
    return f"{template.format(statement=continued(statement))}."
