"""The OpenAPI document of the REST edge, built from the classes of `promedical.messages`."""

import json
from importlib.resources import files
from typing import Any, Final

from pydantic import TypeAdapter

import promedical
from promedical import messages
from promedical.errors import ERROR_TABLE, ErrorCode
from promedical_service.edges.dropins.catalog import DROP_INS
from promedical_service.edges.dropins.format import DropIn, Options
from promedical_service.edges.dropins.models import ModelList
from promedical_service.edges.dropins.nemo_gym import SEED_SESSION
from promedical_service.edges.rest.problems import PROBLEM_TYPE, Problem

_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{model}"
_ALWAYS: Final = frozenset({401, 404, 429, 500, 503})
_WITH_BODY: Final = frozenset({412, 413, 415, 422, 504})
_TITLES: Final = {
    404: "No such path or rubric",
    415: "The content type is not application/json",
    503: "Starting, draining, overloaded, or the engine is lost",
    429: "This API key sends too fast, or the queue is full and the operator chose 429 for that",
}

READY_PATHS: Final = {"/readyz": "Readyz", "/health": "Health", "/ping": "Ping"}
"""Where it is answered whether new requests are taken: for Kubernetes, and where clients of model servers ask."""
EXAMPLE: Final[dict[str, Any]] = json.loads((files(__package__) / "example_request.json").read_text("utf-8"))
_OPTIONS: Final[dict[str, Any]] = TypeAdapter(Options).json_schema()["properties"]
_RANK_EXAMPLE: Final = {name: EXAMPLE["items"][0][name] for name in ("prompt", "responses", "rubric")}


def openapi_document(*, keys_required: bool) -> dict[str, Any]:
    """The document; if keys are needed, every path except health, readiness and metrics says so."""
    refs, definitions = _schemas()
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "ProMedical",
            "version": promedical.__version__,
            "description": "Judges medical answers criterion by criterion, with the names of promedical.v1 over gRPC.",
        },
        "paths": _paths(refs),
        "components": {"schemas": definitions},
    }
    if keys_required:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
    return document


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """The reference for each class name, and the definitions that the references point to."""
    asked: tuple[Any, ...] = (messages.ScoreRequest, messages.RankRequest)
    answered: tuple[Any, ...] = (
        messages.ScoreResponse,
        messages.RankResponse,
        messages.RubricList,
        messages.RubricInfo,
        messages.ModelInfo,
        ModelList,
        Problem,
    )
    inputs = [(kind.__name__, "validation", TypeAdapter(kind)) for kind in asked]
    outputs = [(kind.__name__, "serialization", TypeAdapter(kind)) for kind in answered]
    for drop_in in DROP_INS:
        inputs.append((f"{drop_in.method}Request", "validation", TypeAdapter(drop_in.request)))
        outputs.append((f"{drop_in.method}Response", "serialization", TypeAdapter(drop_in.answer)))
    refs, rest = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=_REF)  # type: ignore[list-item]
    definitions = rest["$defs"]
    definitions["ScoreRequest"]["properties"]["items"]["minItems"] = 1  # the type cannot express this
    return {name: schema for (name, _), schema in refs.items()}, definitions


def _paths(refs: dict[str, Any]) -> dict[str, Any]:
    return {
        "/v1/score": {"post": _post("ScoreBatch", "Score items", refs, "Score", EXAMPLE)},
        "/v1/rank": {"post": _post("RankResponses", "Put responses in order", refs, "Rank", _RANK_EXAMPLE)},
        "/v1/rubrics": {"get": _get("ListRubrics", "Rubrics known by name", refs["RubricList"])},
        "/v1/rubrics/{id}": {"get": {**_get("GetRubric", "One rubric", refs["RubricInfo"]), "parameters": [_ID]}},
        "/v1/model": {"get": _get("GetModel", "What the oracle is: pin its fingerprint", refs["ModelInfo"])},
        "/v1/models": {"get": _get("ListModels", "The oracle in OpenAI's list of models", refs["ModelList"])},
        **{path: {"post": _drop_in(drop_in, path, refs)} for drop_in in DROP_INS for path in drop_in.paths},
        SEED_SESSION: {"post": _seed_session()},
        "/healthz": {"get": _probe("Healthz", "200 unless the engine is lost")},
        **{path: {"get": _probe(name, "200 while new requests are taken")} for path, name in READY_PATHS.items()},
        "/metrics": {"get": _metrics()},
    }


_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "`id@version`, or `id` for its newest version.",
    "schema": {"type": "string", "minLength": 1},
}
_TIMEOUT: Final = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "description": "Milliseconds after which the caller stops waiting.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 86_400_000},
}


def _post(name: str, summary: str, refs: dict[str, Any], stem: str, example: dict[str, Any]) -> dict[str, Any]:
    operation = _get(name, summary, refs[f"{stem}Response"])
    operation["parameters"] = [_TIMEOUT]
    operation["requestBody"] = {
        "required": True,
        "content": {_JSON: {"schema": refs[f"{stem}Request"], "example": example}},
    }
    operation["responses"] |= _problems(_WITH_BODY)
    return operation


def _drop_in(drop_in: DropIn, path: str, refs: dict[str, Any]) -> dict[str, Any]:
    prefix = path.split("/")[1].upper() if path.count("/") > 1 else ""
    operation = _post(
        f"{drop_in.method}{prefix or ('AtRoot' if path == '/' else '')}",
        drop_in.summary,
        refs,
        drop_in.method,
        drop_in.example,
    )
    options = {name: schema for name, schema in _OPTIONS.items() if name != "answer" or drop_in.has_two_answers}
    operation["parameters"] = [_TIMEOUT, *(_query(name, schema) for name, schema in options.items())]
    return operation


def _seed_session() -> dict[str, Any]:
    operation = _get(
        "SeedSession", "For NeMo-Gym, which calls it before each rollout; nothing is kept", {"type": "object"}
    )
    operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": {"type": "object"}, "example": {}}}}
    operation["responses"] |= _problems(_WITH_BODY)
    return operation


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": schema["description"],
        "schema": {key: value for key, value in schema.items() if key in {"enum", "anyOf", "type", "default"}},
    }


def _get(name: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": _good(schema) | _problems(_ALWAYS)}


def _probe(name: str, summary: str) -> dict[str, Any]:
    state = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    responses = _good(state) | _problems(frozenset({503}))
    return {"operationId": name, "summary": summary, "responses": responses, "security": []}


def _metrics() -> dict[str, Any]:
    good = {"200": {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {"operationId": "Metrics", "summary": "Metrics", "responses": good, "security": []}


def _good(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "OK", "content": {_JSON: {"schema": schema}}}}


def _problems(statuses: frozenset[int]) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {
        str(status): {"description": _title(status), "content": {PROBLEM_TYPE: {"schema": schema}}}
        for status in sorted(statuses)
    }


def _title(status: int) -> str:
    rows = (
        row.title for code, row in ERROR_TABLE.items() if row.http_status == status and code is not ErrorCode.CANCELLED
    )
    return _TITLES.get(status) or next(rows)
