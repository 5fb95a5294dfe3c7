"""From what a caller gives to a request: a wrong type is the request's error, with its place. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from promedical import messages as m
from promedical.pins import named
from promedical.rubric import InvalidField
from promedical_client import checks
from promedical_client.errors import InvalidRequestError


def request_of(items: Iterable[m.ScoreItem], options: Mapping[str, Any]) -> m.ScoreRequest:
    """The whole job as one request, in the lane of the whole, whatever its chunks will hold.

    Raises:
        InvalidRequestError: The job is empty, or something in it is not what it should be.
    """
    if isinstance(items, m.ScoreItem | str | Mapping) or not isinstance(items, Iterable):
        raise InvalidRequestError(f"items: is of type {type(items).__name__}; expected a list of ScoreItem")
    asked = tuple(items)
    checks.check_items(asked)
    with typed():
        request = m.ScoreRequest(items=asked, **options)
    pins = checks.pins_to_send(request.expected_rubrics, named(asked))
    return replace(request, priority=request.lane, expected_rubrics=pins)


@contextmanager
def typed() -> Iterator[None]:
    """Turn a wrong type in a question into the request's error.

    Raises:
        InvalidRequestError: There is one.
    """
    try:
        yield
    except InvalidField as error:
        raise InvalidRequestError(str(error)) from None
