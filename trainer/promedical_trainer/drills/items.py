"""One drill as a labelled prompt. The source names the kind and where the text is from; ids name what was drawn."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_trainer.drills.catalogue import Kind
from promedical_trainer.drills.questions import Question

PREFIX: Final = "drills"
RULE: Final = "rule"
"""Who labels: a rule, so a label is right by construction or left out."""

_NUMBERED: Final = re.compile(r"-\d+$")


def kind_of(prompt: LabelledPrompt, criterion: str) -> str:
    """The kind of drill and of criterion, such as "statements/contradicts"."""
    return f"{prompt.source.split('/')[1]}/{_NUMBERED.sub('', criterion)}"


def drill(
    kind: Kind, question: Question, criteria: Iterable[Criterion], responses: Iterable[LabelledResponse]
) -> LabelledPrompt:
    """A drill about a question."""
    return LabelledPrompt(
        id=f"{kind}/{question.source}/{question.id}",
        source=f"{PREFIX}/{kind}/{question.source}",
        turns=(Message(role="user", content=question.text),),
        criteria=tuple(criteria),
        responses=tuple(responses),
    )


def response(name: str, sentences: Iterable[str], labels: Mapping[str, bool | None]) -> LabelledResponse:
    """An answer; where the rule does not know (None), there is no label."""
    return LabelledResponse(
        id=name,
        text=" ".join(sentences),
        labels={key: Label(met=met, kind=RULE, votes=(met,)) for key, met in labels.items() if met is not None},
    )


def proficiency(name: str, text: str, polarity: Polarity = Polarity.POSITIVE) -> Criterion:
    """A criterion about what an answer says."""
    return Criterion(id=name, text=text, dimension=Dimension.PROFICIENCY, polarity=polarity)
