"""A new revision beside the old one: what is rendered twice, how routes split and pin, and what is refused."""

import json
import re

import pytest
from chart import (
    ChartRefusedError,
    Manifest,
    deployment,
    example,
    named,
    objects,
    of_revision,
    settings_of,
    template,
)
from schemas import faults

OLD, NEW = "0" * 31 + "a", "0" * 31 + "b"
ON = ("canary.enabled=true",)
SPLIT = (*ON, "canary.weight=20", f"fingerprint={OLD}", f"canary.fingerprint={NEW}")
REST = ('gateway.parentRefs=[{"name": "gw"}]', "gateway.httpRoute=true")
GRPC = ('gateway.parentRefs=[{"name": "gw"}]', "gateway.grpcRoute=true")
INGRESS = ("ingress.enabled=true", "ingress.host=oracle.example.com")
PIN = "promedical-expected-fingerprint"

pytestmark = pytest.mark.canary


@pytest.fixture
def render(helm4):
    """Objects that Kubernetes and the Gateway API would take."""

    def rendered(*sets: str) -> list[Manifest]:
        found = objects(template(helm4, sets=sets))
        assert [fault for manifest in found if (fault := faults(manifest, "1.35"))] == []
        return found

    return rendered


def canary_of(manifests: list[Manifest]) -> list[Manifest]:
    return [m for m in of_revision(manifests, canary=True) if "-canary" in m["metadata"]["name"]]


# Two revisions.


def test_no_selector_of_one_revision_finds_pods_of_the_other(render):
    monitoring = ("monitoring.scrape=podMonitor", "networkPolicy.enabled=true")
    found = render(*ON, *monitoring)
    for canary in (False, True):
        others = deployment(found, canary=not canary)["spec"]["template"]["metadata"]["labels"].items()
        own = deployment(found, canary=canary)["spec"]["template"]["metadata"]["labels"].items()
        mine = [m["spec"] for m in of_revision(found, canary=canary) if m["kind"] != "ServiceAccount" and "spec" in m]
        selectors = [spec.get("selector") or spec.get("podSelector") for spec in mine]
        selectors = [each.get("matchLabels", each) for each in selectors if each]
        assert len(selectors) == 6
        assert all(each.items() <= own and not each.items() <= others for each in selectors)


