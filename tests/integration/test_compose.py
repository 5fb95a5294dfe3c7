"""docs/compose: a valid compose file, whose Prometheus really scrapes the service and knows the chart's alerts."""

import json
import subprocess
import time

import httpx
import pytest
import yaml
from chart import REPOSITORY, helm
from jsonschema.validators import validator_for
from test_chart_monitoring import _address, ask, dashboard_queries, tool

from frameworks import FOLDER, needs
from scripts.docs.compose_alerts import ALERTS, alerts

COMPOSE = REPOSITORY / "docs" / "compose"
SCHEMA = FOLDER / "check_jsonschema" / "builtin_schemas" / "vendor" / "compose-spec.json"


def read(name):
    return yaml.safe_load((COMPOSE / name).read_text())


@pytest.fixture(scope="module")
def services():
    return read("compose.yaml")["services"]


@pytest.fixture(scope="module")
def labels():
    """What the series of the service get."""
    (job,) = read("prometheus.yaml")["scrape_configs"]
    return job["static_configs"][0]["labels"] | {"job": job["job_name"]}


def mounted(services):
    """Where each mounted file lies, by its place in a container; volumes have a name."""
    parts = [mount.split(":") for service in services.values() for mount in service.get("volumes", [])]
    return {target: COMPOSE / source for source, target, *_ in parts if source.startswith(".")}


@needs("check_jsonschema")
def test_compose_file_is_one_by_the_specification():
    schema = json.loads(SCHEMA.read_text())
    validator = validator_for(schema)(schema)
    assert list(validator.iter_errors(read("compose.yaml"))) == []
    wrong = {"services": {"service": {"image": "x", "prots": ["8080:8080"]}}}
    assert ["prots" in error.message for error in validator.iter_errors(wrong)] == [True]


def test_every_file_that_compose_names_exists(services):
    compose = read("compose.yaml")
    files = [*mounted(services).values(), *(COMPOSE / each["file"] for each in compose["secrets"].values())]
    assert [path for path in files if not path.is_file()] == []
    context = COMPOSE / services["service"]["build"]["context"]
    assert (context / "Dockerfile").resolve() == REPOSITORY / "Dockerfile"
    assert set(services["service"]["build"]["secrets"]) <= compose["secrets"].keys()
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert all(f"--mount=type=secret,id={name}," in dockerfile for name in compose["secrets"])


def test_every_port_is_open_on_this_machine_only(services):
    ports = [port for service in services.values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert {port.rpartition(":")[2] for port in ports} == {"8080", "50051", "9090", "3000"}


def test_grafana_is_given_the_dashboard_of_the_chart_and_this_prometheus(services):
    places = mounted(services)
    (provider,) = read("grafana/dashboards.yaml")["providers"]
    (source,) = read("grafana/datasource.yaml")["datasources"]
    shown = places[f"{provider['options']['path']}/promedical.json"].resolve()
    assert shown == REPOSITORY / "helm" / "promedical" / "files" / "dashboard.json"
    assert source["url"] == "http://prometheus:9090"
    folders = {target.rpartition("/")[0] for target in places if "/provisioning/" in target}
    assert folders == {f"/etc/grafana/provisioning/{kind}" for kind in ("datasources", "dashboards")}


def test_alerts_are_those_of_the_chart():
    binary = helm(4)
    if isinstance(binary, str):
        pytest.skip(binary)
    assert ALERTS.read_text() == alerts(binary), "stale; run 'make chart-docs'"


def test_alerts_select_the_series_that_are_scraped(labels):
    selector = f'namespace="{labels["namespace"]}",job="{labels["job"]}"'
    rules = [rule for group in read("alerts.yaml")["groups"] for rule in group["rules"]]
    assert len(rules) > 20
    for rule in rules:
        assert rule["expr"].count("{") == rule["expr"].count("{" + selector)


def test_prometheus_accepts_its_configuration(tmp_path):
    for name in ("prometheus.yaml", "alerts.yaml"):
        (tmp_path / name).write_text((COMPOSE / name).read_text())
    done = subprocess.run(
        [tool("promtool"), "check", "config", "prometheus.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS: 1 rule files found" in done.stdout


@pytest.fixture
def prometheus(fake_server, tmp_path):
    """A real one with this configuration, whose target is the server of the tests."""
    config = (COMPOSE / "prometheus.yaml").read_text()
    target, often = f"127.0.0.1:{fake_server.rest_port}", "scrape_interval: 1s"
    changed = config.replace("service:8080", target).replace("scrape_interval: 15s", often)
    assert target in changed
    assert often in changed
    (tmp_path / "prometheus.yaml").write_text(changed)
    (tmp_path / "alerts.yaml").write_text((COMPOSE / "alerts.yaml").read_text())
    command = [
        tool("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yaml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    log = tmp_path / "log"
    with log.open("wb") as out, subprocess.Popen(command, stderr=out) as process:
        try:
            yield _address(log, process)
        finally:
            process.terminate()
            process.wait(30)


def test_dashboard_finds_the_series_that_prometheus_scrapes(prometheus, labels, fake_server):
    body = {"prompt": "How much?", "responses": ["4 g.", "As you like."], "rubric_id": "general-medical"}
    dashboard = json.loads((REPOSITORY / "helm" / "promedical" / "files" / "dashboard.json").read_text())
    queries = [
        expr.replace("$namespace", labels["namespace"]).replace("$job", labels["job"]).replace("$__rate_interval", "1m")
        for expr in dashboard_queries(dashboard)
    ]
    assert len(queries) > 20
    deadline = time.monotonic() + 120
    while empty := [expr for expr in queries if not ask(prometheus, expr)]:
        assert time.monotonic() < deadline, empty
        httpx.post(f"{fake_server.rest_url}/v1/rank", json=body, timeout=30).raise_for_status()
        time.sleep(0.5)
    rules = httpx.get(f"{prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
