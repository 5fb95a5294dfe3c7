"""Predictions of a running service for labelled data, asked for through the SDK as any client would."""

from collections.abc import Iterator, Sequence

from promedical.messages import CriterionSpec, ItemOutcome, RubricSpec, ScoreItem
from promedical_client import Client
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.predictions import Key, Prediction


class UnscoredError(Exception):
    """The service did not score a part of what must be measured; a failure is never a score."""


def predictions(
    client: Client, prompts: Sequence[LabelledPrompt], *, timeout_s: float | None = None
) -> dict[Key, Prediction]:
    """What the service says of every response and every criterion.

    Raises:
        UnscoredError: An item or a response came back with an error; says how many, and the first.
        PromedicalError: The service cannot be asked.
    """
    answer = client.score([_item(prompt, str(number)) for number, prompt in enumerate(prompts)], timeout_s=timeout_s)
    pairs = list(zip(prompts, answer.items, strict=True))
    failed = [failure for prompt, outcome in pairs for failure in _failures(prompt, outcome)]
    if failed:
        raise UnscoredError(f"{len(failed)} responses were not scored, the first: {failed[0]}")
    return {key: said for prompt, outcome in pairs for key, said in _said(prompt, outcome)}


def _item(prompt: LabelledPrompt, name: str) -> ScoreItem:
    return ScoreItem(
        id=name,
        prompt=prompt.turns,
        responses=tuple(each.text for each in prompt.responses),
        rubric=RubricSpec(criteria=tuple(CriterionSpec.of(each) for each in prompt.criteria)),
    )


def _failures(prompt: LabelledPrompt, outcome: ItemOutcome) -> Iterator[str]:
    if outcome.result is None:
        assert outcome.error is not None
        yield f"prompt {prompt.id}: {outcome.error.code}: {outcome.error.message}"
        return
    for response, scored in zip(prompt.responses, outcome.result.responses, strict=True):
        if scored.error is not None:
            yield f"prompt {prompt.id}, response {response.id}: {scored.error.code}: {scored.error.message}"


def _said(prompt: LabelledPrompt, outcome: ItemOutcome) -> Iterator[tuple[Key, Prediction]]:
    assert outcome.result is not None
    for response, scored in zip(prompt.responses, outcome.result.responses, strict=True):
        assert scored.scores is not None
        for each in scored.scores.criteria:
            said = Prediction(logit=each.logit, probability=each.probability, met=each.met)
            yield (prompt.id, response.id, each.id), said