def test_second_revision_has_objects_of_its_own(render):
    monitoring = ("monitoring.scrape=podMonitor", "monitoring.rules.enabled=true", "networkPolicy.enabled=true")
    kinds = [m["kind"] for m in canary_of(render(*ON, *monitoring))]
    own = {"ConfigMap", "Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "PodMonitor", "PrometheusRule"}
    assert {*kinds} == own | {"Service"}
    assert kinds.count("Service") == 2
    assert kinds.count("Pod") == 4  # `helm test` asks it too


def test_release_is_as_it_was_beside_a_canary(render):
    beside = of_revision(render(*ON, "canary.engine=fake", "canary.settings.max_items=3", *GRPC), canary=False)
    alone = render(*GRPC)
    assert [m for m in beside if m["kind"] != "GRPCRoute"] == [m for m in alone if m["kind"] != "GRPCRoute"]


def test_canary_differs_by_what_is_given_and_else_is_like_the_release(helm4):
    found = objects(template(helm4, example("canary")))
    old, new = (
        deployment(found, canary=canary)["spec"]["template"]["spec"]["containers"][0] for canary in (False, True)
    )
    assert (old["image"], new["image"]) == ("promedical:0.1.0", "promedical:0.2.0")
    assert {key for key in old if old[key] != new[key]} == {"image"}
    settings = [settings_of(of_revision(found, canary=canary)) for canary in (False, True)]
    assert settings[1] == settings[0] | {"model": "/model/rm-qwen3-8b-v2", "max_batch_tokens": 65536}


def test_canary_can_switch_off_what_the_release_has(render):
    found = render(*ON, "gpu.enabled=true", "canary.gpu.enabled=false")
    assert "nvidia.com/gpu" in str(deployment(found))
    assert "nvidia.com/gpu" not in str(deployment(found, canary=True))


@pytest.mark.parametrize(
    ("sets", "image"),
    [
        ((), "promedical@sha256:" + "1" * 64),
        (("canary.image.tag=next",), "promedical:next"),
        (("canary.image.digest=sha256:" + "2" * 64,), "promedical@sha256:" + "2" * 64),
    ],
    ids=["same", "tag", "digest"],
)
def test_tag_of_the_canary_is_not_hidden_by_the_digest_of_the_release(render, sets, image):
    found = render(*ON, "image.digest=sha256:" + "1" * 64, *sets)
    assert deployment(found, canary=True)["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_path_of_one_source_is_none_of_another(render):
    old = ("model.source=pvc", "model.pvc.claimName=models", "model.path=v1")
    other = ("canary.model.source=image", "canary.model.image.reference=registry/model:2")
    for sets, model in (
        (("canary.model.path=v2",), "/model/v2"),
        (other, "/model"),
        ((*other, "canary.model.path=v2"), "/model/v2"),
    ):
        found = render(*ON, *old, *sets)
        assert settings_of(of_revision(found, canary=True))["model"] == model
        assert settings_of(of_revision(found, canary=False))["model"] == "/model/v1"


def test_canary_scales_by_itself_only_if_told(render):
    sets = (*ON, "autoscaling.type=keda", "monitoring.scrape=podMonitor", "canary.replicas=3")
    found = render(*sets)
    assert deployment(found, canary=True)["spec"]["replicas"] == 3
    assert [m["metadata"]["name"] for m in found if m["kind"] == "ScaledObject"] == ["demo-promedical"]
    scaled = named(render(*sets, "canary.autoscaling.type=keda"), "ScaledObject", "-canary")["spec"]
    assert scaled["scaleTargetRef"]["name"] == "demo-promedical-canary"
    assert 'job="demo-promedical-canary"' in scaled["triggers"][0]["metadata"]["query"]


def test_series_and_alerts_of_the_revisions_are_apart(render):
    found = render(*ON, "monitoring.scrape=podMonitor", "monitoring.rules.enabled=true")
    for canary, job in ((False, "demo-promedical"), (True, "demo-promedical-canary")):
        mine = of_revision(found, canary=canary)
        (endpoint,) = named(mine, "PodMonitor")["spec"]["podMetricsEndpoints"]
        assert endpoint["relabelings"][0]["replacement"] == job
        rules = str(named(mine, "PrometheusRule")["spec"])
        assert {*re.findall(r'job="([^"]+)"', rules)} == {job}


def test_both_revisions_judge_by_the_same_rubrics_keys_and_certificate(render):
    shared = ("rubrics.files.house@1\\.json=x", "keys.source=secret", "keys.secretName=k")
    tls = ("tls.source=certManager", "tls.certManager.issuerName=ca")
    found = render(*ON, *shared, *tls)
    volumes = [deployment(found, canary=canary)["spec"]["template"]["spec"]["volumes"] for canary in (False, True)]
    sources = [{v["name"]: v for v in each if v["name"] in {"rubrics", "keys", "tls"}} for each in volumes]
    assert sources[0] == sources[1]
    assert len(sources[0]) == 3
    names = named(found, "Certificate")["spec"]["dnsNames"]
    services = {m["metadata"]["name"] for m in found if m["kind"] == "Service"}
    assert {f"{service}.oracle.svc" for service in services} <= {*names}


def test_service_of_the_canary_is_for_routes_only(render):
    names = (
        "service.annotations.external-dns\\.alpha\\.kubernetes\\.io/hostname=a.example",
        "service.annotations.mine=yes",
    )
    found = render(*ON, "service.type=LoadBalancer", *names)
    services = [named(of_revision(found, canary=canary), "Service", end) for canary, end in ((False, "l"), (True, "y"))]
    assert [service["spec"]["type"] for service in services] == ["LoadBalancer", "ClusterIP"]
    assert [len(service["metadata"]["annotations"]) for service in services] == [2, 1]


def test_revision_without_pods_is_neither_tested_nor_missed(render):
    rules = ("monitoring.scrape=podMonitor", "monitoring.rules.enabled=true")
    found = render(*SPLIT, *REST, *rules, "canary.weight=100", "fingerprint=", "replicas=0")
    assert [m["metadata"]["name"] for m in found if m["kind"] == "PrometheusRule"] == ["demo-promedical-canary"]
    assert all("-canary-" in m["metadata"]["name"] for m in found if m["kind"] == "Pod")


def test_names_leave_room_for_suffixes(render):
    found = render(*ON, "fullnameOverride=" + "x" * 50, "rubrics.files.house@1\\.json=x")
    names = [(m["kind"], m["metadata"]["name"]) for m in found]
    assert len(names) == len(set(names))
    assert max(len(name) for _, name in names) <= 63


# Routes.


def rules_of(found: list[Manifest], kind: str) -> list[tuple[set[str | None], dict[str, int | None]]]:
    """Of each rule the pins that it matches, None for any call, and the weights of its backends."""
    return [
        (
            {
                next((h["value"] for h in match.get("headers", []) if h["name"] == PIN), None)
                for match in rule["matches"]
            },
            {ref["name"]: ref.get("weight") for ref in rule["backendRefs"]},
        )
        for rule in named(found, kind)["spec"]["rules"]
    ]


@pytest.mark.parametrize(("route", "kind"), [(REST, "HTTPRoute"), (GRPC, "GRPCRoute")], ids=["rest", "grpc"])
@pytest.mark.parametrize(("weight", "weights"), [(0, (100, 0)), (20, (80, 20)), (100, (0, 100))])
def test_pins_have_rules_of_their_own_beside_the_split(render, route, kind, weight, weights):
    found = render(*SPLIT, *route, f"canary.weight={weight}")
    old, new = "demo-promedical", "demo-promedical-canary"
    assert rules_of(found, kind) == [
        ({OLD}, {old: None}),
        ({NEW}, {new: None}),
        ({None}, dict(zip((old, new), weights, strict=True))),
    ]


@pytest.mark.parametrize("weight", [0, 100])
def test_promotion_and_rollback_change_routes_and_nothing_else(render, weight):
    def without_routes(*sets):
        return [m for m in render(*SPLIT, *REST, *INGRESS, *sets) if m["kind"] not in {"HTTPRoute", "Ingress"}]

    assert without_routes(f"canary.weight={weight}") == without_routes()


def test_every_path_has_its_pins_and_pins_in_a_query_if_wanted(render):
    paths = 'gateway.paths=["/v1", "/get_reward", "/"]'
    rules = named(render(*SPLIT, *REST, paths), "HTTPRoute")["spec"]["rules"]
    assert [len(rule["matches"]) for rule in rules] == [3, 3, 3]
    assert {rule["timeouts"]["request"] for rule in rules} == {"600s"}
    rules = named(render(*SPLIT, *REST, paths, "gateway.pinsInQuery=true"), "HTTPRoute")["spec"]["rules"]
    assert [len(rule["matches"]) for rule in rules] == [6, 6, 3]
    queries = [match["queryParams"] for rule in rules for match in rule["matches"] if "queryParams" in match]
    assert [query["name"] for (query,) in queries] == ["expected_fingerprint"] * 6
    assert [query["value"] for (query,) in queries] == [OLD] * 3 + [NEW] * 3


def test_gateway_checks_the_certificate_of_both_revisions(render):
    tls = ("tls.source=secret", "tls.secretName=t", "gateway.backendTls.enabled=true")
    policy = named(render(*ON, *REST, *tls, "gateway.backendTls.caConfigMapName=ca"), "BackendTLSPolicy")["spec"]
    assert [target["name"] for target in policy["targetRefs"]] == ["demo-promedical", "demo-promedical-canary"]


# One listener takes one kind of route for a host name.


def gateway(http_hosts, grpc_hosts, http_refs='{"name": "gw"}', grpc_refs=""):
    hosts = f'"hostnames": {json.dumps(http_hosts)}, "grpcHostnames": {json.dumps(grpc_hosts)}'
    refs = f'"parentRefs": [{http_refs}], "grpcParentRefs": [{grpc_refs}]'
    return f'gateway={{"httpRoute": true, "grpcRoute": true, {hosts}, {refs}}}'


MEETING = {
    "no-names": gateway([], []),
    "same": gateway(["a.example"], []),
    "one-of-two": gateway(["a.example", "b.example"], ["c.example", "b.example"]),
    "wildcard": gateway(["*.example"], ["a.example"]),
    "wildcard-deep": gateway(["a.b.example"], ["*.example"]),
    "wildcards": gateway(["*.example"], ["*.b.example"]),
    "any": gateway([], ["a.example"]),
    "one-section": gateway(["a.example"], [], '{"name": "gw"}', '{"name": "gw", "sectionName": "grpc"}'),
    "same-section": gateway([], [], '{"name": "gw", "sectionName": "s"}', ""),
    "same-namespace": gateway([], [], '{"name": "gw"}', '{"name": "gw", "namespace": "oracle"}'),
    "one-of-two-gateways": gateway([], [], '{"name": "a"}, {"name": "b"}', '{"name": "b"}'),
}
APART = {
    "names": gateway(["a.example"], ["b.example"]),
    "below-no-wildcard": gateway(["example.com"], ["grpc.example.com"]),
    "beside-a-wildcard": gateway(["*.a.example"], ["a.example"]),
    "ends-alike": gateway(["*.b.example"], ["ab.example"]),
    "sections": gateway([], [], '{"name": "gw", "sectionName": "rest"}', '{"name": "gw", "sectionName": "grpc"}'),
    "ports": gateway([], [], '{"name": "gw", "port": 443}', '{"name": "gw", "port": 8443}'),
    "gateways": gateway([], [], '{"name": "a"}', '{"name": "b"}'),
    "namespaces": gateway([], [], '{"name": "gw", "namespace": "x"}', '{"name": "gw", "namespace": "y"}'),
}


@pytest.mark.parametrize("values", MEETING.values(), ids=MEETING)
def test_routes_of_which_a_gateway_would_refuse_one_are_refused(helm4, values):
    with pytest.raises(ChartRefusedError, match="a Gateway accepts only one of them"):
        template(helm4, sets=(values,))


@pytest.mark.parametrize("values", APART.values(), ids=APART)
def test_routes_that_do_not_meet_are_taken(render, values):
    assert {"HTTPRoute", "GRPCRoute"} <= {m["kind"] for m in render(values)}


# Ingress.


def ingresses(found: list[Manifest]) -> list[tuple[str, dict[str, str]]]:
    """Of each Ingress the Service, and what it tells ingress-nginx."""
    start = "nginx.ingress.kubernetes.io/canary"
    return [
        (
            m["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"],
            {k.removeprefix(start): v for k, v in m["metadata"].get("annotations", {}).items() if k.startswith(start)},
        )
        for m in found
        if m["kind"] == "Ingress"
    ]


OLD_SERVICE, NEW_SERVICE = "demo-promedical", "demo-promedical-canary"


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("canary.weight=0",), [(OLD_SERVICE, {})]),
        (("canary.weight=100",), [(NEW_SERVICE, {})]),
        (
            ("canary.weight=0", "ingress.canary=pins"),
            [(OLD_SERVICE, {}), (NEW_SERVICE, {"": "true", "-by-header": PIN, "-by-header-value": NEW})],
        ),
        (
            ("canary.weight=100", "ingress.canary=pins"),
            [(NEW_SERVICE, {}), (OLD_SERVICE, {"": "true", "-by-header": PIN, "-by-header-value": OLD})],
        ),
        (
            ("canary.weight=20", "ingress.canary=weights"),
            [
                (OLD_SERVICE, {}),
                (NEW_SERVICE, {"": "true", "-by-header": PIN, "-by-header-value": NEW, "-weight": "20"}),
            ],
        ),
    ],
    ids=["none", "none-promoted", "pins", "pins-promoted", "weights"],
)
def test_ingress_leads_to_the_live_revision_and_ingress_nginx_to_the_other(render, sets, expected):
    assert ingresses(render(*SPLIT, *INGRESS, *sets)) == expected


