"""What no schema says: the rules between the fields of the rendered objects, and Pod Security `restricted`."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from chart import (
    CHART,
    EXAMPLES,
    REPOSITORY,
    Manifest,
    containers,
    deployment,
    named,
    objects,
    of_revision,
    pod_specs,
    settings_of,
    supports,
    template,
)

from promedical_service.command_line import load_settings
from promedical_service.edges.grpc.health import NAMES
from promedical_service.server import CLOSING_S
from promedical_service.settings import Settings

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
RENDERS = [(path, version) for path in EXAMPLES for version in ("1.27", "1.31", "1.37") if supports(path, version)]
"""Below 1.30 the pod sleeps by a command, from 1.30 the kubelet does."""
REVISIONS = [
    (*render, canary) for render in RENDERS for canary in (False, True) if not canary or "canary" in render[0].stem
]
EXTERNAL = {
    "Secret": {
        "promedical-keys",
        "promedical-test-key",
        "promedical-clients-ca",
        "promedical-client",
        "hub-token",
        "registry-internal",
    },
    "PersistentVolumeClaim": {"reward-models", "promedical-bundle"},
}
"""What the examples say that the cluster has already."""


@pytest.fixture(scope="module", params=RENDERS, ids=lambda render: f"{render[0].stem}-{render[1]}")
def rendered(request, helm4) -> list[Manifest]:
    return [m for m in objects(template(helm4, *request.param)) if not of_review(m)]


def of_review(manifest: Manifest) -> bool:
    """Whether an object is the review app's, whose rules are in test_chart_review.py."""
    return manifest["metadata"]["name"].startswith("demo-promedical-review")


@pytest.fixture(
    scope="module", params=REVISIONS, ids=lambda each: f"{each[0].stem}-{each[1]}{'-second' if each[2] else ''}"
)
def manifests(request, helm4) -> list[Manifest]:
    """The objects of one revision, under the names that it would have as the only one."""
    values, version, canary = request.param
    rendered = [m for m in objects(template(helm4, values, version)) if not of_review(m)]
    found = of_revision(rendered, canary=canary)
    return json.loads(json.dumps(found).replace("demo-promedical-canary", "demo-promedical")) if canary else found


def server(manifests: list[Manifest]) -> Manifest:
    return deployment(manifests)["spec"]["template"]["spec"]["containers"][0]


# The life of a pod.


def test_grace_is_longer_than_prestop_and_drain(manifests):
    spec = deployment(manifests)["spec"]["template"]["spec"]
    handler = server(manifests)["lifecycle"]["preStop"]
    pre_stop = handler["sleep"]["seconds"] if "sleep" in handler else int(handler["exec"]["command"][1])
    worst = pre_stop + settings_of(manifests)["drain_s"] + CLOSING_S
    assert spec["terminationGracePeriodSeconds"] > worst


def test_slack_that_the_schema_allows_is_enough_for_the_server_to_close():
    assert SCHEMA["properties"]["drain"]["properties"]["slackSeconds"]["minimum"] > CLOSING_S


def test_rollout_is_possible(manifests):
    strategy = deployment(manifests)["spec"]["strategy"]
    if strategy["type"] == "RollingUpdate":
        assert sum(strategy["rollingUpdate"].values()) > 0


def test_rollout_outlasts_a_start(manifests):
    probe = server(manifests)["startupProbe"]
    spec = deployment(manifests)["spec"]
    longest = probe["failureThreshold"] * probe["periodSeconds"] + spec["minReadySeconds"]
    assert spec["progressDeadlineSeconds"] > longest + spec["template"]["spec"]["terminationGracePeriodSeconds"]


def test_probes_ask_for_names_the_service_has_at_a_port_it_opens_in_plaintext(manifests):
    container = server(manifests)
    probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
    assert {probe["grpc"]["service"] for probe in probes.values()} <= NAMES
    assert {probe["grpc"]["port"] for probe in probes.values()} == {settings_of(manifests)["health_port"]}
    assert settings_of(manifests)["health_port"] in [port["containerPort"] for port in container["ports"]]
    assert probes["liveness"]["grpc"]["service"] == "liveness"
    assert probes["readiness"]["grpc"]["service"] == "readiness"


