"""The example of an oracle over several nodes: valid objects, settings that the service takes, pods that fit them."""

import os
import shlex
from typing import Any

import pytest
import yaml
from chart import REPOSITORY, named, settings_of
from ray.scripts.scripts import start
from schemas import faults

from promedical_service.command_line import load_settings
from promedical_service.edges.grpc.health import NAMES
from promedical_service.engines.vllm.core import CoreOptions, core_arguments
from promedical_service.server import CLOSING_S
from promedical_service.settings import ConfigurationError

FILE = REPOSITORY / "docs" / "leaderworkerset" / "oracle.yaml"
MANIFESTS = list(yaml.safe_load_all(FILE.read_text(encoding="utf-8")))
SET = named(MANIFESTS, "LeaderWorkerSet")
GROUP = SET["spec"]["leaderWorkerTemplate"]
TEMPLATES = {"leader": GROUP["leaderTemplate"], "worker": GROUP["workerTemplate"]}
SETTINGS = settings_of(MANIFESTS)
EXTERNAL = {"promedical-keys", "reward-models"}


def container(role: str) -> dict[str, Any]:
    (only,) = TEMPLATES[role]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("kubernetes", ["1.27", "1.31", "1.37"])
def test_objects_are_valid(kubernetes):
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, **each} for each in TEMPLATES.values()]
    for pod in pods:
        pod["metadata"] = {"name": "p", **pod["metadata"]}
    assert [fault for each in [*MANIFESTS, *pods] if (fault := faults(each, kubernetes))] == []


@pytest.mark.parametrize(
    ("place", "slip"),
    [
        ((), "replica"),
        (("rolloutStrategy", "rollingUpdateConfiguration"), "maxUnavailble"),
        (("leaderWorkerTemplate",), "restart"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_field_that_no_set_has_is_found(place, slip):
    wrong = yaml.safe_load(yaml.safe_dump(SET))
    inner = wrong["spec"]
    for name in place:
        inner = inner[name]
    inner[slip] = 1
    assert slip in str(faults(wrong, "1.35"))


def test_settings_are_those_of_the_service_and_make_vllm_use_ray(tmp_path):
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    loaded = load_settings([f"--config={tmp_path / 'settings.yaml'}"], {})
    options = CoreOptions(
        folder=tmp_path,
        dtype="bfloat16",
        tensor_parallel=loaded.tensor_parallel,
        max_path_tokens=1,
        on_gpu=True,
        nodes=loaded.nodes,
    )
    told = core_arguments(options)
    assert (told["tensor_parallel_size"], told["distributed_executor_backend"]) == (16, "ray")


def test_gpus_of_the_group_are_those_of_the_model():
    gpus = [container(role)["resources"]["limits"]["nvidia.com/gpu"] for role in TEMPLATES]
    assert gpus == [SETTINGS["tensor_parallel"] // SETTINGS["nodes"]] * 2
    assert GROUP["size"] == SETTINGS["nodes"]


def test_workers_see_what_the_leader_sees_of_model_cache_and_memory():
    leader, worker = container("leader"), container("worker")
    assert leader["image"] == worker["image"]
    shared = [mount for mount in leader["volumeMounts"] if mount["name"] not in {"settings", "keys"}]
    assert worker["volumeMounts"] == shared
    assert [each for each in leader["env"] if each in worker["env"]] == worker["env"]
    for template in TEMPLATES.values():
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        assert volumes == {mount["name"] for mount in template["spec"]["containers"][0]["volumeMounts"]}


def test_references_resolve():
    made = {each["metadata"]["name"] for each in MANIFESTS if each["kind"] == "ConfigMap"} | EXTERNAL
    for template in TEMPLATES.values():
        for volume in template["spec"]["volumes"]:
            names = {
                volume.get(kind, {}).get(name)
                for kind, name in (
                    ("configMap", "name"),
                    ("secret", "secretName"),
                    ("persistentVolumeClaim", "claimName"),
                )
            }
            assert names - {None} <= made
    ports = {port["name"] for port in container("leader")["ports"]}
    assert {port["targetPort"] for port in named(MANIFESTS, "Service")["spec"]["ports"]} <= ports


def test_probes_ask_the_health_port_for_names_that_it_has():
    probes = [container("leader")[f"{name}Probe"]["grpc"] for name in ("startup", "liveness", "readiness")]
    assert {probe["port"] for probe in probes} == {SETTINGS["health_port"]}
    assert {probe["service"] for probe in probes} <= NAMES


def test_commands_are_those_of_ray_and_of_the_service(monkeypatch):
    monkeypatch.setenv("LWS_LEADER_ADDRESS", "oracle-0.oracle.ns")
    script = container("leader")["command"][2]
    head, serve = (shlex.split(part) for part in script.split("&&"))
    worker = shlex.split(os.path.expandvars(container("worker")["command"][2]))
    assert (head[:2], worker[:3]) == (["ray", "start"], ["exec", "ray", "start"])
    on_head, on_worker = start.make_context("start", head[2:]).params, start.make_context("start", worker[3:]).params
    assert (on_head["head"], on_head["port"]) == (True, 6379)
    assert (on_worker["address"], on_worker["block"]) == ("oracle-0.oracle.ns:6379", True)
    assert serve == ["exec", "promedical-serve", "--config=/etc/promedical/settings/settings.yaml"]


def test_group_outlives_the_drain_of_its_leader():
    grace = [template["spec"]["terminationGracePeriodSeconds"] for template in TEMPLATES.values()]
    sleeps = {role: int(container(role)["lifecycle"]["preStop"]["exec"]["command"][1]) for role in TEMPLATES}
    assert min(grace) > sleeps["leader"] + SETTINGS["drain_s"] + CLOSING_S
    assert sleeps["leader"] + SETTINGS["drain_s"] + CLOSING_S < sleeps["worker"] < grace[1]


def test_pods_are_restricted():
    for role, template in TEMPLATES.items():
        context = template["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert container(role)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("nodes", [3, 5, 32])
def test_nodes_that_do_not_divide_the_gpus_are_refused(nodes):
    with pytest.raises(ConfigurationError, match=f"nodes is {nodes}: expected a divisor of tensor_parallel, 16"):
        load_settings(["--engine=vllm", "--tensor-parallel=16", f"--nodes={nodes}"], {})


@pytest.mark.parametrize("on_gpu", [True, False])
def test_one_node_needs_no_ray(tmp_path, on_gpu):
    options = CoreOptions(folder=tmp_path, dtype="float32", tensor_parallel=4, max_path_tokens=1, on_gpu=on_gpu)
    assert "distributed_executor_backend" not in core_arguments(options)
