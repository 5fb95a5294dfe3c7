"""Real Helm 3 and 4 take the chart with every example; what it renders is valid in every Kubernetes, and frozen."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from chart import CHART, EXAMPLES, KUBE_VERSIONS, REPOSITORY, ChartRefusedError, objects, run_helm, supports, template
from schemas import faults

each_example = pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)


@each_example
def test_chart_lints_strictly(any_helm, values):
    done = run_helm(any_helm, "lint", "--strict", CHART, "--values", values, "--kube-version", "1.35.0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_chart_lints_strictly_with_no_values(any_helm):
    done = run_helm(any_helm, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@each_example
def test_chart_renders_the_same_with_both_helms(helm3, helm4, values):
    assert objects(template(helm3, values)) == objects(template(helm4, values))


@each_example
@pytest.mark.parametrize("kube_version", KUBE_VERSIONS)
def test_chart_objects_are_valid(helm4, values, kube_version):
    if not supports(values, kube_version):
        with pytest.raises(ChartRefusedError, match=r"model.source=image needs Kubernetes 1\.31"):
            template(helm4, values, kube_version)
        return
    rendered = objects(template(helm4, values, kube_version))
    assert rendered
    assert [fault for manifest in rendered if (fault := faults(manifest, kube_version))] == []


def test_chart_refuses_an_older_kubernetes(any_helm):
    with pytest.raises(ChartRefusedError, match=r"1\.27\.0"):
        template(any_helm, None, "1.26")


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}, "prots"),
        ({"apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": {"name": "x"}}, "no schema"),
        ({"apiVersion": "keda.sh/v1", "kind": "ScaledObject", "metadata": {"name": "x"}}, "no model"),
        (
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PodMonitor",
                "metadata": {"name": "x"},
                "spec": {"selector": {}, "podMetricsEndpoints": [{"prot": "rest"}]},
            },
            "prot",
        ),
    ],
    ids=["field", "apiVersion", "operator-version", "operator-field"],
)
def test_check_finds_what_is_wrong(manifest, fault):
    """The checks above can fail."""
    assert fault in str(faults(manifest, "1.35"))


@each_example
def test_chart_render_is_the_golden_one(helm4, values, snapshot):
    text = template(helm4, values)
    scripts = sorted((CHART / "files").glob("*.py"))
    for script in scripts:  # they have tests of their own
        text = re.sub(
            rf'( +)"""{re.escape(script.read_text().splitlines()[0][3:])}.*?\n(?= +- )',
            rf"\1({script.name})\n",
            text,
            flags=re.DOTALL,
        )
    text = re.sub(r"(?<=promedical.json: \|\n).*?\n(?=---)", "    (dashboard.json)\n", text, flags=re.DOTALL)
    snapshot(f"{values.stem}.yaml", text)


def test_readme_lists_every_example():
    named = set(re.findall(r"`examples/([\w-]+)\.yaml`", (CHART / "README.md").read_text()))
    assert named == {path.stem for path in EXAMPLES}


