"""What the SDK refuses to send, and what it refuses to believe. Pure.

Whether a prompt or a rubric makes sense is for the service to judge. The checks here find what would go wrong
before a request gets there, and answers that no caller could use safely.
"""

import math
from collections.abc import Sequence

from promedical import messages as m
from promedical.rubric import InvalidField, check_encodable
from promedical_client.errors import InvalidRequestError, ProtocolError


def check_items(items: Sequence[m.ScoreItem]) -> None:
    """Refuse a job that cannot be answered.

    Raises:
        InvalidRequestError: There are no items, an id is used twice, a prompt or responses have the wrong type, or
            a text is not valid Unicode.
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
    """Refuse easy mistakes, such as one response instead of a list, and text that no wire can carry.

    Raises:
        InvalidRequestError: A field is wrong; the error names it.
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
    """Values that are not strings are left to the codec, which knows every field."""
    try:
        check_encodable(text if isinstance(text, str) else "", field)
    except InvalidField as error:
        raise InvalidRequestError(f"{error}") from None


def check_answer(request: m.ScoreRequest, answer: m.ScoreResponse) -> None:
    """Refuse an answer that is not exactly one outcome per item and per response.

    Raises:
        ProtocolError: The answer breaks the contract; the error says how.
    """
    if [item.id for item in request.items] != [item.id for item in answer.items]:
        raise ProtocolError("the answer does not hold one outcome per item, in order")
    for asked, outcome in zip(request.items, answer.items, strict=True):
        check_outcome(len(asked.responses), outcome.error, outcome.result)


def check_outcome(responses: int, error: m.ErrorInfo | None, result: m.ItemResult | None) -> None:
    """Refuse an outcome that does not hold exactly one of error and result, or a result that is incomplete.

    A number that is not finite is refused too.

    Raises:
        ProtocolError: The answer breaks the contract; the error says how.
    """
    if (error is None) is (result is None):
        raise ProtocolError("an item of the answer holds both or neither of error and result")
    if result is None:
        return
    if len(result.responses) != responses:
        raise ProtocolError(f"an item has {responses} responses, but its answer has {len(result.responses)}")
    for response in result.responses:
        _check_response(response)
    scored = [index for index, response in enumerate(result.responses) if response.scores]
    if sorted(index for group in result.ranking for index in group) != scored:
        raise ProtocolError("a ranking does not hold every scored response once")


def _check_response(outcome: m.ResponseOutcome) -> None:
    scores = outcome.scores
    if (outcome.error is None) is (scores is None):
        raise ProtocolError("a response of the answer holds both or neither of error and scores")
    if scores is None:
        return
    numbers = [scores.reward, scores.proficiency or 0.0]
    for criterion in scores.criteria:
        numbers += [criterion.logit, criterion.probability, criterion.threshold]
    if not all(map(math.isfinite, numbers)):
        raise ProtocolError("the answer holds a number that is not finite; a failure must be an error, not a number")
