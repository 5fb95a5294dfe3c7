"""Generated parts of docs/reference/rest.md: the endpoints and the schemas of the OpenAPI document."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from promedical_service.edges.rest.openapi import openapi_document
from scripts.docs.tables import cell, table

Json = Mapping[str, Any]
REF: Final = re.compile(r'"#/components/schemas/(\w+)"')


def rest_endpoints() -> str:
    """The method, path, body and answer of every endpoint."""
    rows = [_endpoint(method.upper(), path, operation) for method, path, operation in _operations(_document())]
    return table("| endpoint | what it does | request | answer |", rows)


def rest_schemas() -> str:
    """Every schema that an endpoint uses, in the order of first use."""
    document = _document()
    schemas = document["components"]["schemas"]
    return "\n".join(_section(name, schemas[name]) for name in _in_order(document))


def _document() -> Json:
    return openapi_document(keys_required=True)


def _operations(document: Json) -> Iterable[tuple[str, str, Json]]:
    return ((method, path, each) for path, methods in document["paths"].items() for method, each in methods.items())


def _endpoint(method: str, path: str, operation: Json) -> str:
    asked = _body(operation["requestBody"]) if "requestBody" in operation else ""
    answered = _body(operation["responses"]["200"])
    return f"| `{method} {path}` | {cell(operation['summary'])} | {asked} | {answered} |"


def _body(described: Json) -> str:
    (content,) = described["content"].values()
    return kind_of(content["schema"])


def _in_order(document: Json) -> list[str]:
    """Names of schemas, breadth first from the endpoints."""
    schemas = document["components"]["schemas"]
    bodies = [(each.get("requestBody"), each["responses"]) for _, _, each in _operations(document)]
    order = list(dict.fromkeys(REF.findall(json.dumps(bodies))))
    for name in order:
        order += [each for each in dict.fromkeys(REF.findall(json.dumps(schemas[name]))) if each not in order]
    return order


def _section(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        f"| `{field}` | {kind_of(each)} | {_presence(field, each, required)} | {cell(each.get('description'))} |"
        for field, each in schema.get("properties", {}).items()
    ]
    shape = table("| field | type | required | meaning |", rows) if rows else f"It is {kind_of(schema)}.\n"
    described = schema.get("description", "").strip()
    return f"### {name}\n\n" + (f"{' '.join(described.split())}\n\n" if described else "") + shape


def _presence(field: str, schema: Json, required: Iterable[str]) -> str:
    if field in required:
        return "yes"
    default = schema.get("default")
    return "no" if default is None else f"no: `{json.dumps(default)}`"


def kind_of(schema: Json) -> str:
    """A type in words, with links to the schemas that it names."""
    match schema:
        case {"$ref": reference}:
            name = reference.rsplit("/", 1)[-1]
            words = f"[{name}](#{name.lower()})"
        case {"enum": values}:
            words = "one of " + ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            words = f"`{value}`"
        case {"anyOf": choices}:
            words = " or ".join(dict.fromkeys(kind_of(each) for each in choices))
        case {"type": "array", "items": items}:
            words = f"list of {kind_of(items)}"
        case {"type": kind}:
            words = str(kind)
        case _:
            words = "any"
    return words
