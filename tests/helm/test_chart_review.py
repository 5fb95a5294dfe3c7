"""The review app in the chart: what its pods may and may not do, its migration, its alerts, and what is refused."""

import re
from typing import Any

import pytest
from chart import ChartRefusedError, Manifest, containers, example, metric_names, named, objects, pod_specs, template
from prometheus_client import generate_latest
from test_chart_monitoring import RUNBOOKS, run_promtool
from test_chart_rules import (  # the same rules as for the service's pods, collected here for the app's
    of_review,
    test_mounts_name_volumes_and_volumes_are_mounted,  # noqa: F401
    test_no_secret_is_in_a_config_map_or_an_environment,  # noqa: F401
    test_pods_are_restricted,  # noqa: F401
    test_pods_promise_more_than_restricted,  # noqa: F401
)
from typer.main import get_command
from typer.testing import CliRunner

from promedical_review.cli import app
from promedical_review.oidc.settings import oidc_settings
from promedical_review.web.serving import Address
from promedical_review.web.telemetry import Metrics

NAME = "demo-promedical-review"
NEEDED = ("review.enabled=true", "review.database.secretName=db", "review.publicUrl=https://review.example.com")


@pytest.fixture(scope="module")
def manifests(helm4) -> list[Manifest]:
    return [m for m in objects(template(helm4, example("review"))) if of_review(m)]


@pytest.fixture(scope="module")
def groups(manifests) -> list[Manifest]:
    return named(manifests, "PrometheusRule")["spec"]["groups"]


def rendered(helm, *sets: str) -> list[Manifest]:
    return [m for m in objects(template(helm, sets=(*NEEDED, *sets))) if of_review(m)]


def pod(manifests: list[Manifest]) -> Manifest:
    return named(manifests, "Deployment")["spec"]["template"]["spec"]


def environ(container: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_nothing_of_the_app_is_there_unless_it_is_enabled(helm4):
    assert [m for m in objects(template(helm4)) if of_review(m)] == []


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (("review.enabled=true",), "set review.database.secretName to an existing Secret"),
        (("review.enabled=true", "review.database.secretName=db"), "set review.publicUrl, such as https://"),
        ((*NEEDED, "review.oidc.issuer=https://id.example.com"), "set review.oidc.clientId"),
        ((*NEEDED, "review.oidc.clientId=x"), "set review.oidc.issuer"),
        ((*NEEDED, "review.oidc.roles.wards=physician"), "set review.oidc.issuer"),
        ((*NEEDED, "review.gateway.httpRoute=true"), "needs review.gateway.parentRefs"),
        ((*NEEDED, "review.port=9090"), "two different ports"),
        ((*NEEDED, "review.publicUrl=http://review.example.com"), "specifications of the schema"),
        ((*NEEDED, "review.publicUrl=https://review.example.com/app"), "specifications of the schema"),
        ((*NEEDED, "review.oidc.issuer=http://id.example.com"), "specifications of the schema"),
        ((*NEEDED, "review.port=80"), "specifications of the schema"),
        ((*NEEDED, "review.oidc.roles.wards=judge"), "specifications of the schema"),
        ((*NEEDED, "review.databse.secretName=x"), "specifications of the schema"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
def test_values_that_cannot_work_are_refused_with_what_to_do(any_helm, sets, reason):
    with pytest.raises(ChartRefusedError, match=re.escape(reason)):
        template(any_helm, sets=sets)


def test_arguments_are_those_of_the_program(manifests):
    (server,) = containers(pod(manifests))
    commands: Any = get_command(app)
    serve, *flags = server["args"]
    known = {name for parameter in commands.commands[serve].params for name in parameter.opts}
    assert {flag.partition("=")[0] for flag in flags} <= known
    values = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    Address(host=values["host"], port=int(values["port"]), public_url=values["public-url"])
    (migration,) = named(manifests, "Job")["spec"]["template"]["spec"]["containers"]
    group, command = migration["args"]
    assert command in commands.commands[group].commands


def test_environment_is_what_the_program_reads(manifests):
    (server,) = containers(pod(manifests))
    said = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "400"}).output
    given = environ(server)
    assert {name for name in given if name.startswith("PROMEDICAL")} <= set(re.findall(r"PROMEDICAL_\w+", said))
    prefix = "PROMEDICAL_REVIEW_OIDC_"
    oidc = oidc_settings(
        *(given[prefix + name] for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "ROLE_CLAIM", "ROLES"))
    )
    assert oidc is not None
    assert oidc.roles["review-physicians"] == "physician"


