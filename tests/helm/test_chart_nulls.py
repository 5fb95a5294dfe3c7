"""Sections that are left empty, and numbers where Kubernetes wants text: what people write in values files."""

import json
from typing import Any

import pytest
import yaml
from chart import CHART, EXAMPLES, ChartRefusedError, containers, deployment, example, objects, pod_specs, template
from schemas import faults

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
MEANT = {"podSecurity.runAsUser", "podSecurity.fsGroup", "monitoring.dashboard.labels.grafana_dashboard"}
"""Where null has a meaning of its own: no user, no label."""


def paths(values: dict[str, Any], above: str = "") -> list[str]:
    """Every section and every value, as `a.b.c`."""
    found = []
    for name, value in values.items():
        found += [above + name, *(paths(value, f"{above}{name}.") if isinstance(value, dict) else [])]
    return found


def nulled(values: dict[str, Any], path: str) -> dict[str, Any]:
    """The values with null at a path."""
    first, _, rest = path.partition(".")
    return values | {first: nulled(values.get(first) or {}, rest) if rest else None}


def without(values: dict[str, Any], path: str) -> dict[str, Any]:
    """The values with nothing at a path."""
    first, _, rest = path.partition(".")
    left = {name: value for name, value in values.items() if name != first}
    return left | ({first: without(values[first], rest)} if rest and first in values else {})


@pytest.fixture
def render(helm4, tmp_path):
    """The objects, or why Helm refused."""

    def rendered(values: dict[str, Any], helm=helm4):
        file = tmp_path / f"values-{len(list(tmp_path.iterdir()))}.yaml"
        file.write_text(json.dumps(values))  # which is YAML, with all texts quoted
        try:
            return objects(template(helm, file))
        except ChartRefusedError as refused:
            return str(refused)

    return rendered


def test_every_value_that_is_null_is_the_default(render):
    values = yaml.safe_load(example("keda").read_text())
    as_is = render(values)
    for path in sorted(set(paths(DEFAULTS)) - MEANT):
        shorter = without(values, path)
        expected = as_is if shorter == values else render(shorter)
        found = render(nulled(values, path))
        if isinstance(expected, str):  # refused, since the rest needs this value
            assert isinstance(found, str), path
            assert "nil pointer" not in found, path
        else:
            assert found == expected, path


@pytest.mark.parametrize("file", [*EXAMPLES, None], ids=lambda path: path.stem if path else "none")
def test_sections_that_are_all_empty_change_nothing(any_helm, render, file):
    values = yaml.safe_load(file.read_text()) if file else {}
    assert render(dict.fromkeys(DEFAULTS) | values, any_helm) == render(values, any_helm)


def test_null_takes_away_what_it_is_meant_to(any_helm, render):
    values = {"podSecurity": {"runAsUser": None}, "monitoring": {"dashboard": {"enabled": True}}}
    values["monitoring"]["dashboard"]["labels"] = {"grafana_dashboard": None, "mine": "1"}
    manifests = render(values, any_helm)
    context = deployment(manifests)["spec"]["template"]["spec"]["securityContext"]
    assert "runAsUser" not in context
    assert context["fsGroup"] == DEFAULTS["podSecurity"]["fsGroup"]
    (labels,) = [m["metadata"]["labels"] for m in manifests if m["metadata"]["name"].endswith("-dashboard")]
    assert "grafana_dashboard" not in labels
    assert labels["mine"] == "1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (0, "0"),
        (-1, "-1"),
        (1000000, "1000000"),
        (123456789012, "123456789012"),
        (0.25, "0.25"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("5", "5"),
        ("true", "true"),
        ("on", "on"),
        ("1e6", "1e6"),
        ("", ""),
        ('a "b" \\ c: {d} # e', 'a "b" \\ c: {d} # e'),
    ],
)
def test_values_of_variables_are_text(any_helm, render, value, text):
    manifests = render({"extraEnv": [{"name": "MINE", "value": value}]}, any_helm)
    (server,) = containers(pod_specs(manifests)["demo-promedical"])
    assert {"name": "MINE", "value": text} in server["env"]
    assert [fault for manifest in manifests if (fault := faults(manifest, "1.35"))] == []


def test_variables_from_elsewhere_are_left_as_they_are(render):
    entry = {"name": "MINE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    (server,) = containers(pod_specs(render({"extraEnv": [entry, {"name": "EMPTY"}]}))["demo-promedical"])
    assert server["env"][-2:] == [entry, {"name": "EMPTY"}]


TEXT_WANTED: dict[str, Any] = {
    "tolerations.value": {"tolerations": [{"key": "gpu", "value": True}]},
    "tolerations.key": {"tolerations": [{"key": 5}]},
    "tolerationSeconds": {"tolerations": [{"key": "gpu", "tolerationSeconds": "soon"}]},
    "nodeSelector": {"nodeSelector": {"gpu": True}},
    "affinity": {
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [1]}]}]
                }
            }
        }
    },
    "topologySpreadConstraints": {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": 5}
        ]
    },
    "maxSkew": {"topologySpreadConstraints": [{"maxSkew": "1", "topologyKey": "z", "whenUnsatisfiable": "x"}]},
    "clients": {
        "networkPolicy": {"enabled": True, "clients": [{"podSelector": {"matchLabels": {"app": 1}}}]},
    },
    "monitoring": {
        "networkPolicy": {"enabled": True, "monitoring": [{"namespaceSelector": {"matchLabels": {"on": True}}}]},
    },
    "extraEgress": {"networkPolicy": {"enabled": True, "extraEgress": [{"ports": [{"protocol": 6}]}]}},
    "parentRefs": {"gateway": {"grpcRoute": True, "parentRefs": [{"name": 5}]}},
    "parentRefs.port": {"gateway": {"grpcRoute": True, "parentRefs": [{"name": "gw", "port": "80"}]}},
    "hostnames": {"gateway": {"hostnames": [5]}},
    "extraVolumes": {"extraVolumes": [{"name": 5, "emptyDir": {}}]},
    "extraVolumes.secret": {"extraVolumes": [{"name": "a", "secret": {"secretName": 5}}]},
    "extraVolumeMounts": {"extraVolumeMounts": [{"name": "a", "mountPath": 5}]},
    "extraVolumeMounts.readOnly": {"extraVolumeMounts": [{"name": "a", "mountPath": "/a", "readOnly": "yes"}]},
    "pullSecrets": {"image": {"pullSecrets": [5]}},
    "extraArgs": {"extraArgs": [5]},
    "extraEnv.name": {"extraEnv": [{"name": 5}]},
    "extraEnv.value": {"extraEnv": [{"name": "A", "value": 2**53 + 2}]},
    "extraEnv.list": {"extraEnv": [{"name": "A", "value": ["a"]}]},
    "podLabels": {"podLabels": {"team": 5}},
    "podAnnotations": {"podAnnotations": {"port": 8080}},
    "commonLabels": {"commonLabels": {"on": True}},
    "extraDnsNames": {"tls": {"certManager": {"extraDnsNames": [5]}}},
    "null": {"extraEnv": [None]},
}


@pytest.mark.parametrize("values", TEXT_WANTED.values(), ids=TEXT_WANTED.keys())
def test_what_kubernetes_would_refuse_is_refused_by_name(any_helm, render, values):
    said = render(values, any_helm)
    assert "don't meet the specifications of the schema" in said
    assert next(iter(values)) in said


def test_objects_of_ones_own_keep_their_numbers(any_helm, render):
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1000000"}}
    own["metadata"]["generation"] = 12345678
    assert own in render({"extraManifests": [own]}, any_helm)
