"""What the SDK refuses to send, and what it refuses to believe. Pure.

Whether a prompt or a rubric makes sense is for the service to judge. The checks here find what would go wrong
before a request gets there, and answers that no caller could use safely.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from promedical import messages as m
from promedical.pins import differing
from promedical.rubric import InvalidField, check_encodable
from promedical_client.errors import InvalidRequestError, MisconfiguredError, ProtocolError, RevisionMismatchError


def check_items(items: Sequence[m.ScoreItem]) -> None:
    """Refuse a job that cannot be answered.

    Raises:
        InvalidRequestError: There are no items, an id is used twice, a prompt or responses have the wrong type, or
            a text is not valid Unicode.
    """
    if not items:
        raise InvalidRequestError("items: is empty; send at least one")
    for position, item in enumerate(items):
        if not isinstance(item, m.ScoreItem):
            raise InvalidRequestError(f"items[{position}]: is of type {type(item).__name__}; expected ScoreItem")
    first_at: dict[str, int] = {}
    for position, item in enumerate(items):
        if first_at.setdefault(item.id, position) != position:
            raise InvalidRequestError(
                f"items[{position}].id: is the same as that of items[{first_at[item.id]}]; ids are unique in a call"
            )
        check_question(item.prompt, item.responses, f"items[{position}].")
        for number, criterion in enumerate(item.rubric.criteria if item.rubric else ()):
            check_text(criterion.text, f"items[{position}].rubric.criteria[{number}].text")


def check_settings(timeout_s: float, max_attempts: int, max_in_flight: int) -> None:
    """Refuse settings of a client that cannot work.

    Raises:
        MisconfiguredError: One of them has a wrong type, or is too small; the error names it.
    """
    check_timeout("timeout_s", timeout_s)
    if not timeout_s > 0:
        raise MisconfiguredError(f"timeout_s: {_shown(timeout_s)}; expected seconds above 0")
    for name, given in (("max_attempts", max_attempts), ("max_in_flight", max_in_flight)):
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise MisconfiguredError(f"{name}: {_shown(given)}; expected a whole number, 1 or more")


def check_timeout(name: str, given: float | None) -> None:
    """Refuse a timeout that is no number; None is none, and what is not above 0 is over already.

    Raises:
        MisconfiguredError: It is not; the error names it.
    """
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float)):
        raise MisconfiguredError(f"{name}: {_shown(given)}; expected seconds, or math.inf")


def _shown(given: object) -> str:
    return f"is {given}" if isinstance(given, int | float) else f"is of type {type(given).__name__}"


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
        check_text(turn, f"{path}prompt" if isinstance(prompt, str) else f"{path}prompt[{position}].content")
    for position, response in enumerate(responses):
        check_text(response, f"{path}responses[{position}]")


def check_text(text: object, field: str) -> None:
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
    check_rubrics(request, answer.rubrics, [outcome.result for outcome in answer.items])


def pins_to_send(pins: Iterable[m.RubricPin], named: Iterable[str | None]) -> tuple[m.RubricPin, ...]:
    """The pins of a request, given the rubrics that it names: without any, no service has to know about pins."""
    return tuple(pins) if any(name is not None for name in named) else ()


def check_rubrics(
    request: m.ScoreRequest, used: Sequence[m.UsedRubric], results: Sequence[m.ItemResult | None]
) -> None:
    """Refuse an answer by other rubrics than expected: a service that does not know pins ignores them over gRPC.

    Such a service does not list the rubrics of a request, but it names the one of an item without a base rubric.

    Raises:
        RevisionMismatchError: A rubric is not the expected one.
    """
    why = differing(request.expected_rubrics, used or _named_by_results(request.items, results))
    if why is not None:
        raise RevisionMismatchError(f"expected_rubrics: {why}")


def _named_by_results(items: Sequence[m.ScoreItem], results: Sequence[m.ItemResult | None]) -> Iterator[m.UsedRubric]:
    for item, result in zip(items, results, strict=True):
        if result is not None and result.rubric.id is not None:
            name, ref = item.rubric_id or item.base_rubric_id or "", result.rubric
            yield m.UsedRubric(name=name, id=ref.id or "", version=ref.version or "", sha256=ref.sha256)


def check_outcome(responses: int, error: m.ErrorInfo | None, result: m.ItemResult | None) -> None:
    """Refuse an outcome that does not hold exactly one of error and result, or a result that is incomplete.

    A number that is not finite is refused too.

    Raises:
        ProtocolError: The answer breaks the contract; the error says how.
    """
    if (error is None) is (result is None):
        raise ProtocolError(f"an item of the answer {_held(error)} error and result; expected one of them")
    if result is None:
        return
    if len(result.responses) != responses:
        raise ProtocolError(f"an item has {responses} responses, but its answer has {len(result.responses)}")
    for response in result.responses:
        _check_response(response)
    scored = [index for index, response in enumerate(result.responses) if response.scores]
    if sorted(index for group in result.ranking for index in group) != scored:
        raise ProtocolError("a ranking does not hold every scored response once")


def _held(either: object) -> str:
    return "holds neither" if either is None else "holds both"


def _check_response(outcome: m.ResponseOutcome) -> None:
    scores = outcome.scores
    if (outcome.error is None) is (scores is None):
        raise ProtocolError(f"a response of the answer {_held(scores)} error and scores; expected one of them")
    if scores is None:
        return
    numbers = [scores.reward, scores.proficiency or 0.0]
    for criterion in scores.criteria:
        numbers += [criterion.logit, criterion.probability, criterion.threshold]
    if not all(map(math.isfinite, numbers)):
        raise ProtocolError("the answer holds a number that is not finite; a failure must be an error, not a number")
