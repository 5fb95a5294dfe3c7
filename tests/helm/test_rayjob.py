"""The example of a curation run on KubeRay: valid objects, and a command that is really there."""

import shlex
from typing import Any

import pytest
import yaml
from chart import REPOSITORY
from schemas import faults
from typer.testing import CliRunner

from promedical_curation.cli import app

JOB = yaml.safe_load((REPOSITORY / "docs/kuberay/curation.yaml").read_text(encoding="utf-8"))
CLUSTER = JOB["spec"]["rayClusterSpec"]
GROUPS = {"head": CLUSTER["headGroupSpec"], "workers": CLUSTER["workerGroupSpecs"][0]}


def pod(group: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, **group["template"]}


def test_job_is_valid():
    assert faults(JOB, "1.30") is None


def test_field_that_no_rayjob_has_is_found():
    spec = {**JOB["spec"], "retries": 3}
    assert "retries" in str(faults({**JOB, "spec": spec}, "1.30"))


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("kubernetes", ["1.27", "1.34"])
def test_pods_are_valid(name, kubernetes):
    assert faults(pod(GROUPS[name]), kubernetes) is None


def test_workers_have_what_the_command_has_to_reach_the_store_and_the_endpoints():
    head, workers = (pod(group)["spec"]["containers"][0] for group in GROUPS.values())
    assert head["env"] == workers["env"]
    assert {"PROMEDICAL_CURATION_STORE", "RAY_USAGE_STATS_ENABLED"} <= {each["name"] for each in head["env"]}


def test_cluster_has_room_for_all_workers():
    words = shlex.split(JOB["spec"]["entrypoint"])
    cpus = int(GROUPS["workers"]["rayStartParams"]["num-cpus"]) * GROUPS["workers"]["replicas"]
    assert int(words[words.index("--workers") + 1]) <= cpus / 0.5


def test_version_is_the_tested_one():
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={CLUSTER['rayVersion']}" in pins


def test_command_takes_the_options_of_the_job():
    program, *words = shlex.split(JOB["spec"]["entrypoint"])
    assert program == "promedical-curate"
    ran = CliRunner().invoke(app, words)
    assert (ran.exit_code, ran.stderr.partition(": ")[0]) == (2, "promedical-curate")
    assert "/etc/curation/endpoints.yaml" in ran.stderr  # which is not here: the options themselves are right
