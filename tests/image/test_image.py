"""The images, built for real and run hardened: what is in them, what is not, and that they score without a network.

`make test-image` builds them and runs these tests; it needs buildah and runc.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container import USER, Container, container, inspected, rootfs, size_mb
from packaging.utils import canonicalize_name

from scripts.images.attest import LOCKS, folder_of

TORCH, VLLM, REVIEW = (f"localhost/promedical:{tag}" for tag in ("torch", "vllm", "review"))
RESULT = Path(__file__).resolve().parents[2] / "dist" / "test-image.json"
LOCK = {TORCH: "torch-cpu", VLLM: "vllm-cpu", REVIEW: "review"}
MOST_MB = {TORCH: 2200, VLLM: 4500, REVIEW: 800}
SERVICE = ("promedical", {"8080/tcp", "50051/tcp"})
SAID = {TORCH: SERVICE, VLLM: SERVICE, REVIEW: ("promedical-review", {"8090/tcp"})}
"""The titles of the images, and the ports that they name."""
ITEM = {
    "id": "a",
    "prompt": [{"role": "user", "content": "My knee is swollen after a fall. What now?"}],
    "responses": ["Rest it, cool it, and see a doctor if you cannot put weight on it.", "Run it off.", ""],
    "rubric_id": "general-medical",
}

pytestmark = [
    pytest.mark.skipif(not os.environ.get("IMAGES"), reason="images take ten minutes to build; make test-image does"),
    pytest.mark.timeout(600),
]
each = pytest.mark.parametrize("image", [TORCH, VLLM, REVIEW])


@pytest.fixture(scope="module")
def torch_container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with container(tmp_path_factory.mktemp("torch"), TORCH) as running:
        yield running


def scored(where: Container, url: str) -> list[dict[str, Any]]:
    """The outcomes of ITEM, by the command line in the image."""
    done = where.run("promedical", "score", "-", "--url", url, "--format", "jsonl", given=json.dumps(ITEM))
    assert done.returncode == 1, f"one response is empty: {done.stderr}"
    responses: list[dict[str, Any]] = json.loads(done.stdout)["result"]["responses"]
    return responses


def probabilities(responses: list[dict[str, Any]]) -> list[float]:
    return [each["probability"] for one in responses if one.get("scores") for each in one["scores"]["criteria"]]


def test_image_scores_over_both_transports_without_a_network(torch_container: Container) -> None:
    interfaces = torch_container.run("python3", "-c", "import socket; print([n for _, n in socket.if_nameindex()])")
    over_grpc = scored(torch_container, "grpc://127.0.0.1:50051")
    over_rest = scored(torch_container, "http://127.0.0.1:8080")

    assert json.loads(interfaces.stdout.replace("'", '"')) == ["lo"]
    assert len(probabilities(over_grpc)) >= 6
    assert probabilities(over_rest) == pytest.approx(probabilities(over_grpc), abs=1e-3)
    assert over_grpc[2]["error"]["code"] == "empty_response"
    model = json.loads(torch_container.run("promedical", "model", "--format", "jsonl").stdout)
    assert model["status"] == "trained"


def test_image_runs_without_privileges(torch_container: Container) -> None:
    pid = torch_container.run("python3", "-c", "print(open('/proc/1/status').read())").stdout
    status = dict(line.split(":\t", 1) for line in pid.splitlines() if ":\t" in line)

    assert status["Uid"].split() == status["Gid"].split() == [str(USER)] * 4
    assert {status[name].strip("0\n") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"].strip() == "1"
    written = torch_container.run("touch", "/opt/models/x")
    assert "Read-only file system" in written.stderr


def test_image_logs_events_and_no_text(torch_container: Container) -> None:
    scored(torch_container, "http://127.0.0.1:8080")
    lines = [json.loads(line) for line in torch_container.log.read_text().splitlines()]

    assert {"listening", "ready"} <= {line["event"] for line in lines}
    assert "knee" not in torch_container.log.read_text()


@each
def test_image_holds_no_compiler_and_no_settings_of_who_built_it(image: str) -> None:
    with rootfs(image) as root:
        for program in ("gcc", "cc", "g++", "c++", "clang", "make", "ld"):
            assert shutil.which(program, path=f"{root}/usr/bin:{root}/usr/local/bin:{root}/opt/promedical/bin") is None
        assert not list(Path(root).glob("opt/promedical/bin/pip*"))
        assert not [each for each in ("etc/pip.conf", "src", "run/secrets/pip") if Path(root, each).exists()]
    settings = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    values = {word for line in settings.stdout.splitlines() for word in line.partition("=")[2].strip("'").split()}
    metadata = json.dumps(inspected(image))
    assert not [word for word in values if "/" in word and word in metadata and not word.startswith("/etc/ssl")]


@each
def test_image_says_what_it_is(image: str) -> None:
    config = inspected(image)["Docker"]["config"]

    assert config["User"] == f"{USER}:{USER}"
    title, ports = SAID[image]
    assert set(config["ExposedPorts"]) == ports
    licences = "Apache-2.0 AND CC-BY-NC-SA-4.0 AND CC-BY-4.0 AND MIT"
    assert config["Labels"]["org.opencontainers.image.licenses"] == licences
    assert config["Labels"]["org.opencontainers.image.title"] == title
    assert not [line for line in config["Env"] if "PIP" in line or "KEY" in line]


@each
def test_image_comes_with_a_list_of_all_its_packages(image: str) -> None:
    lock = LOCKS / f"{LOCK[image]}.txt"
    folder = folder_of(image)
    listed = json.loads((folder / "sbom.json").read_text())
    versions = {canonicalize_name(each["name"]): each["version"] for each in listed["components"]}
    wanted = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE))
    removed = {"pip", "setuptools"}
    assert {name for name, version in wanted.items() if versions.get(canonicalize_name(name)) != version} <= removed
    assert {"promedical", "libc6", "python3"} <= versions.keys()
    python = [each for each in listed["components"] if each.get("purl", "").startswith("pkg:pypi/")]
    assert len([each for each in python if each.get("licenses")]) > 0.9 * len(python)
    statement = json.loads((folder / "provenance.json").read_text())
    kind, value = inspected(image)["FromImageDigest"].split(":")
    assert statement["subject"] == [{"name": image, "digest": {kind: value}}]
    assert listed["metadata"]["component"]["version"] == f"{kind}:{value}"


def test_image_that_is_pushed_is_described_by_its_new_digest(tmp_path: Path) -> None:
    to = f"oci:{tmp_path / 'layout'}:1"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.images.publish_image", "--image", TORCH, "--to", to],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    (manifest,) = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    (subject,) = json.loads((folder_of(TORCH) / "published/provenance.json").read_text())["subject"]
    assert f"sha256:{subject['digest']['sha256']}" == manifest["digest"]
    assert done.stdout.splitlines()[-1].startswith("SKIPPED signing: oci:")


def test_image_sizes_are_within_bounds() -> None:
    sizes = {image: size_mb(image) for image in MOST_MB}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"unpacked_mb": {image.rpartition(":")[2]: mb for image, mb in sizes.items()}}) + "\n")

    assert all(sizes[image] < most for image, most in MOST_MB.items()), sizes


def test_image_with_vllm_scores_as_the_one_with_torch(torch_container: Container, tmp_path: Path) -> None:
    expected = scored(torch_container, "grpc://127.0.0.1:50051")
    with container(tmp_path, VLLM, VLLM_CPU_KVCACHE_SPACE="1") as running:
        answers = {url: scored(running, url) for url in ("grpc://127.0.0.1:50051", "http://127.0.0.1:8080")}

    for responses in answers.values():
        assert probabilities(responses) == pytest.approx(probabilities(expected), abs=5e-3)


def test_review_image_serves_and_migrates_without_privileges(tmp_path: Path) -> None:
    with container(tmp_path, REVIEW, "serve", "--demo") as running:
        page = running.run(
            "python3", "-c", "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8090/login').read())"
        )
        assert "ProMedical" in page.stdout
        made = running.run("promedical-review", "db", "upgrade", "--database", "sqlite:////tmp/study.db")
        assert made.returncode == 0, made.stderr
        refused = running.run("promedical-review", "db", "upgrade", "--database", "sqlite:////opt/study.db")
        assert refused.returncode == 2
        assert running.run("python3", "-c", "import torch").returncode != 0
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    assert {"listening"} <= {json.loads(line)["event"] for line in lines}
