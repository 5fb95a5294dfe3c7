"""Every drop-in, and how a request to one is read."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from promedical_service.edges.dropins.classify import CLASSIFY
from promedical_service.edges.dropins.embeddings import EMBEDDINGS
from promedical_service.edges.dropins.format import Asked, DropIn, Options
from promedical_service.edges.dropins.nemo_gym import VERIFY
from promedical_service.edges.dropins.openrlhf import GET_REWARD
from promedical_service.edges.dropins.rerank import RERANK
from promedical_service.edges.dropins.slime import REMOTE_RM
from promedical_service.edges.dropins.tei import PREDICT
from promedical_service.edges.json_body import validate_body, violations
from promedical_service.edges.strict_json import parse_strictly
from promedical_service.errors import invalid, invalid_field
from promedical_service.limits import CountLimits


def _at_root(raw: Any) -> DropIn:
    return RERANK if isinstance(raw, dict) and "inputs" not in raw and "query" in raw else PREDICT


ROOT: Final = replace(
    PREDICT, paths=("/",), by_body=_at_root, summary="As /predict, or as /rerank for a body with texts"
)
"""Where text-embeddings-inference answers by the kind of its model."""
DROP_INS: Final = (GET_REWARD, REMOTE_RM, CLASSIFY, EMBEDDINGS, VERIFY, RERANK, PREDICT, ROOT)

_MAX_FIELDS: Final = 512
"""The most fields of one object: rows of data sets are wide."""
_OPTIONS: Final = TypeAdapter(Options)
_BODIES: Final = {drop_in.method: TypeAdapter(drop_in.request) for drop_in in DROP_INS}


def read_request(drop_in: DropIn, body: bytes, query: Iterable[tuple[str, str]], limits: CountLimits) -> Asked:
    """Decode the body and the query parameters of a request.

    Raises:
        ServiceError: invalid_request, with the path of each field at fault.
        ServiceError: too_large.
        InvalidField: The expected rubrics cannot be read.
    """
    options = _read_options(drop_in, list(query))
    raw = parse_strictly(body, limits.max_values, max_fields=_MAX_FIELDS, parse_int=int)
    _check_counts(raw, limits)
    drop_in = drop_in.by_body(raw) if drop_in.by_body else drop_in
    return Asked(
        drop_in=drop_in,
        body=validate_body(_BODIES[drop_in.method], body, raw, drop_in.request),
        raw=raw,
        options=options,
    )


def check_session(body: bytes, limits: CountLimits) -> None:
    """Read the body of a request that opens a session; nothing of it is kept.

    Raises:
        ServiceError: invalid_request.
    """
    raw = parse_strictly(body, limits.max_values, max_fields=_MAX_FIELDS, parse_int=int)
    if not isinstance(raw, dict):
        raise invalid_field("", "The body is not a JSON object; send one, such as {}")


def _check_counts(raw: Any, limits: CountLimits) -> None:
    """Look into plain JSON, two levels deep: lists of rows and of messages are no deeper."""
    levels = [raw, *(raw.values() if isinstance(raw, dict) else ())]
    for level in levels:
        for value in level.values() if isinstance(level, dict) else ():
            limits.check_rows("A list of the body", len(value) if isinstance(value, list) else 0)


def _read_options(drop_in: DropIn, query: list[tuple[str, str]]) -> Options:
    given = dict(query)
    if len(given) != len(query):
        raise invalid_field("", "A query parameter is given twice; give each once")
    if "answer" in given and not drop_in.has_two_answers:
        raise invalid_field("answer", "This endpoint has one kind of answer; leave it out")
    try:
        options = _OPTIONS.validate_python(given)
    except ValidationError as error:
        raise invalid(violations(error, Options)) from None
    options.check()
    return options
