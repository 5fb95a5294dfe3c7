"""Small labelled prompts for tests of data, training and measuring; every text differs, so that mix-ups show."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from hypothesis import strategies as st

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse, Preference

OPPOSITE = {Polarity.POSITIVE: Polarity.NEGATIVE, Polarity.NEGATIVE: Polarity.POSITIVE}
WORDS = ("rest", "water", "dose", "doctor", "fever", "days", "drink", "wait", "hours", "headache")


def a_criterion(
    name: str,
    dimension: Dimension = Dimension.PROFICIENCY,
    polarity: Polarity | None = None,
    text: str | None = None,
) -> Criterion:
    """Worded after its name."""
    return Criterion(id=name, text=text or f"States {name}.", dimension=dimension, polarity=polarity)


def a_response(name: str, met: Mapping[str, bool] | None = None, text: str | None = None) -> LabelledResponse:
    """With the given labels by criterion id."""
    labels = {key: Label(met=value, kind="llm", votes=(value,)) for key, value in (met or {}).items()}
    return LabelledResponse(id=name, text=text or f"Answer {name}.", labels=labels)


def a_prompt(
    name: str,
    criteria: Sequence[Criterion],
    responses: Sequence[LabelledResponse],
    preferences: Sequence[Preference] = (),
) -> LabelledPrompt:
    """One question."""
    return LabelledPrompt(
        id=name,
        source="test",
        turns=(Message(role="user", content=f"Question {name}?"),),
        criteria=tuple(criteria),
        responses=tuple(responses),
        preferences=tuple(preferences),
    )


def judged(name: str, *, responses: int, criteria: int, unlabelled: int = 0) -> LabelledPrompt:
    """A prompt whose labels differ between responses; every third criterion is a safety one.

    Of the last `unlabelled` criteria only preferences are known: a later response is better.
    """
    dimensions = (Dimension.PROFICIENCY, Dimension.EXCELLENCE, Dimension.SAFETY)
    named = [a_criterion(f"{name}c{i}", dimensions[i % 3]) for i in range(criteria)]
    labelled, compared = named[: criteria - unlabelled], named[criteria - unlabelled :]
    met = [{each.id: (row + i * row) % 3 != 1 for i, each in enumerate(labelled)} for row in range(responses)]
    answers = [
        a_response(f"{name}r{row}", met[row], " ".join(WORDS[: 2 + row % 9]) + f" {name} {row}")
        for row in range(responses)
    ]
    preferences = [
        Preference(criterion=each.id, winner=winner.id, loser=loser.id)
        for each in compared
        for loser, winner in combinations(answers, 2)
    ]
    return a_prompt(name, named, answers, preferences)


def with_opposite_polarity(prompt: LabelledPrompt) -> LabelledPrompt:
    """The prompt with every criterion's polarity turned; safety criteria can only be negative and stay."""
    return replace(prompt, criteria=tuple(map(_turned, prompt.criteria)))


def _turned(criterion: Criterion) -> Criterion:
    if criterion.dimension is Dimension.SAFETY or criterion.polarity is None:
        return criterion
    return replace(criterion, polarity=OPPOSITE[criterion.polarity])


@st.composite
def labelled_prompts(draw: st.DrawFn, max_responses: int = 11, max_criteria: int = 6) -> LabelledPrompt:
    """Prompts of every shape: labels and preferences missing here and there, any dimension and polarity."""
    criteria = [
        a_criterion(f"c{index}", dimension, None if dimension is Dimension.SAFETY else polarity)
        for index, (dimension, polarity) in enumerate(
            draw(
                st.lists(
                    st.tuples(st.sampled_from(Dimension), st.sampled_from(Polarity)),
                    min_size=1,
                    max_size=max_criteria,
                )
            )
        )
    ]
    names = [criterion.id for criterion in criteria]
    labels = st.dictionaries(st.sampled_from(names), st.booleans())
    responses = [
        a_response(f"r{index}", met)
        for index, met in enumerate(draw(st.lists(labels, min_size=1, max_size=max_responses)))
    ]
    ids = st.sampled_from([response.id for response in responses])
    preferences = st.builds(Preference, criterion=st.sampled_from(names), winner=ids, loser=ids)
    chosen = (
        draw(st.lists(preferences.filter(lambda each: each.winner != each.loser), max_size=4))
        if len(responses) > 1
        else []
    )
    return a_prompt(draw(st.sampled_from(("a", "b", "order"))), criteria, responses, chosen)
