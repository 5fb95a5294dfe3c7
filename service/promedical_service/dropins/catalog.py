"""Every drop-in, and how a request to one is read."""

from collections.abc import Iterable
from typing import Final

from pydantic import TypeAdapter, ValidationError

from promedical_service.bodies import parse_strictly, validate_body, violations
from promedical_service.dropins.classify import CLASSIFY
from promedical_service.dropins.nemo_gym import VERIFY
from promedical_service.dropins.openrlhf import GET_REWARD
from promedical_service.dropins.rerank import RERANK
from promedical_service.dropins.shape import Asked, DropIn, Options
from promedical_service.dropins.slime import REMOTE_RM
from promedical_service.dropins.tei import PREDICT
from promedical_service.failures import Violation, invalid

DROP_INS: Final = (GET_REWARD, REMOTE_RM, CLASSIFY, VERIFY, RERANK, PREDICT)

_MAX_FIELDS: Final = 512
"""Of one object: rows of data sets are wide."""
_OPTIONS: Final = TypeAdapter(Options)
_BODIES: Final = {drop_in.method: TypeAdapter(drop_in.request) for drop_in in DROP_INS}


def read_request(drop_in: DropIn, body: bytes, query: Iterable[tuple[str, str]]) -> Asked:
    """Decode the body and the query parameters of a request.

    Raises:
        Refusal: invalid_request, with the path of each field at fault.
    """
    options = _read_options(list(query))
    raw = parse_strictly(body, max_fields=_MAX_FIELDS)
    return Asked(body=validate_body(_BODIES[drop_in.method], body), raw=raw, options=options)


def _read_options(query: list[tuple[str, str]]) -> Options:
    given = dict(query)
    if len(given) != len(query):
        raise invalid([Violation(field="", message="A query parameter is given twice; give each once")])
    try:
        return _OPTIONS.validate_python(given)
    except ValidationError as error:
        raise invalid(violations(error)) from None