def test_secrets_are_read_from_files_that_are_mounted(manifests):
    for spec in pod_specs(manifests).values():
        (container,) = containers(spec)
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        files = [value[1:] for value in environ(container).values() if value.startswith("@")]
        assert files
        assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files)


def test_migration_runs_before_and_uses_nothing_of_the_release(manifests):
    job = named(manifests, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in spec
    assert not any("configMap" in volume for volume in spec["volumes"])
    policies = [m for m in manifests if m["kind"] == "NetworkPolicy" and m["metadata"]["name"].endswith("-db")]
    weights = [int(m["metadata"]["annotations"]["helm.sh/hook-weight"]) for m in (*policies, job)]
    assert weights == sorted(set(weights))
    assert len(weights) == 2


def test_probes_tell_a_process_that_lives_from_one_that_can_work(manifests):
    (server,) = containers(pod(manifests))
    paths = {name: server[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_pods_get_time_to_finish_calls(manifests):
    (server,) = containers(pod(manifests))
    from promedical_review.web.serving import DRAIN_S

    pre_stop = server["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(manifests)["terminationGracePeriodSeconds"] > pre_stop + DRAIN_S


def test_selectors_find_the_apps_pods_and_no_others(helm4):
    manifests = objects(template(helm4, example("review")))
    pods = {
        m["metadata"]["name"]: m["spec"]["template"]["metadata"]["labels"]
        for m in manifests
        if "template" in (m.get("spec") or {})
    }
    assert len(pods) == 3
    ours = [m for m in manifests if of_review(m)]
    selectors = [m["spec"]["selector"] for m in ours if m["kind"] == "Service"]
    selectors += [
        m["spec"]["selector"]["matchLabels"]
        for m in ours
        if m["kind"] in {"Deployment", "PodMonitor", "PodDisruptionBudget"}
    ]
    assert len(selectors) == 4
    for selector in selectors:
        assert [name for name, labels in pods.items() if selector.items() <= labels.items()] == [NAME]
    policies = {
        m["metadata"]["name"]: m["spec"]["podSelector"]["matchLabels"] for m in ours if m["kind"] == "NetworkPolicy"
    }
    for name, selector in policies.items():
        assert [each for each, labels in pods.items() if selector.items() <= labels.items()] == [name]


def test_network_opens_pages_to_proxies_and_metrics_to_prometheus_only(manifests):
    policy = next(m for m in manifests if m["kind"] == "NetworkPolicy" and m["metadata"]["name"] == NAME)["spec"]
    peers = {rule["ports"][0]["port"]: str(rule["from"]) for rule in policy["ingress"]}
    assert set(peers) == {"http", "metrics"}
    assert "ingress-nginx" in peers["http"]
    assert "monitoring" in peers["metrics"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["egress"]] == [[53, 53], [5432], [443]]


def test_metrics_are_in_no_service(manifests):
    ports = [port["targetPort"] for m in manifests if m["kind"] == "Service" for port in m["spec"]["ports"]]
    assert ports == ["http"]


@pytest.mark.parametrize(
    ("sets", "port"),
    [
        (("review.oidc.issuer=https://id.example.com:8443/realms/x",), 8443),
        (("egress.proxy=http://proxy.example.com:3128", "review.oidc.issuer=https://id.example.com"), 3128),
    ],
    ids=["port", "proxy"],
)
def test_network_opens_the_way_to_the_issuer(helm4, sets, port):
    found = rendered(helm4, "networkPolicy.enabled=true", "review.oidc.clientId=x", *sets)
    policy = next(m for m in found if m["kind"] == "NetworkPolicy" and m["metadata"]["name"] == NAME)
    assert policy["spec"]["egress"][-1]["ports"] == [{"port": port, "protocol": "TCP"}]


@pytest.mark.parametrize("route", ["ingress", "gateway"])
def test_routes_lead_the_public_host_to_the_app(helm4, route):
    gateway = ("review.gateway.httpRoute=true", 'review.gateway.parentRefs=[{"name": "gw"}]')
    found = rendered(helm4, *(gateway if route == "gateway" else ("review.ingress.enabled=true",)))
    (service,) = [m for m in found if m["kind"] == "Service"]
    spec = named(found, "Ingress" if route == "ingress" else "HTTPRoute")["spec"]
    assert "review.example.com" in str(spec)
    assert "'name': 'demo-promedical-review'" in str(spec)
    assert service["spec"]["ports"][0]["port"] == 8090


def test_alerts_ask_for_metrics_that_the_app_has_and_have_runbooks(groups):
    metrics = Metrics()
    metrics.answered("GET", "/work", 200, 0.1)
    served = set(re.findall(r"^(\w+)\{", generate_latest(metrics.registry).decode(), re.MULTILINE))
    (rules,) = [group["rules"] for group in groups]
    for rule in rules:
        assert metric_names(rule["expr"]) <= served
        assert (RUNBOOKS / f"{rule['alert']}.md").is_file()
        assert rule["annotations"]["runbook_url"].endswith(f"/{rule['alert']}.md")


LABELS = f'namespace="oracle",job="{NAME}"'


def calls(status: str, each_minute: int, route: str = "/work") -> dict[str, str]:
    name = f'promedical_review_requests_total{{{LABELS},method="GET",route="{route}",status="{status}"}}'
    return {"series": name, "values": f"0+{each_minute}x60"}


def took(bound: str, each_minute: int) -> dict[str, str]:
    name = f'promedical_review_request_seconds_bucket{{{LABELS},route="/work",le="{bound}"}}'
    return {"series": name, "values": f"0+{each_minute}x60"}


CASES: dict[str, list[tuple[list[dict[str, str]], bool]]] = {
    "PromedicalReviewDown": [
        ([{"series": f"up{{{LABELS}}}", "values": "1x60"}], False),
        ([{"series": f"up{{{LABELS}}}", "values": "0x60"}], True),
        ([], True),
    ],
    "PromedicalReviewFailing": [
        ([calls("200", 100), calls("503", 1)], False),
        ([calls("200", 100), calls("409", 50)], False),
        ([calls("200", 100), calls("503", 9, "/readyz")], False),
        ([calls("200", 100), calls("503", 9)], True),
    ],
    "PromedicalReviewSlow": [
        ([took("0.2", 99), took("5", 100), took("+Inf", 100)], False),
        ([took("0.2", 10), took("5", 100), took("+Inf", 100)], True),
    ],
    "PromedicalReviewSignInFailing": [
        ([calls("403", 9, "/login/oidc/callback")], False),
        ([calls("502", 1, "/login/oidc/callback")], True),
    ],
}


def test_alerts_fire_when_they_should(groups, tmp_path):
    assert {rule["alert"] for group in groups for rule in group["rules"]} == CASES.keys()
    tests = []
    for alert, cases in CASES.items():
        for inputs, fires in cases:
            counted = f'count by (namespace, job) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
            expected = [{"labels": f"{{{LABELS}}}", "value": 1}] if fires else []
            asked = {"expr": counted, "eval_time": "40m", "exp_samples": expected}
            tests.append({"interval": "1m", "input_series": inputs, "promql_expr_test": [asked]})
    run_promtool(tmp_path, groups, tests)