def test_readme_parameters_are_those_of_values(tmp_path):
    """The generator refuses a value without a `@param` and a `@param` without a value."""
    if shutil.which("npx") is None:
        pytest.skip("npx not installed: the chart's README cannot be generated")
    readme = tmp_path / "README.md"
    readme.write_text((CHART / "README.md").read_text())
    command = ["npx", "--yes", "@bitnami/readme-generator-for-helm@2.7.2"]
    done = subprocess.run(
        [*command, "--values", CHART / "values.yaml", "--readme", readme],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert readme.read_text() == (CHART / "README.md").read_text(), "stale; run 'make chart-docs'"


def test_schema_of_settings_is_that_of_the_service():
    command = [sys.executable, "-m", "scripts.docs.generate_chart", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def test_schema_is_closed_and_knows_every_value():
    """Each object of values.yaml is in the schema, closed; none is left out, none is made up."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    _compare(schema, values, "values")


def _compare(schema, values, place):
    assert schema["additionalProperties"] is False, place
    assert set(schema["properties"]) - {"global"} == set(values), place
    for name, value in values.items():
        inner = schema["properties"][name]
        if isinstance(value, dict) and value and "propertyNames" not in inner:
            _compare(inner, value, f"{place}.{name}")


@pytest.mark.parametrize("setting", ["replica=2", "image.tagg=x", "settings.rest_port=1", "probes.startup.secs=1"])
def test_schema_refuses_a_value_that_does_not_exist(any_helm, setting):
    with pytest.raises(ChartRefusedError, match=r"(?i)additional propert"):
        template(any_helm, sets=(setting,))


@pytest.mark.parametrize(
    "setting",
    [
        "replicas=-1",
        "rollout.atOnce=0%",
        "podDisruptionBudget.maxUnavailable=101%",
        'service.ipFamilies=["IPv5"]',
        "egress.proxy=proxy:3128",
        'gateway.paths=["v1"]',
        'extraContainers=[{"image": "x", "nam": "y"}]',
        "engine=onnx",
        "model.source=pvc",
        "model.source=download",
        "keys.source=secret",
        "tls.source=certManager",
        "drain.slackSeconds=14",
        "model.path=a/../../b",
        "podDisruptionBudget.maxUnavailable=0",
        "autoscaling.type=both",
        "settings.bulk_share=1",
        "settings.log_level=loud",
        "podSecurity.runAsUser=0",
        "monitoring.rules.latencySeconds=300",
        "monitoring.rules.queueWaitSeconds=300",
        'monitoring.rules={"availability": 0.93}',
    ],
)
def test_schema_refuses_a_value_out_of_range(any_helm, setting):
    with pytest.raises(ChartRefusedError, match=r"(?i)don't meet the specifications of the schema"):
        template(any_helm, sets=(setting,))


DOWNLOAD = ("model.source=download", "model.download.repository=a/b", "model.download.revision=" + "0" * 40)
MUTUAL_TLS = ("tls.source=secret", "tls.secretName=t", "tls.mutual.enabled=true", "tls.mutual.caSecretName=ca")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (("drain.serverSeconds=5", "settings.max_batch_s=20"), "raise drain.serverSeconds"),
        (("autoscaling.type=hpa", "autoscaling.minReplicas=9", "monitoring.scrape=podMonitor"), "lower one or raise"),
        (("autoscaling.type=keda",), "set monitoring.scrape"),
        (("ports.rest=50051",), "three different ports"),
        (("gpu.tensorParallel=2", "gpu.enabled=true"), "needs engine=vllm"),
        (("gpu.tensorParallel=2", "gpu.enabled=true", "engine=vllm", "shm.sizeMi=1023"), "set at least 1024"),
        (("tls.mutual.enabled=true", "tls.mutual.caSecretName=ca"), "set tls.source"),
        (
            (*MUTUAL_TLS, "monitoring.scrape=podMonitor"),
            "monitoring.scrape=podMonitor needs a client's certificate under mutual TLS: set tls.mutual.client",
        ),
        (("rubrics.configMapName=mine", "rubrics.files.a@1\\.json=x"), "use one of them"),
        (("settings.metrics_need_key=true",), "set keys.source"),
        (
            (
                "settings.metrics_need_key=true",
                "keys.source=secret",
                "keys.secretName=k",
                "monitoring.scrape=podMonitor",
            ),
            "set monitoring.apiKeySecretName",
        ),
        (("gateway.grpcRoute=true",), "needs gateway.parentRefs"),
        (("gateway.backendTls.enabled=true",), "needs a certificate of the pods"),
        (('gateway.paths=["/v1", "/metrics"]',), "/metrics is for the cluster"),
        (("gpu.tensorParallel=32", "gpu.enabled=true", "engine=vllm"), "leaderworkerset/oracle.yaml instead"),
        (
            ("settings.nodes=2", "gpu.tensorParallel=16", "gpu.enabled=true", "engine=vllm"),
            "settings.nodes is 2, but a pod runs on one node: it must be left out; for several nodes take",
        ),
        (("autoscaling.type=hpa", "autoscaling.minReplicas=0", "monitoring.scrape=podMonitor"), "or at least 1"),
        (("autoscaling.type=keda", "autoscaling.minReplicas=0", "monitoring.scrape=podMonitor"), "needs a trigger in"),
        (('extraArgs=["--rest-port=1"]',), "extraArgs: --rest-port must be left out"),
        (('extraArgs=["--tls-key-file=x"]',), "extraArgs: --tls-key-file must be left out"),
        (('extraEnv=[{"name": "PROMEDICAL_MODEL", "value": "x"}]',), "extraEnv: PROMEDICAL_MODEL must be left out"),
        (('extraEnv=[{"name": "promedical_model", "value": "x"}]',), "extraEnv: promedical_model must be left out"),
        (('extraEnv=[{"name": "Promedical_Host", "value": "x"}]',), "extraEnv: Promedical_Host must be left out"),
        (('extraEnv=[{"name": "HF_HOME", "value": "x"}]',), "extraEnv: HF_HOME must be left out"),
        (('extraEnv=[{"name": "A"}, {"name": "A"}]',), "extraEnv: A must be left out"),
        (("ingress.enabled=true", "ingress.tlsSecretName=oracle"), "ingress.tlsSecretName is oracle"),
        (("monitoring.rules.enabled=true",), "set monitoring.scrape"),
        (("replicas=2", *DOWNLOAD), "use ReadWriteMany, or one replica"),
        (("replicas=2", *DOWNLOAD, "model.download.accessMode=ReadWriteOncePod"), "accessMode=ReadWriteOncePod ties"),
        (
            ("autoscaling.type=hpa", "monitoring.scrape=podMonitor", *DOWNLOAD),
            "use ReadWriteMany, or one replica",
        ),
        (("rollout.mode=spareGpu", *DOWNLOAD), "use ReadWriteMany, or rollout.mode=noSpareGpu"),
        (
            ("rollout.mode=spareGpu", *DOWNLOAD, "model.download.accessMode=ReadWriteOncePod"),
            "accessMode=ReadWriteOncePod ties",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_chart_refuses_values_that_contradict_each_other(any_helm, settings, reason):
    with pytest.raises(ChartRefusedError, match=re.escape(reason)):
        template(any_helm, sets=settings)


@pytest.mark.parametrize(
    "sets",
    [
        MUTUAL_TLS,
        (*DOWNLOAD, "replicas=2", "rollout.mode=spareGpu", "model.download.accessMode=ReadWriteMany"),
        (*DOWNLOAD, "replicas=2", "rollout.mode=spareGpu", "model.download.claimName=mine"),
        (*DOWNLOAD, "model.download.accessMode=ReadWriteOncePod"),
        ("ingress.enabled=true",),
        ("ingress.enabled=true", "ingress.host=oracle.example.com", "ingress.tlsSecretName=oracle"),
    ],
    ids=str,
)
def test_chart_takes_what_is_near_to_a_contradiction(helm4, sets):
    rendered = objects(template(helm4, sets=sets))
    assert [fault for manifest in rendered if (fault := faults(manifest, "1.35"))] == []
