"""Forty values files, as operators write them: sections combined so that any two choices meet in one of the files."""

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any

Values = dict[str, Any]
Choice = tuple[str, str]
FILES = 40
_TRIES = 20

_ROUTES = {
    "parentRefs": [{"name": "public", "namespace": "gateways"}],
    "hostnames": ["oracle.example.com"],
    "grpcHostnames": ["grpc.oracle.example.com"],
    "grpcRoute": True,
    "httpRoute": True,
}
_INGRESS = {
    "enabled": True,
    "className": "nginx",
    "host": "oracle.example.com",
    "tlsSecretName": "external-host",
    "paths": ["/v1", "/rerank", "/"],
}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}
_MUTUAL = {"enabled": True, "caSecretName": "external-clients", "clientSecretName": "external-client"}
_DOWNLOAD = {"repository": "a/b", "revision": "0" * 40, "accessMode": "ReadWriteMany"}
_TO_NONE = {"type": "prometheus", "metadata": {"serverAddress": "http://p", "query": "waiting", "threshold": "1"}}
_WATCHED = {"scrape": "serviceMonitor", "labels": {"release": "prometheus"}, "apiKeySecretName": "external-scraper"}

SECTIONS: dict[str, dict[str, Values]] = {
    "exposure": {
        "none": {},
        "nodePort": {"service": {"type": "NodePort", "headless": False, "annotations": {"a": "b"}}},
        "ingress": {"ingress": _INGRESS},
        "routes": {"gateway": _ROUTES | {"paths": ["/v1", "/predict", "/"], "timeoutSeconds": 90}},
        "both": {"ingress": _INGRESS, "gateway": _ROUTES, "service": {"type": "LoadBalancer"}},
    },
    "stack": {
        "default": {},
        "dual": {"service": {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]}, "host": "::"},
    },
    "tls": {
        "none": {},
        "secret": {"tls": {"source": "secret", "secretName": "external-tls"}},
        "certManager": {"tls": {"source": "certManager", "certManager": {"issuerName": "ca", "extraDnsNames": ["o"]}}},
        "mutual": {"tls": {"source": "secret", "secretName": "external-tls", "mutual": _MUTUAL}},
        "backend": {
            "tls": {"source": "secret", "secretName": "external-tls", "caSecretName": "external-ca"},
            "gateway": {"backendTls": {"enabled": True, "caConfigMapName": "external-ca"}},
        },
    },
    "model": {
        "bundled": {},
        "pvc": {"model": {"source": "pvc", "path": "a/b", "pvc": {"claimName": "external-models"}}},
        "image": {"model": {"source": "image", "image": {"reference": "r/m@sha256:" + "1" * 64}}},
        "download": {"model": {"source": "download", "download": _DOWNLOAD | {"tokenSecret": "external-hub"}}},
        "mirror": {
            "model": {
                "source": "download",
                "download": _DOWNLOAD
                | {"endpoint": "http://mirror:8081", "claimName": "external-models", "cpuLimit": "1"},
            }
        },
    },
    "devices": {
        "cpu": {"resources": {"cpuLimit": "4"}},
        "fake": {"engine": "fake"},
        "mig": {"gpu": {"enabled": True, "resource": "nvidia.com/mig-3g.40gb"}, "runtimeClassName": "nvidia"},
        "four": {"engine": "vllm", "gpu": {"enabled": True, "tensorParallel": 4}, "shm": {"sizeMi": 16384}},
        "claims": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]},
    },
    "tenants": {
        "none": {},
        "secret": {
            "keys": {"source": "secret", "secretName": "external-keys"},
            "tests": {"apiKeySecretName": "external-test"},
            "settings": {"rate_limit": "600/minute", "token_rate_limit": "1000000/minute", "key_queue_share": 0.5},
        },
        "store": {
            "keys": {"source": "externalSecret", "externalSecret": {"storeName": "vault", "remoteKey": "keys"}},
            "settings": {"metrics_need_key": True},
        },
    },
    "rubrics": {
        "none": {},
        "files": {"rubrics": {"files": {"house@1.json": '{"title": "x"}', "house@2.toml": 'title = "y"'}}},
        "mounted": {"rubrics": {"configMapName": "external-rubrics"}, "check": {"enabled": True, "cpuLimit": "1"}},
    },
    "scaling": {
        "three": {"replicas": 3},
        "paused": {"replicas": 0},
        "keda": {"autoscaling": {"type": "keda", "keda": {"authenticationRef": "prometheus"}}},
        "toNone": {"autoscaling": {"type": "keda", "minReplicas": 0, "keda": {"extraTriggers": [_TO_NONE]}}},
        "hpa": {"autoscaling": {"type": "hpa", "minReplicas": 2}},
    },
    "monitoring": {
        "none": {},
        "pods": {"monitoring": {"scrape": "podMonitor", "apiKeySecretName": "external-scraper"}},
        "rules": {"monitoring": _WATCHED | {"rules": {"enabled": True}, "dashboard": {"enabled": True}}},
    },
    "rollout": {
        "noSpareGpu": {"podDisruptionBudget": {"maxUnavailable": "50%"}},
        "spareGpu": {"rollout": {"mode": "spareGpu", "atOnce": "25%"}, "drain": {"preStopSeconds": 0}},
        "recreate": {"rollout": {"mode": "recreate"}, "podDisruptionBudget": {"enabled": False}},
    },
    "network": {
        "open": {},
        "closed": {
            "networkPolicy": {
                "enabled": True,
                "clients": [{"podSelector": {"matchLabels": {"team": "rl"}}}],
                "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            }
        },
        "mesh": {
            "networkPolicy": {
                "enabled": True,
                "ambientMesh": True,
                "extraIngress": [{"ports": [{"port": 9000}]}],
                "extraEgress": [{"ports": [{"port": 4318}]}],
            }
        },
        "proxy": {
            "networkPolicy": {"enabled": True},
            "egress": {"proxy": "http://proxy:3128", "noProxy": ".svc", "caConfigMapName": "external-authorities"},
        },
    },
    "pods": {
        "plain": {},
        "company": {
            "extraContainers": [{"name": "sidecar", "image": "s", "securityContext": _RESTRICTED}],
            "extraInitContainers": [{"name": "first", "image": "i", "securityContext": _RESTRICTED}],
            "envFrom": [{"secretRef": {"name": "external-env"}}],
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "volcano",
            "podAnnotations": {"sidecar.istio.io/inject": "false"},
        },
        "placed": {
            "nodeSelector": {"zone": "a"},
            "tolerations": [{"key": "mine", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "priorityClassName": "reward-oracle",
        },
        "openshift": {"podSecurity": {"runAsUser": None, "fsGroup": None}, "serviceAccount": {"create": False}},
        "more": {
            "extraVolumes": [{"name": "scratch", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "extraEnv": [{"name": "OTEL_SERVICE_NAME", "value": "oracle"}, {"name": "N", "value": 5}],
            "extraArgs": ["--log-level=debug"],
        },
    },
    "names": {
        "default": {},
        "long": {"fullnameOverride": "x" * 50, "image": {"tag": "v1-build.5"}},
        "labelled": {
            "nameOverride": "oracle",
            "commonLabels": {"team": "rl"},
            "commonAnnotations": {"owner": "rl"},
            "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["external-registry"]},
        },
    },
    "hooks": {
        "tests": {},
        "off": {"tests": {"enabled": False}},
        "argo": {"tests": {"postSync": True, "cpuLimit": "500m"}},
    },
    "settings": {
        "few": {},
        "audit": {"settings": {"audit_file": "-", "trace_endpoint": "http://collector:4318", "trace_share": 0.1}},
        "large": {"settings": {"max_queue_tokens": 123456789, "max_batch_tokens": 65536, "max_batch_s": 20}},
    },
    "objects": {
        "none": {},
        "own": {
            "extraManifests": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1000000"}},
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-y'}\n",
            ]
        },
    },
}
"""For each section, what operators choose; what is in the cluster already has a name that begins with `external-`."""

REFUSED = [
    ({("tls", "mutual")}, {("exposure", "ingress"), ("exposure", "routes"), ("exposure", "both")}),
    ({("monitoring", "none")}, {("scaling", "keda"), ("scaling", "toNone"), ("scaling", "hpa")}),
]
"""What cannot stand together, and is refused with a reason, which other tests check."""


def value_files() -> list[dict[str, str]]:
    """The choice of each file for every section; in the next file, most pairs meet that did not meet before."""
    chance = random.Random(5)  # a seed by which no pair is missed
    left = set(pairs())
    files = []
    while len(files) < FILES:
        tries = [_file(chance, left) for _ in range(_TRIES)]
        best = max(tries, key=lambda file: len(left & _met(file)))
        left -= _met(best)
        files.append(best)
    return files


def pairs() -> Iterator[frozenset[Choice]]:
    """Any two choices of two sections that may stand together."""
    for first, second in combinations(SECTIONS, 2):
        for a in SECTIONS[first]:
            yield from (
                frozenset({(first, a), (second, b)}) for b in SECTIONS[second] if _fits((first, a), (second, b))
            )


def missed(files: list[dict[str, str]]) -> set[frozenset[Choice]]:
    """The pairs that meet in no file."""
    return set(pairs()).difference(*map(_met, files))


def values_of(file: dict[str, str]) -> Values:
    """The sections of one file, put together."""
    values: Values = {}
    for section, choice in file.items():
        _merge(values, SECTIONS[section][choice])
    return values


def _file(chance: random.Random, left: set[frozenset[Choice]]) -> dict[str, str]:
    """One file, section by section in any order: each takes what meets most of the others for the first time."""
    order = list(SECTIONS)
    chance.shuffle(order)
    file: dict[str, str] = {}
    for section in order:
        options = [each for each in SECTIONS[section] if all(_fits((section, each), other) for other in file.items())]
        chance.shuffle(options)
        file[section] = max(options, key=lambda each: _new(left, file, (section, each)))
    return {section: file[section] for section in SECTIONS}


def _new(left: set[frozenset[Choice]], file: dict[str, str], choice: Choice) -> int:
    """How many pairs a choice would make that have not met."""
    return sum(frozenset({choice, other}) in left for other in file.items())


def _met(file: dict[str, str]) -> set[frozenset[Choice]]:
    return {frozenset(two) for two in combinations(file.items(), 2)}


def _fits(one: Choice, other: Choice) -> bool:
    return not any((one in a and other in b) or (one in b and other in a) for a, b in REFUSED)


def _merge(values: Values, more: Values) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            values[name] = dict(values[name])
            _merge(values[name], value)
        else:
            values[name] = value
