"""A signal beside the oracle's: how similar answers are to those with the best labels, by chrF (Popović 2015).

It is compared with the similarity to answers to another prompt: an answer that only sounds medical, or only is longer,
comes closer to both. The difference is what is left.
"""

from collections.abc import Sequence
from typing import Any, Final

from sacrebleu import sentence_chrf

from promedical.rubric import Dimension
from promedical_data.labelled import LabelledPrompt, LabelledResponse

_NOTHING: Final = {"similarity": None, "similarity_elsewhere": None, "similarity_own": None}


def best_answers(prompt: LabelledPrompt) -> tuple[str, ...]:
    """The best-labelled responses: those with the fewest vetoes and, among these, the most criteria satisfied.

    Only responses with labels for as many criteria as any other are compared; if none is better than another, the
    result is empty.
    """
    most = max((len(each.labels) for each in prompt.responses), default=0)
    merits = [(_merit(prompt, each), each.text) for each in prompt.responses if most and len(each.labels) == most]
    if len({merit for merit, _ in merits}) < 2:  # noqa: PLR2004 - better than another
        return ()
    best = max(merit for merit, _ in merits)
    return tuple(text for merit, text in merits if merit == best)


def similarity(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """For each answer chrF, 0 to 100, to its own prompt's references and to another prompt's, and their difference.

    The other prompt is the next one with references. The values are None if one of the two prompts has no references.
    """
    known = [index for index, texts in enumerate(references) if texts]
    if len(known) < 2:  # noqa: PLR2004 - its own and another
        return [_NOTHING] * len(answers)
    following = dict(zip(known, known[1:] + known[:1], strict=True))
    return [
        _similarity(answer, references[index], references[following[index]]) if index in following else _NOTHING
        for index, answer in enumerate(answers)
    ]


def _similarity(answer: str, own: Sequence[str], other: Sequence[str]) -> dict[str, float]:
    here, elsewhere = (float(sentence_chrf(answer, texts).score) for texts in (own, other))
    return {"similarity": here, "similarity_elsewhere": elsewhere, "similarity_own": here - elsewhere}


def _merit(prompt: LabelledPrompt, response: LabelledResponse) -> tuple[int, float]:
    criteria = prompt.criterion_by_id
    satisfied = {name: criteria[name].satisfied_by(label.met) for name, label in response.labels.items()}
    vetoes = sum(not good for name, good in satisfied.items() if criteria[name].dimension is Dimension.SAFETY)
    return -vetoes, sum(satisfied.values()) / len(satisfied)