# What is refused.


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (("canary.weight=20",), "canary.weight is 20, but there is no second revision"),
        ((*SPLIT, *REST, f"canary.fingerprint={OLD}"), f"fingerprint and canary.fingerprint are both {OLD}"),
        ((*SPLIT, *REST, "canary.replicas=0"), "canary.replicas is 0, so nobody would answer"),
        ((*ON, "canary.replicas=0", f"canary.fingerprint={NEW}"), "canary.replicas is 0, so nobody would answer"),
        ((*SPLIT, *REST, "replicas=0"), "replicas is 0, so nobody would answer the calls that canary.weight=20"),
        ((*SPLIT, *REST, "fingerprint="), "a split needs fingerprint and canary.fingerprint"),
        ((*SPLIT, *REST, "canary.fingerprint="), "a split needs fingerprint and canary.fingerprint"),
        (SPLIT, "nothing splits calls"),
        ((*SPLIT, *INGRESS), "nothing splits calls"),
        ((*ON, "canary.weight=100"), "callers of the Service stay with the release"),
        ((*ON, "canary.gpu.tensorParallel=2"), "canary, over the release's values: gpu.tensorParallel is 2"),
        ((*ON, "canary.settings.max_batch_s=99"), "canary, over the release's values: drain.serverSeconds is 30"),
    ],
    ids=lambda value: None if isinstance(value, tuple) else value[:40].replace(" ", "-"),
)
def test_canary_that_contradicts_itself_is_refused(any_helm, sets, reason):
    with pytest.raises(ChartRefusedError, match=re.escape(reason)):
        template(any_helm, sets=sets)


