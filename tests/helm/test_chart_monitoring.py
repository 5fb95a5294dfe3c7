"""Alerts fire when they should; dashboards, alerts and scalers ask for series that the real server has."""

import json
import re
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from typing import get_args

import httpx
import pytest
import trustme
import yaml
from chart import CHART, NAMESPACE, REPOSITORY, deployment, example, metric_names, named, objects, pod_specs, template

from promedical.messages import Priority
from serving import running_server

JOB = "demo-promedical"
LABELS = {"namespace": NAMESPACE, "job": JOB, "pod": "pod-0"}
RUNBOOKS = REPOSITORY / "docs" / "runbooks"


@pytest.fixture(scope="module")
def manifests(helm4):
    return objects(template(helm4, example("keda")))


@pytest.fixture(scope="module")
def groups(manifests):
    return named(manifests, "PrometheusRule")["spec"]["groups"]


@pytest.fixture(scope="module")
def alerts(groups):
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


@pytest.fixture(scope="module")
def dashboard(manifests):
    return json.loads(named(manifests, "ConfigMap", "-dashboard")["data"]["promedical.json"])


def dashboard_queries(dashboard):
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def tool(name):
    """The path of a tool of Debian's package prometheus."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} not installed (Debian package prometheus)")
    return found


# Names.


@pytest.fixture(scope="module")
def exposition(fake_server, tmp_path_factory):
    """What real servers show: one without TLS, and one with, since only that has certificates and keys that end."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    (folder / "keys").write_text(f'{{"name": "a", "key": "sha256:{"0" * 64}", "expires": "2099-12-31"}}')
    flags = (f"--tls-{what}-file={folder / 'server.pem'}" for what in ("cert", "key"))
    with running_server("--engine=fake", f"--keys-file={folder / 'keys'}", *flags) as server:
        secure = httpx.get(f"https://127.0.0.1:{server.rest_port}/metrics", verify=context, timeout=30).text
    return httpx.get(f"{fake_server.rest_url}/metrics", timeout=30).text + secure


@pytest.fixture(scope="module")
def served_metrics(exposition):
    return set(re.findall(r"^(\w+)(?:\{| )", exposition, re.MULTILINE))


def test_every_metric_that_is_asked_for_is_served(manifests, groups, dashboard, served_metrics):
    scaled = [m["metadata"]["query"] for m in named(manifests, "ScaledObject")["spec"]["triggers"]]
    ruled = [rule["expr"] for group in groups for rule in group["rules"]]
    for expressions in (scaled, ruled, dashboard_queries(dashboard)):
        names = set().union(*map(metric_names, expressions))
        assert names
        assert names <= served_metrics


def test_every_metric_of_the_hpa_is_served(helm4, served_metrics):
    scaler = named(objects(template(helm4, example("hpa-routes"))), "HorizontalPodAutoscaler")
    assert {metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]} <= served_metrics


def test_labels_in_rules_are_labels_of_the_metrics(groups, exposition):
    for expression in [rule["expr"] for group in groups for rule in group["rules"]]:
        for name, inner in re.findall(r"(?<!:)(promedical_\w+)\{([^}]*)\}", expression):
            for label, operator, value in re.findall(r'(\w+)(=~|!~|!?=)"([^"]*)"', inner):
                if label in LABELS:
                    continue
                values = set(re.findall(rf'^{name}\{{.*?{label}="([^"]*)"', exposition, re.MULTILINE))
                wanted = value.split("|") if "~" in operator else [value]
                assert set(wanted) <= values, f"{name} {label}"


@pytest.mark.parametrize("alert", ["PromedicalLatencyHigh", "PromedicalQueueWaitLong"])
def test_every_lane_has_a_threshold_of_its_own(alerts, alert):
    found = re.findall(r'lane="(\w+)"\}\[5m\]\)\)\) > (\d+)', alerts[alert]["expr"])
    assert {lane for lane, _ in found} == set(get_args(Priority))
    assert len({threshold for _, threshold in found}) == len(found)


