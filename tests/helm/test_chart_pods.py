"""What operators add to a release: proxies, authorities, sidecars, meshes, dual stack, scaling to none."""

import re

import pytest
import yaml
from chart import REPOSITORY, containers, deployment, example, named, objects, pod_specs, template
from schemas import faults

from promedical_service.settings import Settings

DOWNLOAD = ("model.source=download", "model.download.repository=a/b", "model.download.revision=" + "0" * 40)


def rendered(helm, *sets):
    found = objects(template(helm, sets=sets))
    assert [fault for manifest in found if (fault := faults(manifest, "1.35"))] == []
    return found


def env(container):
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def test_proxy_and_authorities_reach_the_download_and_the_server(helm4):
    proxy = ("egress.proxy=http://proxy:3128", "egress.noProxy=.svc", "egress.caConfigMapName=company")
    spec = deployment(rendered(helm4, *DOWNLOAD, *proxy, "egress.caKey=all.pem"))["spec"]["template"]["spec"]
    assert [container["name"] for container in containers(spec)] == ["fetch-model", "promedical"]
    for container in containers(spec):
        said = env(container)
        assert {said[name] for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")} == {
            "http://proxy:3128"
        }
        assert {said["NO_PROXY"], said["no_proxy"]} == {".svc"}
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert said["SSL_CERT_FILE"] == said["REQUESTS_CA_BUNDLE"] == "/etc/promedical/egress-ca/ca.crt"
        assert "/etc/promedical/egress-ca" in mounts
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "egress-ca"]
    assert volume["configMap"] == {"name": "company", "items": [{"key": "all.pem", "path": "ca.crt"}]}


@pytest.mark.parametrize(
    ("sets", "port"),
    [
        ((), 443),
        (("model.download.endpoint=https://mirror.example.com",), 443),
        (("model.download.endpoint=https://mirror.example.com:8443/hub",), 8443),
        (("model.download.endpoint=http://mirror.example.com",), 80),
        (("model.download.endpoint=http://[fd00::1]:8081",), 8081),
        (("model.download.endpoint=https://mirror.example.com", "egress.proxy=http://proxy:3128"), 3128),
    ],
    ids=str,
)
def test_network_policy_lets_the_download_out_by_its_port(helm4, sets, port):
    policy = named(rendered(helm4, "networkPolicy.enabled=true", *DOWNLOAD, *sets), "NetworkPolicy")
    assert [rule["ports"][0]["port"] for rule in policy["spec"]["egress"]] == [53, port]


