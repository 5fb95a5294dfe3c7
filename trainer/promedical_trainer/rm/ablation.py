"""Views of the data for ablations: what the model would learn without criteria, or without safety data. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse, Preference
from promedical_data.variants import SCALAR


def without_safety(prompts: Iterable[LabelledPrompt]) -> list[LabelledPrompt]:
    """Prompts without their safety criteria; one that has no others is left out."""
    kept = (
        _restricted(prompt, {c.id for c in prompt.criteria if c.dimension is not Dimension.SAFETY})
        for prompt in prompts
    )
    return [prompt for prompt in kept if prompt.criteria]


def without_criteria(prompts: Iterable[LabelledPrompt]) -> list[LabelledPrompt]:
    """Prompts whose criteria all read alike, "met" meaning good: scalar Bradley-Terry on the same pairs and weights."""
    return [_anonymous(prompt) for prompt in prompts]


def scalar_sign(criterion: Criterion) -> int:
    """What a scalar says of the criterion as worded: a good answer does not meet a negative one."""
    return 1 if criterion.polarity is Polarity.POSITIVE else -1


def _anonymous(prompt: LabelledPrompt) -> LabelledPrompt:
    negative = {each.id for each in prompt.criteria if scalar_sign(each) < 0}
    return replace(
        prompt,
        criteria=tuple(replace(each, text=SCALAR.text) for each in prompt.criteria),
        responses=tuple(replace(each, labels=_flipped(each.labels, negative)) for each in prompt.responses),
        preferences=tuple(_turned(each) if each.criterion in negative else each for each in prompt.preferences),
    )


def _flipped(labels: Mapping[str, Label], negative: set[str]) -> dict[str, Label]:
    return {
        criterion: Label(met=not label.met, kind=label.kind, votes=tuple(not vote for vote in label.votes))
        if criterion in negative
        else label
        for criterion, label in labels.items()
    }


def _turned(preference: Preference) -> Preference:
    return replace(preference, winner=preference.loser, loser=preference.winner)


def _restricted(prompt: LabelledPrompt, criteria: set[str]) -> LabelledPrompt:
    return replace(
        prompt,
        criteria=tuple(each for each in prompt.criteria if each.id in criteria),
        responses=tuple(_labelled_by(each, criteria) for each in prompt.responses),
        preferences=tuple(each for each in prompt.preferences if each.criterion in criteria),
    )


def _labelled_by(response: LabelledResponse, criteria: set[str]) -> LabelledResponse:
    return replace(response, labels={name: label for name, label in response.labels.items() if name in criteria})
