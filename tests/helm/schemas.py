"""Strict checks of objects, without a cluster: Kubernetes' own schemas, and models of the operators' types."""

import json
from functools import cache
from typing import Any

import kubernetes_validate
from pydantic import ValidationError

WITHOUT_MODEL = frozenset({("external-secrets.io/v1", "ExternalSecret")})
"""No offline model is to be had for these; the golden renders hold them."""


def faults(manifest: dict[str, Any], kube_version: str) -> str | None:
    """What the API server would say against an object, or None. An unknown kind is a fault, not a warning."""
    kind = (manifest["apiVersion"], manifest["kind"])
    if kind in WITHOUT_MODEL:
        return None
    if _has_own_model(kind[0].partition("/")[0]):
        return _lost_in_round_trip(manifest)
    try:
        used = kubernetes_validate.validate(manifest, kube_version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return f"no schema for {kind} in Kubernetes {kube_version}"
    except kubernetes_validate.ValidationError as error:
        return f"{kind[1]}: {'.'.join(map(str, error.path))}: {error.message}"
    return None if used == kube_version else f"checked against {used} instead of {kube_version}"


def _lost_in_round_trip(manifest: dict[str, Any]) -> str | None:
    """A model drops what it does not know, so an object that comes back whole holds nothing unknown."""
    kind = (manifest["apiVersion"], manifest["kind"])
    model = _models().get(kind)
    if model is None:
        return f"no model for {kind}"
    try:
        back = json.loads(model.model_validate(manifest).model_dump_json(by_alias=True, exclude_unset=True))
    except ValidationError as error:
        return f"{kind[1]}: {error}"
    return None if _plain(back) == _plain(manifest) else f"{kind[1]}: fields are lost: {_difference(manifest, back)}"


def _has_own_model(group: str) -> bool:
    """Whether a group has a model here: Kubernetes' own groups have schemas, gateways' and `x-k8s.io` have none."""
    if group == "gateway.networking.k8s.io" or group.endswith(".x-k8s.io"):
        return True
    return "." in group and not group.endswith(".k8s.io")


@cache
def _models() -> dict[tuple[str, str], Any]:
    from cloudcoil.models.cert_manager import v1 as cert_manager
    from cloudcoil.models.keda import v1alpha1 as keda
    from cloudcoil.models.prometheus_operator import v1 as prometheus
    from gateway_api import BackendTLSPolicy, GRPCRoute, HTTPRoute
    from leaderworkerset import LeaderWorkerSet
    from rayjob import RayJob

    return {
        ("monitoring.coreos.com/v1", "PodMonitor"): prometheus.PodMonitor,
        ("monitoring.coreos.com/v1", "ServiceMonitor"): prometheus.ServiceMonitor,
        ("monitoring.coreos.com/v1", "PrometheusRule"): prometheus.PrometheusRule,
        ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
        ("cert-manager.io/v1", "Certificate"): cert_manager.Certificate,
        ("ray.io/v1", "RayJob"): RayJob,
        **{("gateway.networking.k8s.io/v1", each.__name__): each for each in (GRPCRoute, HTTPRoute, BackendTLSPolicy)},
        ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"): LeaderWorkerSet,
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, sort_keys=True))


def _difference(sent: Any, back: Any, place: str = "") -> list[str]:
    if isinstance(sent, dict) and isinstance(back, dict):
        return [part for key in sent for part in _difference(sent[key], back.get(key), f"{place}.{key}")]
    if isinstance(sent, list) and isinstance(back, list) and len(sent) == len(back):
        return [
            part for i, pair in enumerate(zip(sent, back, strict=True)) for part in _difference(*pair, f"{place}[{i}]")
        ]
    return [] if sent == back else [f"{place}: {sent!r} became {back!r}"]