def test_network_policy_opens_the_tunnel_of_an_ambient_mesh_and_more_rules(helm4):
    more = 'networkPolicy.extraIngress=[{"ports": [{"port": 9000}]}]'
    policy = named(
        rendered(helm4, "networkPolicy.enabled=true", "networkPolicy.ambientMesh=true", more), "NetworkPolicy"
    )["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == ["rest", 15008, 9000]
    assert [rule["ports"][0]["port"] for rule in policy["egress"]] == [53, 15008]


def test_every_container_can_have_a_cpu_limit(helm4):
    limits = ('resources={"cpuLimit": "4"}', "tests.cpuLimit=500m", "model.download.cpuLimit=250m")
    found = rendered(helm4, *DOWNLOAD, *limits)
    limited = {
        c["name"]: c["resources"]["limits"]["cpu"] for spec in pod_specs(found).values() for c in containers(spec)
    }
    assert limited == {"fetch-model": "250m", "promedical": "4", "check": "500m"}


def test_pod_takes_sidecars_claims_dns_and_the_environment_of_others(helm4):
    found = rendered(
        helm4,
        'extraContainers=[{"name": "sidecar", "image": "s"}]',
        'extraInitContainers=[{"name": "first", "image": "i"}]',
        'envFrom=[{"secretRef": {"name": "shared"}}]',
        'resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]',
        'dnsConfig={"options": [{"name": "ndots", "value": "2"}]}',
        "dnsPolicy=ClusterFirst",
        "schedulerName=volcano",
    )
    spec = deployment(found)["spec"]["template"]["spec"]
    assert [container["name"] for container in containers(spec)] == ["first", "promedical", "sidecar"]
    server = spec["containers"][0]
    assert server["envFrom"] == [{"secretRef": {"name": "shared"}}]
    assert server["resources"]["claims"] == [{"name": "gpu"}]
    assert (spec["schedulerName"], spec["dnsPolicy"]) == ("volcano", "ClusterFirst")


def test_annotations_are_on_every_object_and_its_own_win(helm4):
    sets = ("commonAnnotations.team=oracle", "commonAnnotations.kind=common", "service.annotations.kind=service")
    found = rendered(helm4, *sets, "ingress.enabled=true", *DOWNLOAD)
    assert {manifest["metadata"]["annotations"]["team"] for manifest in found} == {"oracle"}
    assert named(found, "Service", "promedical")["metadata"]["annotations"]["kind"] == "service"
    assert named(found, "Ingress")["metadata"]["annotations"]["kind"] == "common"


def test_services_can_have_two_stacks(helm4):
    found = rendered(helm4, "service.ipFamilyPolicy=PreferDualStack", 'service.ipFamilies=["IPv6", "IPv4"]')
    services = [manifest["spec"] for manifest in found if manifest["kind"] == "Service"]
    assert [(spec["ipFamilyPolicy"], spec["ipFamilies"]) for spec in services] == [
        ("PreferDualStack", ["IPv6", "IPv4"])
    ] * 2


def test_rollout_and_budget_take_percentages(helm4):
    sets = ("replicas=8", "rollout.atOnce=25%", "podDisruptionBudget.maxUnavailable=50%")
    found = rendered(helm4, *sets)
    assert deployment(found)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": "25%"}
    assert named(found, "PodDisruptionBudget")["spec"]["maxUnavailable"] == "50%"
    spare = deployment(rendered(helm4, *sets, "rollout.mode=spareGpu"))["spec"]["strategy"]["rollingUpdate"]
    assert spare == {"maxSurge": "25%", "maxUnavailable": 0}


def test_release_can_be_paused(helm4):
    assert deployment(rendered(helm4, "replicas=0"))["spec"]["replicas"] == 0


KEDA = ("autoscaling.type=keda", "monitoring.scrape=podMonitor")


def test_lost_metrics_are_no_empty_queue(helm4):
    (trigger,) = named(rendered(helm4, *KEDA), "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert "vector(0)" not in trigger["metadata"]["query"]


def test_keda_scales_to_none_where_something_else_wakes_it(helm4):
    waiting = '{"type": "prometheus", "metadata": {"serverAddress": "http://p", "query": "waiting", "threshold": "1"}}'
    sets = (*KEDA, "autoscaling.minReplicas=0", f"autoscaling.keda.extraTriggers=[{waiting}]")
    spec = named(rendered(helm4, *sets), "ScaledObject")["spec"]
    assert spec["minReplicaCount"] == 0
    assert spec["triggers"][0]["metadata"]["query"].endswith("or vector(0)")
    assert spec["triggers"][1] == yaml.safe_load(waiting)


ROUTES = (
    'gateway={"parentRefs": [{"name": "gateway"}], "hostnames": ["a.example"], "grpcHostnames": ["b.example"]}',
    "gateway.httpRoute=true",
    "gateway.grpcRoute=true",
)


def test_routes_reach_drop_ins_that_are_named_and_have_a_time_limit(helm4):
    found = rendered(helm4, *ROUTES, 'gateway.paths=["/v1", "/rerank", "/"]', "gateway.timeoutSeconds=90")
    (rule,) = named(found, "HTTPRoute")["spec"]["rules"]
    assert [(match["path"]["type"], match["path"]["value"]) for match in rule["matches"]] == [
        ("PathPrefix", "/v1"),
        ("PathPrefix", "/rerank"),
        ("Exact", "/"),  # a prefix would open /metrics
    ]
    assert rule["timeouts"] == {"request": "90s"}
    ingress = named(rendered(helm4, "ingress.enabled=true", 'ingress.paths=["/v1", "/predict", "/"]'), "Ingress")
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    assert [(path["path"], path["pathType"]) for path in paths] == [
        ("/v1", "Prefix"),
        ("/predict", "Prefix"),
        ("/", "Exact"),
    ]


def test_examples_of_proxies_let_through_what_the_service_takes(helm4):
    """tests/fleet sends such bodies and calls through the proxies."""
    nginx = (REPOSITORY / "docs/proxies/nginx.conf").read_text()
    (body,) = re.findall(r"client_max_body_size (\d+)m;", nginx)
    annotations = named(objects(template(helm4, example("hpa-routes"))), "Ingress")["metadata"]["annotations"]
    own = "nginx.ingress.kubernetes.io/proxy-"
    assert int(body) * 2**20 == Settings.model_fields["max_request_bytes"].default
    assert annotations[f"{own}body-size"] == f"{body}m"
    assert {f"{annotations[f'{own}{way}-timeout']}s" for way in ("read", "send")} == set(
        re.findall(r"(?:proxy|grpc)_(?:read|send)_timeout (\w+);", nginx)
    )


def test_gateway_can_speak_tls_with_the_pods(helm4):
    tls = ("tls.source=secret", "tls.secretName=t", "gateway.backendTls.enabled=true")
    policy = named(rendered(helm4, *ROUTES, *tls, "gateway.backendTls.caConfigMapName=ca"), "BackendTLSPolicy")["spec"]
    assert policy["targetRefs"] == [{"group": "", "kind": "Service", "name": "demo-promedical"}]
    assert policy["validation"] == {
        "hostname": "demo-promedical.oracle.svc",
        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
    }


def test_argo_cd_can_run_the_tests_after_a_sync(helm4):
    found = rendered(helm4, "tests.postSync=true")
    annotations = [manifest["metadata"]["annotations"] for manifest in found if manifest["kind"] == "Pod"]
    assert {each["argocd.argoproj.io/hook"] for each in annotations} == {"PostSync"}
    assert not any("helm.sh/hook" in each for each in annotations)


def test_dashboards_of_two_releases_do_not_replace_each_other(helm4):
    found = [
        named(
            rendered(helm4, "monitoring.dashboard.enabled=true", f"fullnameOverride={name}"), "ConfigMap", "-dashboard"
        )
        for name in ("blue", "green")
    ]
    boards = [yaml.safe_load(config["data"]["promedical.json"]) for config in found]
    assert boards[0]["uid"] != boards[1]["uid"]
    assert [board["title"] for board in boards] == ["ProMedical blue", "ProMedical green"]
    assert all(len(board["uid"]) <= 40 for board in boards)