def test_thresholds_that_the_schema_admits_can_be_passed(helm4, exposition):
    """A quantile is never above the last bucket's bound, a share never above 1."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    rules = schema["properties"]["monitoring"]["properties"]["rules"]["properties"]
    histograms = {"latencySeconds": "scoring", "bulkLatencySeconds": "scoring"}
    histograms |= {"queueWaitSeconds": "stage", "bulkQueueWaitSeconds": "stage"}
    for name, metric in histograms.items():
        bounds = re.findall(rf'^promedical_{metric}_seconds_bucket\{{.*?le="([\d.]+)"', exposition, re.MULTILINE)
        assert rules[name]["exclusiveMaximum"] == max(map(float, bounds))
    sets = (f'monitoring.rules={{"enabled": true, "availability": {rules["availability"]["minimum"]}}}',)
    rendered = named(objects(template(helm4, example("keda"), sets=sets)), "PrometheusRule")["spec"]["groups"]
    (burning,) = [r["expr"] for g in rendered for r in g["rules"] if r.get("alert") == "PromedicalErrorBudgetBurnFast"]
    assert all(float(share) < 1 for share in re.findall(r"> ([\d.]+)", burning))


def test_rules_and_scaler_select_the_series_that_the_monitor_writes(manifests, groups):
    monitor = named(manifests, "PodMonitor")
    (relabeling,) = monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]
    selector = f'namespace="{NAMESPACE}",{relabeling["targetLabel"]}="{relabeling["replacement"]}"'
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    expressions += [trigger["metadata"]["query"] for trigger in named(manifests, "ScaledObject")["spec"]["triggers"]]
    for expression in expressions:
        assert expression.count("{") == expression.count("{" + selector)


def test_every_recorded_series_that_is_used_is_recorded(groups):
    rules = [rule for group in groups for rule in group["rules"]]
    used = {name for rule in rules for name in re.findall(r"job:[\w:]+", rule["expr"])}
    assert used == {rule["record"] for rule in rules if "record" in rule}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(alerts):
    runbooks = {path.stem for path in RUNBOOKS.glob("Promedical*.md")}
    assert {each for each in runbooks if not each.startswith("PromedicalReview")} == set(alerts)
    for name, alert in alerts.items():
        assert alert["annotations"]["runbook_url"].endswith(f"/{name}.md")
        assert alert["labels"]["severity"] in {"critical", "warning"}
        text = (RUNBOOKS / f"{name}.md").read_text()
        assert re.findall("^## (.*)$", text, re.MULTILINE) == ["What it means", "What to look at", "What to do"]


def test_alerts_on_missing_replicas_wait_for_a_start(manifests, alerts):
    probe = deployment(manifests)["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    start = probe["periodSeconds"] * probe["failureThreshold"]
    for name in ("PromedicalReplicasMissing", "PromedicalOraclesDiffer", "PromedicalRubricsDiffer"):
        assert int(alerts[name]["for"].removesuffix("s")) > start


def test_monitor_scrapes_a_port_of_the_pod(manifests):
    (spec,) = [spec for name, spec in pod_specs(manifests).items() if name == JOB]
    ports = {port["name"] for port in spec["containers"][0]["ports"]}
    assert {endpoint["port"] for endpoint in named(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]} <= ports


# promtool.


def series(metric, values, **labels):
    inner = ",".join(f'{name}="{value}"' for name, value in (LABELS | labels).items())
    return {"series": f"{metric}{{{inner}}}", "values": values}


def requests(ok, failing, code="internal"):
    """Requests per minute, steadily for seven hours."""
    return [
        series("promedical_requests_total", f"0+{ok}x420", code="ok", method="ScoreBatch"),
        series("promedical_requests_total", f"0+{failing}x420", code=code, method="ScoreBatch"),
    ]


def deaths(every, hours=4):
    """A process that dies and begins again every so many minutes; it starts for a minute, and is not scraped then."""
    lives = [f"{60 * every * life}x{every - 2} _" for life in range(60 * hours // every)]
    return [series("process_start_time_seconds", " ".join(lives), pod="pod-0")]


def certificate(ends, lives, file="tls_cert_file"):
    """A certificate that ends so many hours after the test begins, and lives for so many."""
    return [
        series("promedical_certificate_ends_timestamp_seconds", f"{ends * 3600}+0x300", file=file),
        series("promedical_certificate_begins_timestamp_seconds", f"{(ends - lives) * 3600}+0x300", file=file),
    ]


def key_end(name, hours, **labels):
    """A key that ends so many hours after the test begins."""
    return series("promedical_key_ends_timestamp_seconds", f"{hours * 3600}+0x300", key=name, **labels)


def latency(metric, seconds, per_minute=60, **labels):
    """So many a minute, all of which take up to `seconds`."""
    bounds = ("1.0", "10.0", "30.0", "60.0", "120.0", "300.0")
    counts = [(bound, per_minute if float(bound) >= seconds else 0) for bound in bounds] + [("+Inf", per_minute)]
    return [series(f"{metric}_bucket", f"0+{count}x60", le=bound, **labels) for bound, count in counts]


def vetoes(before, after):
    """Per minute of 100 responses: so many vetoed for a day, then so many for three hours."""
    return [
        series("promedical_responses_safety_checked_total", "0+100x1620"),
        series("promedical_responses_vetoed_total", f"0+{before}x1440 {before * 1440}+{after}x180"),
    ]


def ready(*values):
    return [series("promedical_ready", value, pod=f"pod-{n}") for n, value in enumerate(values)]


def rollout(number):
    """A replica that an upgrade replaces by a new pod, every hour."""
    starts = [f"_x{60 * life} {3600 * life}x59" if life else "0x59" for life in range(3)]
    return [
        series("process_start_time_seconds", start, pod=f"pod-{number}-{life}") for life, start in enumerate(starts)
    ]


def engine(queued, batches):
    return [
        series("promedical_queue_tokens", queued, pod="pod-0", lane="bulk"),
        series("promedical_batch_unique_tokens_count", batches, pod="pod-0"),
    ]


def shadow(values, outcome):
    return series("promedical_shadow_requests_total", values, outcome=outcome, pod="pod-0")


def fingerprints(*names):
    return [series("promedical_model_info", "1x120", fingerprint=name, pod=f"pod-{n}") for n, name in enumerate(names)]


def rubrics(*replicas):
    """The hash of each rubric, for each replica."""
    return ready(*("1x120" for _ in replicas)) + [
        series("promedical_rubric_info", "1x120", name=name, version=version, sha256=sha256, pod=f"pod-{n}")
        for n, replica in enumerate(replicas)
        for (name, version), sha256 in ((each.split("@"), hashed) for each, hashed in replica.items())
    ]


CASES = {
    "PromedicalDown": [(ready("1x10", "1x10"), "8m", 0), (ready("1x2 0x10", "0x12"), "8m", 1), ([], "5m", 1)],
    "PromedicalReplicasMissing": [
        (ready("1x60"), "40m", 0),  # at least one, as the example says
        (ready("0x60"), "40m", 0),  # none at all is PromedicalDown's
    ],
    "PromedicalAutoscalerAtMaximum": [
        (ready(*["1x120"] * 5), "100m", 0),
        (ready(*["1x120"] * 6), "20m", 0),  # for a moment
        (ready(*["1x120"] * 6), "100m", 1),
        (ready(*["1x120"] * 5, "0x120"), "100m", 1),  # one is starting: there is still no room for more
    ],
    "PromedicalRestarted": [
        ([series("process_start_time_seconds", "0x240")], "3h", 0),
        (deaths(100), "105m", 1),
        (deaths(100), "95m", 0),
        ([each for n in range(3) for each in rollout(n)], "3h", 0),
    ],
    "PromedicalCrashLooping": [
        (deaths(9), "25m", 0),
        (deaths(9), "60m", 1),
        (deaths(9), "3h", 1),
        (deaths(50), "3h", 0),
        ([each for n in range(3) for each in rollout(n)], "3h", 0),
    ],
    "PromedicalEngineStuck": [
        (engine("5000x60", "0x60"), "40m", 1),
        (engine("5000x60", "0+9x60"), "40m", 0),
        (engine("0x60", "7x60"), "40m", 0),  # nothing to do
        (engine("5000x60", "0+9x20 180x40"), "25m", 0),
        (engine("5000x60", "0+9x20 180x40"), "40m", 1),
        (engine("5000x20 0x40", "7x60"), "40m", 0),  # over
    ],
    "PromedicalAuditRecordsDropped": [
        ([series("promedical_audit_records_total", "0x30", fate="dropped")], "20m", 0),
        ([series("promedical_audit_records_total", "0+9x30", fate="written")], "20m", 0),
        ([series("promedical_audit_records_total", "0x10 4x20", fate="dropped", pod="pod-0")], "15m", 1),
    ],
    "PromedicalShadowFailing": [
        (
            [shadow("0x90", "sampled"), shadow("0x90", "compared")],
            "80m",
            0,
        ),  # nothing is sampled, or there is no shadow
        ([shadow("0+9x90", "sampled"), shadow("0+8x90", "compared"), shadow("0+1x90", "failed")], "80m", 0),
        ([shadow("0+9x90", "sampled"), shadow("0x90", "compared"), shadow("0+9x90", "failed")], "80m", 1),
        ([shadow("0+9x90", "sampled"), shadow("0x90", "compared"), shadow("0+9x90", "dropped")], "80m", 1),
        ([shadow("0+9x20 180x90", "sampled"), shadow("0x110", "compared")], "80m", 0),  # over
    ],
    "PromedicalRubricFilesBad": [
        ([series("promedical_rubric_files_ok", "1x30")], "20m", 0),
        ([series("promedical_rubric_files_ok", "1x10 0x20", pod="pod-0")], "15m", 1),
        ([series("promedical_rubric_files_ok", "1x10 0x1 1x20", pod="pod-0")], "15m", 0),  # corrected at once
    ],
    "PromedicalTlsFilesBad": [
        ([series("promedical_tls_files_ok", "1x30")], "20m", 0),
        ([series("promedical_tls_files_ok", "1x10 0x20", pod="pod-0")], "15m", 1),
        (
            [series("promedical_tls_files_ok", "1x10 0x1 1x20", pod="pod-0")],
            "15m",
            0,
        ),  # the key came after its certificate
    ],
    "PromedicalCertificateEndsSoon": [
        (certificate(ends=24 * 30, lives=24 * 90), "20m", 0),
        (certificate(ends=24 * 13, lives=24 * 90), "20m", 1),
        (certificate(ends=24 * 13, lives=24 * 90, file="tls_client_ca_file"), "20m", 1),
        (certificate(ends=24 * 13, lives=24 * 14), "20m", 0),  # lives shortly: it will be renewed
        (certificate(ends=24 * 3, lives=24 * 14), "20m", 1),
        (certificate(ends=-1, lives=24), "20m", 1),
        (certificate(24 * 30, 24 * 90) + certificate(24, 24 * 90, "tls_client_ca_file"), "20m", 1),
    ],
    "PromedicalCertificateEndsNow": [
        (certificate(ends=48, lives=24 * 90), "20m", 0),
        (certificate(ends=20, lives=24 * 90), "20m", 1),
        (certificate(ends=20, lives=24), "20m", 0),
        (certificate(ends=-1, lives=24), "20m", 1),
        (certificate(ends=20, lives=24 * 90, file="tls_client_ca_file"), "20m", 0),  # one authority of several
    ],
    "PromedicalKeyEndsSoon": [
        ([key_end("trainer", 24 * 15)], "20m", 0),
        ([key_end("trainer", 24 * 13)], "20m", 1),
        ([key_end("trainer", -1)], "20m", 1),  # its owner is refused
        ([key_end("trainer", 24 * 13), key_end("bench", 24), key_end("other", 24 * 300)], "20m", 2),
        ([key_end("trainer", 24 * 13), key_end("trainer", 24 * 13, pod="pod-1")], "20m", 1),
        ([], "20m", 0),
    ],
    "PromedicalUnauthenticated": [
        (requests(100, 5, "unauthenticated"), "60m", 0),
        (requests(100, 20, "unauthenticated"), "60m", 1),
        (requests(100, 20, "invalid_request"), "60m", 0),
    ],
    "PromedicalEngineFailing": [
        ([series("promedical_engine_failures_total", "0x30")], "20m", 0),
        ([series("promedical_engine_failures_total", "0x10 1x20")], "15m", 1),
        ([series("promedical_engine_failures_total", "0x10 1x40")], "35m", 0),  # over
    ],
    "PromedicalScoresNotFinite": [
        ([series("promedical_responses_unscored_total", "0x30", code="empty_response")], "20m", 0),
        ([series("promedical_responses_unscored_total", "0x10 5x20", code="empty_response")], "15m", 0),
        ([series("promedical_responses_unscored_total", "0x10 5x20", code="engine_failure")], "15m", 1),
        (
            [
                series("promedical_responses_unscored_total", "0x10 5x20", code="engine_failure"),
                series("promedical_engine_failures_total", "0x10 1x20"),
            ],
            "15m",
            0,  # the engine raised: PromedicalEngineFailing says so
        ),
    ],
    "PromedicalKeysFileBad": [
        ([series("promedical_keys_file_ok", "1x30")], "20m", 0),
        ([series("promedical_keys_file_ok", "1x10 0x20", pod="pod-0")], "15m", 1),
        ([series("promedical_keys_file_ok", "1x10 0x1 1x20", pod="pod-0")], "15m", 0),  # corrected at once
    ],
    "PromedicalErrorBudgetBurnFast": [
        (requests(995, 5), "400m", 0),
        (requests(900, 100), "400m", 1),
        (requests(900, 100, "unavailable"), "400m", 1),
        (requests(900, 100, "overloaded"), "400m", 1),
        (requests(900, 100, "deadline"), "400m", 0),  # callers choose their deadlines
        (requests(0, 1000, "deadline"), "400m", 0),
        (requests(900, 100) + requests(0, 10_000, "unauthenticated")[1:], "400m", 1),  # strangers hide nothing
        (requests(0, 0), "400m", 0),
    ],
    "PromedicalErrorBudgetBurnSlow": [
        (requests(990, 10), "400m", 0),
        (requests(960, 40), "400m", 1),
        (requests(0, 1000, "deadline"), "400m", 0),
    ],
    "PromedicalQueueGrowing": [
        ([series("promedical_queue_tokens", "100000x60", lane="bulk")], "40m", 0),
        ([series("promedical_queue_tokens", "1000000x60", lane="bulk")], "40m", 0),  # long, but steady
        ([series("promedical_queue_tokens", "1700000x60", lane="bulk")], "40m", 1),
        ([series("promedical_queue_tokens", "0+20000x60", lane="bulk")], "40m", 1),
        ([series("promedical_queue_tokens", "1200000-20000x60", lane="bulk")], "40m", 0),
    ],
    "PromedicalQueueWaitLong": [
        (latency("promedical_stage_seconds", 1, stage="queue", lane="interactive"), "40m", 0),
        (latency("promedical_stage_seconds", 60, stage="queue", lane="interactive"), "40m", 1),
        (latency("promedical_stage_seconds", 60, stage="queue", lane="bulk"), "40m", 0),
        (latency("promedical_stage_seconds", 240, stage="queue", lane="bulk"), "40m", 1),
        (latency("promedical_stage_seconds", 240, stage="engine", lane="interactive"), "40m", 0),
    ],
    "PromedicalLatencyHigh": [
        (latency("promedical_scoring_seconds", 10, lane="interactive"), "40m", 0),
        (latency("promedical_scoring_seconds", 60, lane="interactive"), "40m", 1),
        (latency("promedical_scoring_seconds", 60, lane="bulk"), "40m", 0),
        (latency("promedical_scoring_seconds", 300, lane="bulk"), "40m", 1),
        (  # a crowd of fast bulk requests hides nothing
            latency("promedical_scoring_seconds", 60, lane="interactive")
            + latency("promedical_scoring_seconds", 1, lane="bulk", per_minute=6000),
            "40m",
            1,
        ),
    ],
    "PromedicalVetoRateShifted": [
        (vetoes(10, 10), "1600m", 0),
        (vetoes(10, 40), "1600m", 1),
        (vetoes(40, 10), "1600m", 1),
    ],
    "PromedicalOraclesDiffer": [(fingerprints("a", "a"), "60m", 0), (fingerprints("a", "b"), "60m", 1)],
    "PromedicalRubricsDiffer": [
        (rubrics({"a@1": "x", "b@1": "y"}, {"a@1": "x", "b@1": "y"}), "60m", 0),
        (rubrics({"a@1": "x"}, {"a@1": "y"}), "60m", 1),  # one name, two contents
        (rubrics({"a@1": "x"}, {"a@1": "y"}), "20m", 0),  # as long as a rollout may take
        (rubrics({"a@1": "x"}, {"a@1": "x", "a@2": "y"}), "60m", 1),  # the newest a is another one
        (rubrics({"a@1": "x", "b@1": "x"}, {"a@1": "y"}), "60m", 2),  # an alert for each name
        (rubrics({"a@1": "x"}), "60m", 0),
    ],
}
"""For each alert: series, time, and how many alerts fire then."""


def test_every_alert_has_cases_and_can_fire(alerts):
    assert set(CASES) == set(alerts)
    never = {"PromedicalReplicasMissing"}  # has a test of its own, with more replicas
    assert {name for name, cases in CASES.items() if any(fires for _, _, fires in cases)} == set(alerts) - never


@pytest.mark.parametrize("alert", CASES)
def test_alert_fires_when_it_should(alert, groups, tmp_path):
    run_promtool(tmp_path, groups, [unit_test(alert, *case) for case in CASES[alert]])


def test_missing_replicas_fire_where_more_are_expected(helm4, tmp_path):
    groups = named(objects(template(helm4, example("no-spare-gpu"))), "PrometheusRule")["spec"]["groups"]
    start = "PromedicalReplicasMissing"
    cases = [
        (ready("1x60", "1x60", "1x60"), "50m", 0),
        (ready("1x60", "1x60", "0x60"), "50m", 1),
        (ready("1x60", "0x60"), "5m", 0),
    ]
    run_promtool(tmp_path, groups, [unit_test(start, *case) for case in cases])


def unit_test(alert, inputs, at, fires):
    expected = [{}] * fires
    return {"interval": "1m", "input_series": inputs, "promql_expr_test": _count(alert, at, expected)}


def _count(alert, at, expected):
    """Compare how many fire for this release, so that the cases need not repeat annotations.

    Without namespace and job the alerts of two releases would be one.
    """
    counted = f'count by (namespace, job) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
    release = f'{{namespace="{NAMESPACE}",job="{JOB}"}}'
    samples = [{"labels": release, "value": len(expected)}] if expected else []
    return [{"expr": counted, "eval_time": at, "exp_samples": samples}]


def run_promtool(folder, groups, tests):
    promtool = tool("promtool")
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (folder / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests})
    )
    for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run(
            [promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


# A real Prometheus that scrapes the real server.


@pytest.fixture(scope="module")
def prometheus(groups, fake_server, tmp_path_factory):
    """Its address, once it has scraped a server that answers requests."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    target = {"targets": [f"127.0.0.1:{fake_server.rest_port}"], "labels": LABELS}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "any", "honor_labels": True, "static_configs": [target]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    log = folder / "log"
    with log.open("wb") as out, subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=out) as process:
        try:
            yield _address(log, process)
        finally:
            process.terminate()
            process.wait(30)


def _address(log: Path, process: subprocess.Popen) -> str:
    deadline = time.monotonic() + 60
    while not (found := re.search(r'Listening on"? address=(127\.0\.0\.1:\d+)', log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return f"http://{found[1]}"


def ask(address, expression):
    answer = httpx.get(f"{address}/api/v1/query", params={"query": expression}, timeout=30).json()
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def test_dashboard_shows_data_and_rules_evaluate(prometheus, dashboard, fake_server):
    body = {"prompt": "How much?", "responses": ["4 g.", "As you like."], "rubric_id": "general-medical"}
    queries = [
        expr.replace("$namespace", NAMESPACE).replace("$job", JOB).replace("$__rate_interval", "1m")
        for expr in dashboard_queries(dashboard)
    ]
    deadline = time.monotonic() + 60
    while empty := [expr for expr in queries if not ask(prometheus, expr)]:
        assert time.monotonic() < deadline, empty
        httpx.post(f"{fake_server.rest_url}/v1/rank", json=body, timeout=30).raise_for_status()
        time.sleep(0.5)
    assert len(queries) > 20
    for group in httpx.get(f"{prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]:
        assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
