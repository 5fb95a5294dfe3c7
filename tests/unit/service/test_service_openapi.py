"""The OpenAPI document: complete, and a frozen surface."""

import json

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical_service.edges.rest.openapi import openapi_document


def test_openapi_paths_and_fields_are_a_frozen_surface(snapshot):
    document = openapi_document(keys_required=True)
    lines = [
        f"{method.upper()} {path} {' '.join(sorted(operation['responses']))}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"{name}.{field}" for field in schema.get("properties", {})]
    snapshot("service_openapi.txt", "\n".join(lines) + "\n")


def test_openapi_documents_every_status_of_the_error_table():
    operation = openapi_document(keys_required=False)["paths"]["/v1/score"]["post"]
    possible = {
        str(row.http_status)
        for code, row in ERROR_TABLE.items()
        if code not in (ErrorCode.CANCELLED, ErrorCode.FORBIDDEN)
    }
    assert possible <= operation["responses"].keys()


def test_openapi_every_reference_resolves():
    document = openapi_document(keys_required=False)
    names = document["components"]["schemas"].keys()
    found = json.dumps(document).split('"#/components/schemas/')[1:]
    assert {reference.partition('"')[0] for reference in found} <= names


def test_openapi_asks_for_keys_only_where_they_are_asked_for():
    assert "security" not in openapi_document(keys_required=False)
    document = openapi_document(keys_required=True)
    assert document["security"]
    assert document["paths"]["/healthz"]["get"]["security"] == []


def test_openapi_says_that_a_request_needs_an_item():
    schemas = openapi_document(keys_required=False)["components"]["schemas"]
    assert schemas["ScoreRequest"]["properties"]["items"]["minItems"] == 1