def test_disruption_budget_can_be_met(manifests):
    assert named(manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"] >= 1


def test_replicas_are_left_to_the_autoscaler(manifests):
    scaled = any(m["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"} for m in manifests)
    assert ("replicas" not in deployment(manifests)["spec"]) == scaled


@pytest.mark.parametrize(
    ("sets", "size"),
    [((), 0), (("shm.sizeMi=500",), 500), (("engine=vllm",), 1024), (("engine=vllm", "shm.sizeMi=2000000"), 2_000_000)],
)
def test_shared_memory_is_mounted_and_in_the_memory_limit(helm4, sets, size):
    manifests = objects(template(helm4, None, sets=("resources.memoryMi=1000", *sets)))
    resources = server(manifests)["resources"]
    volumes = deployment(manifests)["spec"]["template"]["spec"]["volumes"]
    wanted = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{size}Mi"}}] if size else []

    assert resources["limits"]["memory"] == resources["requests"]["memory"] == f"{1000 + size}Mi"
    assert [volume for volume in volumes if volume["name"] == "shm"] == wanted
    assert ({"name": "shm", "mountPath": "/dev/shm"} in server(manifests)["volumeMounts"]) == bool(size)


@pytest.mark.parametrize(
    ("sets", "strategy"),
    [
        (("rollout.mode=noSpareGpu", "replicas=2"), {"maxSurge": 0, "maxUnavailable": 1}),
        (("rollout.mode=spareGpu", "replicas=2"), {"maxSurge": 1, "maxUnavailable": 0}),
        (("rollout.mode=spareGpu", "replicas=1"), {"maxSurge": 1, "maxUnavailable": 0}),
        (("rollout.mode=noSpareGpu", "replicas=1"), None),
        (("rollout.mode=recreate", "replicas=3"), None),
    ],
)
def test_rollout_mode_gives_the_strategy(helm4, sets, strategy):
    rendered = deployment(objects(template(helm4, sets=sets)))["spec"]["strategy"]
    expected = {"type": "RollingUpdate", "rollingUpdate": strategy} if strategy else {"type": "Recreate"}
    assert rendered == expected


def test_settings_that_change_roll_the_pods_and_others_do_not(helm4):
    def pod_template(*sets):
        return deployment(objects(template(helm4, sets=sets)))["spec"]["template"]

    assert pod_template() != pod_template("settings.max_items=7")
    assert pod_template() == pod_template("replicas=3", "monitoring.scrape=podMonitor")
    first, second = (f"rubrics.files.house@{version}\\.json" for version in (1, 2))
    assert pod_template(f"{first}=old") == pod_template(f"{first}=new", f"{second}=more")


def test_check_reads_what_the_server_reads(helm4):
    sets = ("check.enabled=true", "rubrics.configMapName=mine", "keys.source=secret", "keys.secretName=k")
    manifests = objects(template(helm4, sets=(*sets, 'extraArgs=["--log-level=debug"]')))
    (check,) = deployment(manifests)["spec"]["template"]["spec"]["initContainers"]
    container = server(manifests)
    assert check["args"] == [*container["args"], "--check"]
    assert {name: check[name] for name in ("env", "image", "volumeMounts", "securityContext")} == {
        name: container[name] for name in ("env", "image", "volumeMounts", "securityContext")
    }
    assert settings_of(manifests)["rubric_dir"] == "/etc/promedical/rubrics"
    volumes = {volume["name"]: volume for volume in deployment(manifests)["spec"]["template"]["spec"]["volumes"]}
    assert volumes["rubrics"]["configMap"] == {"name": "mine"}


def test_scrapes_bring_a_key_where_metrics_need_one(helm4):
    sets = ("monitoring.scrape=podMonitor", "monitoring.apiKeySecretName=scraper", "settings.metrics_need_key=true")
    manifests = objects(template(helm4, sets=(*sets, "keys.source=secret", "keys.secretName=k")))
    (monitor,) = [manifest for manifest in manifests if manifest["kind"] == "PodMonitor"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "scraper", "key": "key"}}


# What the process reads.


def test_settings_are_those_the_service_accepts(manifests, tmp_path, monkeypatch):
    container, settings = server(manifests), settings_of(manifests)
    if settings["engine"] == "vllm" and "vllm" not in str(Settings.model_fields["engine"].annotation):
        pytest.skip("this version of the service has no engine vllm")
    flags = [flag.partition("=")[0] for flag in container["args"]]
    assert flags == ["--config"]
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    environ = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    monkeypatch.setenv("PROMEDICAL_HOST", environ["PROMEDICAL_HOST"])
    loaded = load_settings([f"--config={tmp_path / 'settings.yaml'}"], environ)
    assert {name: getattr(loaded, name) for name in ("host", "drain_s", "health_port")} == {
        "host": environ["PROMEDICAL_HOST"],
        "drain_s": settings["drain_s"],
        "health_port": settings["health_port"],
    }