@pytest.mark.parametrize(
    "sets",
    [
        (*ON,),  # to be tried out, and asked for its fingerprint
        (*ON, f"canary.fingerprint={NEW}", *REST),
        (*SPLIT, *REST, "canary.weight=100", "fingerprint=", "replicas=0"),  # the old revision is gone
        (*SPLIT, *REST, "canary.weight=100", "fingerprint="),  # the release takes over the canary's model
        (*SPLIT, *REST, "canary.replicas=0", "canary.autoscaling.type=hpa", "monitoring.scrape=podMonitor"),
        ("canary.weight=0", f"fingerprint={OLD}"),
    ],
    ids=["tried", "pinned", "retired", "taken-over", "scaled", "alone"],
)
def test_canary_that_is_near_to_a_contradiction_is_taken(render, sets):
    assert render(*sets)


@pytest.mark.parametrize(
    "setting",
    [
        "canary.weight=101",
        "canary.weight=-1",
        "canary.replicas=-1",
        "canary.fingerprint=abc",
        f"fingerprint={OLD}0",
        "fingerprint=" + "A" * 32,
        "canary.engine=onnx",
        "canary.model.paths=x",
        "canary.model.source=pvc",
        "canary.settings.nothing=1",
        "canary.rubrics=x",
        "ingress.canary=yes",
    ],
)
def test_schema_refuses_what_no_canary_has(any_helm, setting):
    with pytest.raises(ChartRefusedError, match="don't meet the specifications of the schema"):
        template(any_helm, sets=(*ON, setting))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"rules": []}, "rules"),
        ({"hostname": ["a"]}, "lost"),
        ({"hostnames": ["*.*.example"]}, "hostnames"),
        ({"rules": [{"matches": [{"path": {"type": "Prefix", "value": "/"}}], "backendRefs": []}]}, "PathPrefix"),
        (
            {
                "rules": [
                    {
                        "matches": [{"path": {"type": "Exact", "value": "/"}}],
                        "backendRefs": [{"name": "a", "port": 1, "weight": -1}],
                    }
                ]
            },
            "weight",
        ),
    ],
    ids=["no-rules", "unknown", "hostname", "type", "weight"],
)
def test_check_of_routes_finds_what_is_wrong(render, change, fault):
    """The checks above can fail."""
    route = named(render(*REST), "HTTPRoute")
    route["spec"] |= change
    assert fault in str(faults(route, "1.35"))
