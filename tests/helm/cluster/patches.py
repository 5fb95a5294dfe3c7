"""How the API server applies a patch: JSON merge patches, and strategic ones with their list keys and directives."""

from collections.abc import Mapping
from typing import Any

# From the patchMergeKey tags of Kubernetes' types; lists without one are replaced.
MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "topologySpreadConstraints": ("topologyKey",),
}


def merged(old: Any, patch: Any, *, strategic: bool, field: str = "") -> Any:
    """The old value with a patch applied."""
    if isinstance(patch, dict):
        return _merged_object(old if isinstance(old, dict) else {}, patch, strategic=strategic)
    if strategic and isinstance(patch, list) and isinstance(old, list) and (key := _merge_key(field, [*old, *patch])):
        return _merged_list(old, patch, key)
    return patch


def _merged_object(old: dict[str, Any], patch: dict[str, Any], *, strategic: bool) -> dict[str, Any]:
    result = {n: v for n, v in old.items() if n in patch.get("$retainKeys", old)}
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value, strategic=strategic, field=name)
    return result


def _merged_list(old: list[Any], patch: list[Any], key: str) -> list[Any]:
    result = {item[key]: item for item in old}
    for item in patch:
        if item.get("$patch") == "delete":
            result.pop(item[key], None)
        else:
            result[item[key]] = merged(result.get(item[key]), item, strategic=True)
    return list(result.values())


def _merge_key(field: str, items: list[Any]) -> str | None:
    return next((k for k in MERGE_KEYS.get(field, ()) if all(isinstance(i, dict) and k in i for i in items)), None)
