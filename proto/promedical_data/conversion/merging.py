"""Several rows about one prompt, as one prompt: all criteria, all responses, all labels. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_data.skips import Place, Refusal


def merged(prompts: Sequence[tuple[LabelledPrompt, Place]]) -> tuple[LabelledPrompt, list[int]]:
    """One prompt for all of them, and which of them are in it: one that contradicts those before it is noted."""
    whole, _ = prompts[0]
    used = [0]
    for number, (prompt, place) in enumerate(prompts[1:], start=1):
        try:
            whole = _joined(whole, prompt, place)
            used.append(number)
        except Refusal as error:
            place.skip("row", str(error))
    return whole, used


def _joined(whole: LabelledPrompt, prompt: LabelledPrompt, place: Place) -> LabelledPrompt:
    if prompt.preferences or whole.preferences:
        raise Refusal("id: is the same as that of an earlier row")
    if prompt.turns != whole.turns:
        raise Refusal("prompt: is another one than in an earlier row with the same id")
    criteria = whole.criterion_by_id
    for criterion in prompt.criteria:
        if criteria.setdefault(criterion.id, criterion) != criterion:
            raise Refusal("criteria: one of them counts otherwise in an earlier row of the same prompt")
    responses = {response.id: response for response in whole.responses}
    for position, response in enumerate(prompt.responses, start=1):
        here = place.at("response", response.id, position)
        responses[response.id] = _answered(responses.get(response.id), response, here)
    return replace(whole, criteria=tuple(criteria.values()), responses=tuple(responses.values()))


def _answered(known: LabelledResponse | None, response: LabelledResponse, place: Place) -> LabelledResponse:
    """A response with the labels of both rows; what was said first holds."""
    if known is None:
        return response
    if known.text != response.text:
        place.skip("response", "id: is that of another response in an earlier row of the same prompt")
        return known
    for criterion in known.labels.keys() & response.labels.keys():
        place.at("criterion", criterion, 1).skip("label", "is given in an earlier row already")
    more = {criterion: label for criterion, label in response.labels.items() if criterion not in known.labels}
    return replace(known, labels={**known.labels, **more})
