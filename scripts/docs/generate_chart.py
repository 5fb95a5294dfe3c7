"""Writes what the chart takes from the service: the schema of `settings`, made from the settings themselves.

`--check` changes nothing and fails if the schema is stale.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from promedical_service.settings import Settings

SCHEMA: Final = Path(__file__).resolve().parents[2] / "helm" / "promedical" / "values.schema.json"
OWNED: Final = frozenset(
    {"config", "host", "rest_port", "grpc_port", "health_port", "engine", "model", "revision", "rubric_dir"}
    | {"keys_file", "tls_cert_file", "tls_key_file", "tls_client_ca_file", "drain_s", "tensor_parallel"}
)
"""Settings that the chart sets itself, from values with other names."""


def settings_schema() -> dict[str, Any]:
    """One property per setting that a user may give under `settings`."""
    properties = Settings.model_json_schema()["properties"]
    free = {name: _property(schema) for name, schema in properties.items() if name not in OWNED}
    return {"type": "object", "additionalProperties": False, "properties": free}


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without what only pydantic needs; "number or null" becomes a number, since null is left out."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    kept = {name: value for name, value in kinds[0].items() if name not in {"title", "default", "format"}}
    return {**kept, "description": schema["description"]}


def main() -> int:
    """Write or check; return the exit code."""
    old = SCHEMA.read_text(encoding="utf-8")
    schema = json.loads(old)
    schema["properties"]["settings"] = settings_schema()
    new = json.dumps(schema, indent=2) + "\n"
    if "--check" not in sys.argv:
        SCHEMA.write_text(new, encoding="utf-8")
        return 0
    if new != old:
        print("helm/promedical/values.schema.json is stale; run 'make chart-docs'")
        return 1
    print("the chart's schema is that of the settings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
