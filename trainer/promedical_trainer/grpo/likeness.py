"""Another signal than the oracle's: how much answers read like those that raters judged best, by chrF (Popović 2015).

Beside it stands the likeness to answers to another prompt. What only sounds medical, or grows longer, comes closer to
both; what answers better comes closer to its own.
"""

from collections.abc import Sequence
from typing import Any

from sacrebleu import sentence_chrf

from promedical_bench.data.labelled import LabelledPrompt, LabelledResponse


def best_answers(prompt: LabelledPrompt) -> tuple[str, ...]:
    """Of the labelled responses those with the largest share of criteria satisfied; empty without labels."""
    shares = {each.text: _share_satisfied(prompt, each) for each in prompt.responses if each.labels}
    return tuple(text for text, share in shares.items() if share == max(shares.values()))


def likeness(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """By answer: chrF, 0 to 100, to the references of its own prompt and to those of the next one that has any."""
    known = [index for index, texts in enumerate(references) if texts]
    others = dict(zip(known, known[1:] + known[:1], strict=True)) if len(known) > 1 else {}
    return [
        {
            "likeness": _chrf(answer, references[index]),
            "likeness_elsewhere": _chrf(answer, references[others[index]] if index in others else ()),
        }
        for index, answer in enumerate(answers)
    ]


def _chrf(answer: str, references: Sequence[str]) -> float | None:
    return float(sentence_chrf(answer, references).score) if references else None


def _share_satisfied(prompt: LabelledPrompt, response: LabelledResponse) -> float:
    verdicts = [prompt.criterion_by_id[name].satisfied_by(label.met) for name, label in response.labels.items()]
    return sum(verdicts) / len(verdicts)
