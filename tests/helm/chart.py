"""The chart as the tests see it: the real Helm, its renders, and the objects in them."""

import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scripts.ci.fetch_helm import RELEASES, FetchError, fetch

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "helm" / "promedical"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
KUBE_VERSIONS = tuple(f"1.{minor}" for minor in range(27, 38))
OCI_IMAGE_VOLUMES_SINCE = 31
NAMESPACE = "oracle"
RELEASE = "demo"

Manifest = dict[str, Any]


class ChartRefusedError(Exception):
    """Helm did not render; the message is what a user reads."""


def helm(major: int) -> Path | str:
    """The binary, or why there is none here."""
    release = next(release for release in RELEASES if release.version.startswith(f"{major}."))
    try:
        return fetch(release)
    except FetchError as error:
        return str(error)


def run_helm(binary: Path, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )


def example(name: str) -> Path:
    return CHART / "examples" / f"{name}.yaml"


def supports(values: Path, kube_version: str) -> bool:
    """Whether an example is for this Kubernetes; only OCI image volumes are newer than 1.27."""
    return "source: image" not in values.read_text() or int(kube_version.split(".")[1]) >= OCI_IMAGE_VOLUMES_SINCE


@cache
def template(binary: Path, values: Path | None = None, kube_version: str = "1.35", sets: tuple[str, ...] = ()) -> str:
    """What `helm template` prints.

    Raises:
        ChartRefusedError: Helm refused the values.
    """
    arguments = ["template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", f"{kube_version}.0"]
    arguments += ["--values", values] if values else []
    for setting in sets:
        arguments += ["--set-json" if "=[" in setting or "={" in setting else "--set", setting]
    done = run_helm(binary, *arguments)
    if done.returncode:
        raise ChartRefusedError(done.stderr)
    return done.stdout


def objects(text: str) -> list[Manifest]:
    """Fresh objects of a render; a key that stands twice is an error, as it is for the API server."""
    return [document for document in yaml.load_all(text, Loader=_Strict) if document]


def named(manifests: list[Manifest], kind: str, suffix: str = "") -> Manifest:
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"].endswith(suffix or "")]
    return found


def deployment(manifests: list[Manifest], *, canary: bool = False) -> Manifest:
    """The service's own."""
    component = "app.kubernetes.io/component"
    deployments = [m for m in of_revision(manifests, canary=canary) if m["kind"] == "Deployment"]
    (found,) = [m for m in deployments if m["spec"]["selector"]["matchLabels"][component] != "review"]
    return found


def of_revision(manifests: list[Manifest], *, canary: bool) -> list[Manifest]:
    """What the release itself, or its canary, runs with: its own objects, and those that both share."""
    canaries = [m for m in manifests if _is_canary(m)]
    others = [m for m in manifests if not _is_canary(m)]
    if not canary:
        return others
    twins = {(m["kind"], m["metadata"]["name"].replace("-canary", "", 1)) for m in canaries}
    return canaries + [m for m in others if (m["kind"], m["metadata"]["name"]) not in twins]


def _is_canary(manifest: Manifest) -> bool:
    return manifest["kind"] != "Ingress" and "-canary" in manifest["metadata"].get("name", "")


def pod_specs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Every pod spec: the Deployment's and those of the test pods."""
    specs = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "Pod"}
    templates = {
        m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests if "template" in (m.get("spec") or {})
    }
    return specs | templates


def containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def settings_of(manifests: list[Manifest]) -> dict[str, Any]:
    configs = [m for m in manifests if m["kind"] == "ConfigMap" and "settings.yaml" in m["data"]]
    config = min(configs, key=lambda m: len(m["metadata"]["name"]))  # the release's, before the canary's
    return dict(yaml.safe_load(config["data"]["settings.yaml"]))


def metric_names(expression: str) -> set[str]:
    """Our metrics in a PromQL expression; recorded series have colons and are not looked up in /metrics."""
    return set(re.findall(r"(?<![:\w])(?:promedical|process|python)_\w+(?!:)", expression))


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # C where it is built
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Mapping[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"keys stand twice: {twice} {node.start_mark}"
        return super().construct_mapping(node, deep)
