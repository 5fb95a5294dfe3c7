"""Whether the endpoints of the stages that will ask are up, have their keys, and take the stages' schemas."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from promedical_curation.asking.checking import Schema, check_endpoints
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request, canonical_json, digest
from promedical_curation.asking.store import Store
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.pipeline.worker import requests_about
from promedical_curation.rows import Row

_SAMPLE: Final = 50


def check_readiness(asked: Iterable[tuple[RowStage, Iterable[Row] | None]], store: Store, run: str) -> None:
    """Check the endpoints of these stages, each with its rows as far as they are known.

    What was checked for the run before is not checked again. Neither is a stage whose answers are all in the store:
    deciding again needs no server.

    Raises:
        CurationError: Some endpoint cannot be used. The message has a line for every problem.
    """
    checks = dict[str, tuple[Endpoint, list[Schema]]]()
    for stage, rows in asked:
        requests = None if rows is None else _requests(stage, rows)
        if requests is not None and len(store.known([each.key for each in requests])) == len(requests):
            continue
        for endpoint in stage.endpoints:
            _, schemas = checks.setdefault(endpoint.name, (endpoint, []))
            schemas += _schemas(endpoint, requests or [])
    due = {_mark(*check): check for check in checks.values()}
    for mark in store.checked(run):
        due.pop(mark, None)
    if due:
        asyncio.run(check_endpoints(due.values()))
        store.note_checked(run, list(due))


def _requests(stage: RowStage, rows: Iterable[Row]) -> list[Request]:
    """The different requests about the first rows."""
    asked = (request for row in islice(rows, _SAMPLE) for request in requests_about(stage, row))
    return list({request.key: request for request in asked}.values())


def _schemas(endpoint: Endpoint, requests: Sequence[Request]) -> list[Schema]:
    found = {canonical_json(each.schema): each.schema for each in requests if each.schema and each.to == endpoint.name}
    return list(found.values())


def _mark(endpoint: Endpoint, schemas: Sequence[Schema]) -> str:
    parts = [endpoint.base_url, endpoint.model, endpoint.key_env, endpoint.output, endpoint.logprobs, list(schemas)]
    return digest(canonical_json(parts))
