"""Whatever values the schema admits, the chart renders valid, hardened objects, or refuses with a reason."""

import json
import re
from typing import Any

import pytest
from chart import CHART, NAMESPACE, RELEASE, containers, deployment, objects, pod_specs, settings_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemas import faults

helm_python = pytest.importorskip("helm_python", reason="helm-python-sdk not installed")

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
KUBE_VERSION = "1.36"
LEFT_TO_THE_USER = {"affinity", "tolerations", "topologySpreadConstraints", "extraVolumes", "extraVolumeMounts"} | {
    "extraManifests",
    "extraEnv",
    "gateway",
    "networkPolicy",
    "global",
    "dnsConfig",
    "envFrom",
    "extraContainers",
    "extraInitContainers",
    "extraTriggers",
    "resourceClaims",
}
"""Kubernetes' own types, which the schema leaves open."""
REASONS = re.compile(
    r"raise |lower |must be |needs |set at least|use ReadWriteMany|use pvc|(turn|use) one of them|set monitoring"
)


@pytest.fixture(scope="module")
def chart():
    with helm_python.chart.Chart.load(CHART) as loaded:
        yield loaded


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a closed schema; the few constructs that the chart's schema uses."""
    if "$ref" in schema:
        return values_of(SCHEMA["properties"][schema["$ref"].removeprefix("#/properties/")])
    if "oneOf" in schema:
        return st.one_of(*map(values_of, schema["oneOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if isinstance(kind, list):
        return st.one_of([values_of(schema | {"type": one}) for one in kind])
    return _BY_TYPE[kind](schema)


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "propertyNames" in schema:
        names = st.from_regex(schema["propertyNames"]["pattern"], fullmatch=True, alphabet=_ASCII)
        return st.dictionaries(names, values_of(schema["additionalProperties"]), max_size=2)
    optional = {n: values_of(p) for n, p in schema["properties"].items() if n not in LEFT_TO_THE_USER}
    return st.fixed_dictionaries({}, optional=optional)


def _number(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1e-3)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 1000) - 1e-3)
    return st.floats(low, high).map(lambda number: round(number, 4)).filter(lambda number: low <= number <= high)


_ASCII = st.characters(min_codepoint=32, max_codepoint=126)
_BY_TYPE = {
    "object": _object,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
    "integer": lambda s: st.integers(s.get("minimum", 0), s.get("maximum", 10**6)),
    "number": _number,
    "array": lambda s: st.lists(values_of(s["items"]), min_size=s.get("minItems", 0), max_size=2, unique=True),
    "string": lambda s: (
        st.from_regex(s["pattern"], fullmatch=True, alphabet=_ASCII).filter(lambda t: len(t) <= s.get("maxLength", 200))
        if "pattern" in s
        else st.text(_ASCII, max_size=20)
    ),
}


def render(chart, values) -> list[dict[str, Any]] | None:
    """The objects; None if the values are refused with a reason."""
    try:
        chart.validate_schema(values)
    except helm_python.HelmValuesError:
        return None  # conditions between values, such as a source that needs a name
    try:
        rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    except helm_python.HelmRenderError as error:
        if REASONS.search(str(error)):
            return None
        raise
    texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    return [manifest for text in texts for manifest in objects(text)]


def check(manifests: list[dict[str, Any]]) -> None:
    assert [fault for manifest in manifests if (fault := faults(manifest, KUBE_VERSION))] == []
    spec = deployment(manifests)["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] >= settings_of(manifests)["drain_s"] + 10
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)
    for pod in pod_specs(manifests).values():
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_chart_takes_any_values_of_its_schema(chart):
    rendered = []

    @settings(max_examples=50, suppress_health_check=list(HealthCheck))
    @given(values=values_of(SCHEMA))
    def take(values):
        manifests = render(chart, values)
        if manifests is not None:
            check(manifests)
            rendered.append(values)

    take()
    assert len(rendered) > 10  # the others were refused, each with a reason


FEATURES: dict[str, list[Any]] = {
    "model": [
        {"source": "bundled"},
        {"source": "pvc", "pvc": {"claimName": "m"}, "path": "a/b"},
        {"source": "hostPath", "hostPath": {"path": "/m"}},
    ],
    "keys": [
        {"source": "none"},
        {"source": "secret", "secretName": "k"},
        {"source": "externalSecret", "externalSecret": {"storeName": "s", "remoteKey": "r"}},
    ],
    "tls": [
        {"source": "none"},
        {"source": "secret", "secretName": "t"},
        {
            "source": "certManager",
            "certManager": {"issuerName": "i"},
            "mutual": {"enabled": True, "caSecretName": "c", "clientSecretName": "d"},
        },
    ],
    "autoscaling": [{"type": "none"}, {"type": "keda"}, {"type": "hpa"}],
    "rollout": [{"mode": mode} for mode in ("noSpareGpu", "spareGpu", "recreate")],
    "gpu": [{"enabled": False}, {"enabled": True}],
    "rubrics": [{"files": {}}, {"files": {"house@1.json": '{"title": "x"}'}}, {"configMapName": "r"}],
    "check": [{"enabled": False}, {"enabled": True}],
    "canary": [
        {"enabled": False},
        {"enabled": True},
        {"enabled": True, "model": {"source": "hostPath", "hostPath": {"path": "/n"}}, "gpu": {"enabled": False}},
        {"enabled": True, "autoscaling": {"type": "keda"}, "settings": {"max_items": 7}, "engine": "fake"},
    ],
    "serviceAccount": [{"create": True}, {"create": False, "name": "mine"}],
    "podSecurity": [{"runAsUser": 10001}, {"runAsUser": None, "fsGroup": None}],
    "tests": [{"enabled": True}, {"enabled": False}],
    "fullnameOverride": ["", "x" * 50],
}


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(values=st.fixed_dictionaries({name: st.sampled_from(options) for name, options in FEATURES.items()}))
def test_chart_takes_any_features_together(chart, values):
    monitoring = {"scrape": "podMonitor", "rules": {"enabled": True}, "dashboard": {"enabled": True}}
    manifests = render(chart, values | {"monitoring": monitoring, "networkPolicy": {"enabled": True}})
    assert manifests is not None
    check(manifests)