@pytest.mark.parametrize("engine", ["torch", "vllm", "fake"])
def test_engine_of_the_values_wins_over_that_of_the_image(helm4, engine, tmp_path, monkeypatch):
    manifests = objects(template(helm4, sets=(f"engine={engine}",)))
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings_of(manifests)))
    environ = dict(re.findall(r"\b(PROMEDICAL_ENGINE)=(\w+)", (REPOSITORY / "Dockerfile").read_text()))
    assert environ  # an image does set it
    environ |= {entry["name"]: entry["value"] for entry in server(manifests)["env"]}
    for name in environ.keys() & {"PROMEDICAL_ENGINE", "PROMEDICAL_HOST"}:
        monkeypatch.setenv(name, environ[name])
    assert load_settings([f"--config={tmp_path / 'settings.yaml'}"], environ).engine == engine


def test_large_numbers_reach_the_service_as_numbers(any_helm, tmp_path):
    sets = ("settings.max_queue_tokens=123456789", "settings.max_request_bytes=1073741824")
    settings = settings_of(objects(template(any_helm, sets=sets)))
    assert settings["max_queue_tokens"] == 123456789
    assert settings["max_request_bytes"] == 1073741824


def test_files_in_settings_lie_on_mounted_volumes(manifests):
    mounts = [mount["mountPath"] for mount in server(manifests)["volumeMounts"]]
    settings = settings_of(manifests)
    files = [str(value) for name, value in settings.items() if name.endswith(("_file", "_dir"))]
    files += [settings["model"]] if settings["model"].startswith("/") else []
    files += [flag.partition("=")[2] for flag in server(manifests)["args"]]
    assert [file for file in files if not any(file == m or file.startswith(f"{m}/") for m in mounts)] == []


# What refers to what.


def test_mounts_name_volumes_and_volumes_are_mounted(manifests):
    for name, spec in pod_specs(manifests).items():
        volumes = [volume["name"] for volume in spec["volumes"]]
        mounted = {mount["name"] for container in containers(spec) for mount in container["volumeMounts"]}
        assert set(volumes) == mounted, name
        assert len(volumes) == len(set(volumes)), name


def test_mount_paths_are_unique(manifests):
    for spec in pod_specs(manifests).values():
        for container in containers(spec):
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(paths) == len(set(paths))


def test_every_reference_resolves(manifests):
    made = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    made |= {("Secret", m["spec"]["target"]["name"]) for m in manifests if m["kind"] == "ExternalSecret"}
    made |= {("Secret", m["spec"]["secretName"]) for m in manifests if m["kind"] == "Certificate"}
    made |= {(kind, name) for kind, names in EXTERNAL.items() for name in names}
    wanted = {reference for spec in pod_specs(manifests).values() for reference in references(spec)}
    wanted |= {(m["kind"], m["name"]) for m in scale_targets(manifests)}
    assert wanted <= made


def references(spec: Manifest) -> set[tuple[str, str]]:
    found = {("ServiceAccount", spec["serviceAccountName"])}
    found |= {("Secret", secret["name"]) for secret in spec.get("imagePullSecrets", [])}
    for volume in spec["volumes"]:
        if "configMap" in volume:
            found.add(("ConfigMap", volume["configMap"]["name"]))
        if "secret" in volume:
            found.add(("Secret", volume["secret"]["secretName"]))
        if "persistentVolumeClaim" in volume:
            found.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    return found


def test_routes_lead_to_ports_of_services(rendered):
    services = {m["metadata"]["name"]: m for m in rendered if m["kind"] == "Service"}
    for name, port in backends(rendered):
        ports = services[name]["spec"]["ports"]
        assert port in {each["port"] for each in ports} | {each["name"] for each in ports}


def backends(manifests: list[Manifest]) -> Iterator[tuple[str, int | str]]:
    for m in manifests:
        if m["kind"] in {"GRPCRoute", "HTTPRoute"}:
            yield from ((ref["name"], ref["port"]) for rule in m["spec"]["rules"] for ref in rule["backendRefs"])
        if m["kind"] == "Ingress":
            for path in (path for rule in m["spec"]["rules"] for path in rule["http"]["paths"]):
                yield path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"]


def scale_targets(manifests: list[Manifest]) -> list[Manifest]:
    return [m["spec"]["scaleTargetRef"] for m in manifests if "scaleTargetRef" in m.get("spec", {})]


