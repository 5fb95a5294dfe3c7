"""Writes what the chart takes from elsewhere: the schema of `settings`, of Kubernetes' own types, and the defaults.

`--check` changes nothing and fails if something is stale.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import yaml

from promedical_service.settings import Settings

CHART: Final = Path(__file__).resolve().parents[2] / "helm" / "promedical"
SCHEMA: Final = CHART / "values.schema.json"
OWN_SETTINGS: Final = CHART / "files" / "own_settings.txt"
DEFAULTS: Final = CHART / "files" / "defaults.yaml"
OWNED: Final = frozenset(
    {"config", "host", "rest_port", "grpc_port", "health_port", "engine", "model", "revision", "rubric_dir"}
    | {"keys_file", "tls_cert_file", "tls_key_file", "tls_client_ca_file", "drain_s", "tensor_parallel"}
)
"""Settings that the chart sets itself, from values with other names."""
KUBERNETES_TYPES: Final = {
    "tolerations": "core.v1.Toleration",
    "topologySpreadConstraints": "core.v1.TopologySpreadConstraint",
    "affinity": "core.v1.Affinity",
    "dnsConfig": "core.v1.PodDNSConfig",
    "envFrom": "core.v1.EnvFromSource",
    "extraContainers": "core.v1.Container",
    "extraInitContainers": "core.v1.Container",
    "extraVolumes": "core.v1.Volume",
    "extraVolumeMounts": "core.v1.VolumeMount",
    "networkPolicy.clients": "networking.v1.NetworkPolicyPeer",
    "networkPolicy.monitoring": "networking.v1.NetworkPolicyPeer",
    "networkPolicy.extraEgress": "networking.v1.NetworkPolicyEgressRule",
    "networkPolicy.extraIngress": "networking.v1.NetworkPolicyIngressRule",
    "resourceClaims": "core.v1.PodResourceClaim",
    "review.networkPolicy.clients": "networking.v1.NetworkPolicyPeer",
    "review.networkPolicy.database": "networking.v1.NetworkPolicyPeer",
    "review.networkPolicy.extraEgress": "networking.v1.NetworkPolicyEgressRule",
    "review.tolerations": "core.v1.Toleration",
}
"""Values that go into the objects as they are, with the type of the value or of its items."""
SINGLE: Final = frozenset({"affinity", "dnsConfig"})
"""Those of them that are one object; the others are lists."""
_REF: Final = "#/definitions/"
_PREFIX: Final = "io.k8s.api."


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


def kubernetes_definitions() -> dict[str, Any]:
    """The types of `KUBERNETES_TYPES` and those that they refer to, in the newest Kubernetes."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    newest = max(folder.glob("v*-local"), key=lambda path: [int(part) for part in path.name[1:-6].split(".")])
    known = json.loads((newest / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    found: dict[str, Any] = {}
    wanted = [_PREFIX + name for name in KUBERNETES_TYPES.values()]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _bare(known[name], wanted)
    return dict(sorted(found.items()))


def _bare(schema: Any, wanted: list[str]) -> Any:
    """A schema without prose; the types that it refers to are added to `wanted`."""
    if isinstance(schema, list):
        return [_bare(each, wanted) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {
        key: _bare(value, wanted)
        for key, value in schema.items()
        if not (isinstance(value, str) and key in {"description", "format"}) and not key.startswith("x-")
    }
    if "$ref" in bare:
        name = bare["$ref"].rpartition("/")[2]
        wanted.append(name)
        bare["$ref"] = _REF + name
    return bare


def _refer_to_kubernetes(properties: dict[str, Any]) -> None:
    for path, name in KUBERNETES_TYPES.items():
        *sections, last = path.split(".")
        inner = properties
        for section in sections:
            inner = inner[section]["properties"]
        reference = {"$ref": f"{_REF}{_PREFIX}{name}"}
        inner[last] = reference if last in SINGLE else {"type": "array", "items": reference}


def _new_schema() -> str:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["settings"] = settings_schema()
    _refer_to_kubernetes(schema["properties"])
    schema["definitions"] = kubernetes_definitions()
    return json.dumps(schema, indent=2) + "\n"


def _new_defaults() -> str:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return "# values.yaml again, for templates, which cannot read that file. `make chart-docs` writes this.\n" + str(
        yaml.safe_dump(values, sort_keys=False)
    )


def main() -> int:
    """Write or check; return the exit code."""
    own = "\n".join(sorted(OWNED)) + "\n"
    wanted = {SCHEMA: _new_schema(), DEFAULTS: _new_defaults(), OWN_SETTINGS: own}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" not in sys.argv:
        for path in stale:
            path.write_text(wanted[path], encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.relative_to(CHART.parents[1])} is stale; run 'make chart-docs'")
    if not stale:
        print("the chart's schema and defaults are up to date")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
