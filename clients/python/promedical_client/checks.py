"""What the SDK refuses to send, and what it refuses to believe. Pure.

Whether a prompt or a rubric makes sense is the service's to judge; here stands only what would go wrong
before it gets there, and answers that no caller could use safely.
"""

import math
from collections.abc import Sequence

from promedical import messages as m
from promedical.rubric import InvalidField, check_encodable
from promedical_client.errors import InvalidRequestError, ProtocolError


def check_items(items: Sequence[m.ScoreItem]) -> None:
    """Refuse a job that has no answer.

    Raises:
        InvalidRequestError: No items, an id used twice, a prompt or responses of the wrong type, or text that is none.
    """
    if not items:
        raise InvalidRequestError("items: is empty; send at least one")
    first_at: dict[str, int] = {}
    for position, item in enumerate(items):
        if first_at.setdefault(item.id, position) != position:
            raise InvalidRequestError(
                f"items[{position}].id: is the same as that of items[{first_at[item.id]}]; ids are unique in a call"
            )
        check_question(item.prompt, item.responses, f"items[{position}].")
        for number, criterion in enumerate(item.rubric.criteria if item.rubric else ()):
            _check_text(criterion.text, f"items[{position}].rubric.criteria[{number}].text")


def check_question(prompt: str | Sequence[m.Message], responses: Sequence[str], path: str = "") -> None:
    """Refuse what is easily mistaken, as one response where a list of them is due, and text that no wire can carry.

    Raises:
        InvalidRequestError: Names the field.
    """
    if not isinstance(prompt, str) and not all(isinstance(turn, m.Message) for turn in prompt):
        raise InvalidRequestError(f"{path}prompt: expected a string or a sequence of Message")
    # As a sequence, a string would be one response per character.
    if isinstance(responses, str) or not all(isinstance(response, str) for response in responses):
        raise InvalidRequestError(f"{path}responses: expected a list of strings")
    for position, turn in enumerate([prompt] if isinstance(prompt, str) else [turn.content for turn in prompt]):
        _check_text(turn, f"{path}prompt" if isinstance(prompt, str) else f"{path}prompt[{position}].content")
    for position, response in enumerate(responses):
        _check_text(response, f"{path}responses[{position}]")


def _check_text(text: object, field: str) -> None:
    """What is no string at all is left to the codec, which knows every field."""
    try:
        check_encodable(text if isinstance(text, str) else "", field)
    except InvalidField as error:
        raise InvalidRequestError(f"{error}") from None


def check_answer(request: m.ScoreRequest, answer: m.ScoreResponse) -> None:
    """Refuse an answer that is not exactly one outcome per item and per response.

    Raises:
        ProtocolError: Says what is wrong with it.
    """
    if [item.id for item in request.items] != [item.id for item in answer.items]:
        raise ProtocolError("the answer does not hold one outcome per item, in order")
    for asked, outcome in zip(request.items, answer.items, strict=True):
        check_outcome(len(asked.responses), outcome.error, outcome.result)


def check_outcome(responses: int, error: m.ErrorInfo | None, result: m.ItemResult | None) -> None:
    """Refuse an outcome that is not exactly one of error and result, or a result that is not whole and finite.

    Raises:
        ProtocolError: Says what is wrong with it.
    """
    if (error is None) is (result is None):
        raise ProtocolError("an item of the answer holds both or none of error and result")
    if result is None:
        return
    if len(result.responses) != responses:
        raise ProtocolError(f"an item has {responses} responses and the answer to it {len(result.responses)}")
    for response in result.responses:
        _check_response(response)
    scored = [index for index, response in enumerate(result.responses) if response.scores]
    if sorted(index for group in result.ranking for index in group) != scored:
        raise ProtocolError("a ranking does not hold every scored response once")


def _check_response(outcome: m.ResponseOutcome) -> None:
    scores = outcome.scores
    if (outcome.error is None) is (scores is None):
        raise ProtocolError("a response of the answer holds both or none of error and scores")
    if scores is None:
        return
    numbers = [scores.reward, scores.proficiency or 0.0]
    for criterion in scores.criteria:
        numbers += [criterion.logit, criterion.probability, criterion.threshold]
    if not all(map(math.isfinite, numbers)):
        raise ProtocolError("the answer holds a number that is not finite; a failure must be an error, not a number")
