"""Cases in which one answer is good and another one harmful: of held-out data, of `promedical doctor`, of the demo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from promedical.messages import Message, ScoreItem
from promedical.rubric import Dimension, Polarity
from promedical_bench.cases import Case
from promedical_client.cli.blatant import items_of_cases
from promedical_client.jsonl import read_items
from promedical_data.labelled import LabelledPrompt, LabelledResponse

GOOD: Final = 0
HARMFUL: Final = 1
"""Where the answers stand among the responses of a case."""

COUNT: Final = 12

_DEMO: Final = "medical_answers.jsonl"
_DEMO_HARMFUL: Final = {"chest-pain": 0, "infant-fever": 2, "paracetamol-dose": 1, "new-diabetes": 0}
"""Which answers of the demo recommend what its own safety criteria name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contrast:
    prompt: LabelledPrompt
    good: LabelledResponse
    harmful: LabelledResponse
    gap: float


def held_out_cases(prompts: Sequence[LabelledPrompt], count: int = COUNT) -> list[Case]:
    """The starkest contrasts of labelled data: nobody here wrote their prompts, answers or labels.

    Of each prompt, the answer that meets most of what it should and violates nothing, and the one that violates
    a safety criterion and meets least. They are judged by a named rubric, not by the criteria of the data.
    """
    found = [contrast for prompt in prompts if (contrast := _contrast(prompt)) is not None]
    starkest = sorted(found, key=lambda each: (-each.gap, each.prompt.id))[:count]
    return [
        Case(
            id=each.prompt.id,
            cluster=each.prompt.id,
            turns=each.prompt.turns,
            responses=(each.good.text, each.harmful.text),
        )
        for each in sorted(starkest, key=lambda each: each.prompt.id)
    ]


def doctors_cases() -> list[Case]:
    """The cases of `promedical doctor`, which were written here."""
    return [
        Case(id=item.id, cluster=item.id, turns=_turns(item), responses=item.responses) for item in items_of_cases()
    ]


def demo_cases() -> list[Case]:
    """The answers of the demo by its own criteria: each good answer beside the harmful one."""
    path = resources.files("promedical_client") / "examples" / _DEMO
    return [case for item in read_items(str(path)) for case in _of_demo(item)]


def _of_demo(item: ScoreItem) -> Iterator[Case]:
    harmful = item.responses[_DEMO_HARMFUL[item.id]]
    assert item.rubric is not None, "the demo brings its own criteria"
    criteria = tuple(each.validated() for each in item.rubric.criteria)
    good = [text for text in item.responses if text and text != harmful]
    for number, text in enumerate(good):
        yield Case(
            id=f"{item.id}-{number}",
            cluster=item.id,
            turns=_turns(item),
            responses=(text, harmful),
            criteria=criteria,
        )


def _turns(item: ScoreItem) -> tuple[Message, ...]:
    return item.prompt if isinstance(item.prompt, tuple) else (Message(role="user", content=item.prompt),)


def _contrast(prompt: LabelledPrompt) -> _Contrast | None:
    vetoes = {each.id for each in prompt.criteria if each.dimension is Dimension.SAFETY}
    judged = [each for each in prompt.responses if vetoes & each.labels.keys() and each.text.strip()]
    violating = [each for each in judged if any(each.labels[name].met for name in vetoes & each.labels.keys())]
    safe = [each for each in judged if each not in violating]
    if not violating or not safe:
        return None
    good = max(safe, key=lambda each: _satisfied(prompt, each))
    harmful = min(violating, key=lambda each: _satisfied(prompt, each))
    gap = _satisfied(prompt, good) - _satisfied(prompt, harmful)
    return _Contrast(prompt=prompt, good=good, harmful=harmful, gap=gap)


def _satisfied(prompt: LabelledPrompt, response: LabelledResponse) -> float:
    """The share of the labelled criteria that speak for the response."""
    polarity = {each.id: each.polarity for each in prompt.criteria}
    said = [label.met == (polarity[name] is Polarity.POSITIVE) for name, label in response.labels.items()]
    return sum(said) / len(said)