@pytest.mark.parametrize(
    ("sets", "tolerated"),
    [
        (("gpu.enabled=true",), ["nvidia.com/gpu"]),
        (("gpu.enabled=true", 'tolerations=[{"key": "mine"}]'), ["nvidia.com/gpu", "mine"]),
        (("gpu.enabled=true", "gpu.toleration=false"), []),
        (('tolerations=[{"key": "mine"}]',), ["mine"]),
    ],
)
def test_test_pods_may_run_where_servers_do(helm4, sets, tolerated):
    specs = pod_specs(objects(template(helm4, sets=sets))).values()
    assert len(specs) == 5
    for spec in specs:
        assert [toleration["key"] for toleration in spec.get("tolerations", [])] == tolerated


def test_items_of_volumes_are_keys_of_their_config_map(manifests):
    data = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    for spec in pod_specs(manifests).values():
        for volume in spec["volumes"]:
            for item in volume.get("configMap", {}).get("items", []):
                assert item["key"] in data[volume["configMap"]["name"]]


def test_selectors_match_the_servers_pods_and_no_test_pod(manifests):
    labels = deployment(manifests)["spec"]["template"]["metadata"]["labels"]
    tests = [m["metadata"]["labels"] for m in manifests if m["kind"] == "Pod"]
    selectors = [m["spec"]["selector"] for m in manifests if m["kind"] == "Service"]
    selectors += [m["spec"]["selector"]["matchLabels"] for m in manifests if m["kind"] in {"PodMonitor", "Deployment"}]
    selectors += [m["spec"]["selector"]["matchLabels"] for m in manifests if m["kind"] == "PodDisruptionBudget"]
    selectors += [m["spec"]["podSelector"]["matchLabels"] for m in manifests if m["kind"] == "NetworkPolicy"]
    assert selectors
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not any(selector.items() <= test.items() for test in tests)


def test_service_monitor_selects_one_service(manifests):
    for monitor in [m for m in manifests if m["kind"] == "ServiceMonitor"]:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        services = [m for m in manifests if m["kind"] == "Service" and wanted <= m["metadata"]["labels"].items()]
        assert len(services) == 1


def test_ports_that_are_named_exist(manifests):
    ports = {port["name"]: port["containerPort"] for port in server(manifests)["ports"]}
    named_ports = [port["targetPort"] for m in manifests if m["kind"] == "Service" for port in m["spec"]["ports"]]
    for m in manifests:
        if m["kind"] == "PodMonitor":
            named_ports += [endpoint["port"] for endpoint in m["spec"]["podMetricsEndpoints"]]
        if m["kind"] == "NetworkPolicy":
            named_ports += [port["port"] for rule in m["spec"]["ingress"] for port in rule["ports"]]
    assert set(named_ports) <= set(ports)
    assert ports == {name: settings_of(manifests)[f"{name}_port"] for name in ("rest", "grpc", "health")}


# Pod Security, level restricted, of the Pod Security Standards; and what we promise beyond.

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"} | {
    "secret",
    "image",
}
"""`image` joined the list with OCI image volumes."""


def test_pods_are_restricted(manifests):
    for name, spec in pod_specs(manifests).items():
        assert not ({"hostNetwork", "hostPID", "hostIPC"} & spec.keys()), name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= ALLOWED_VOLUMES
        for container in containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["privileged"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not any("hostPort" in port for port in container.get("ports", []))


def test_pods_promise_more_than_restricted(manifests):
    for spec in pod_specs(manifests).values():
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "memory" in container["resources"]["limits"]
            assert "cpu" in container["resources"]["requests"]


def test_only_a_host_path_leaves_restricted(helm4):
    sets = ("model.source=hostPath", "model.hostPath.path=/data/model")
    (spec,) = [s for n, s in pod_specs(objects(template(helm4, sets=sets))).items() if n == "demo-promedical"]
    assert [v["name"] for v in spec["volumes"] if not set(v) - {"name"} <= ALLOWED_VOLUMES] == ["model"]


def test_no_secret_is_in_a_config_map_or_an_environment(manifests):
    assert not any(m["kind"] == "Secret" for m in manifests)
    for spec in pod_specs(manifests).values():
        for container in containers(spec):
            assert not any("valueFrom" in entry for entry in container["env"])
            secret = [entry for entry in container["env"] if re.search("TOKEN|KEY|PASSWORD", entry["name"])]
            assert [e for e in secret if not e["value"].startswith("/") and e["name"] != "KEYS_REQUIRED"] == []


def test_offline_by_default(manifests):
    environ = {entry["name"]: entry.get("value") for entry in server(manifests)["env"]}
    assert environ["PROMEDICAL_OFFLINE"] == environ["HF_HUB_OFFLINE"] == environ["TRANSFORMERS_OFFLINE"] == "1"


def test_user_of_the_pod_is_that_of_the_image(manifests):
    (user,) = set(re.findall(r"^USER (\d+):\d+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE))
    assert deployment(manifests)["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == int(user)
